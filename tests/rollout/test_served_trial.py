"""A trial in a real server: users meet the release by their hash, a person takes it away, and every answer can be made again."""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))

from shop import TOML, Server, key_of, open_shop, train

from vernal.app import Workspace
from vernal.events.reading import read_slates
from vernal.replay.answer import replay
from vernal.rollout.shares import changed, traffic_of
from vernal.serving.traffic import Canary, Split

USERS = [f"u{number}" for number in range(60)]
QUIET = '\n[rollout]\nholdout = 0.2\nlook = "1h"\n'


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop with one release in charge and another, made of the same log, that is on trial with half of the users."""
    folder = tmp_path_factory.mktemp("trial")
    with open_shop(folder, TOML + QUIET) as workspace:
        good = train(workspace)
        other = train(workspace, seed=1)
        workspace.releases.promote(good, "back")
        canary = Canary(release=other, against=good, share=0.5, reason="it was trained.")
        changed(workspace, "test", "on trial", lambda traffic: traffic.__class__(salt=traffic.salt, canary=canary))
    return folder, good, other


def arms(client):
    """User -> (arm, release) of their answers."""
    return {user: (found["arm"], found["release"]) for user in USERS if (found := client.post("/v1/recommend", json={"user": user}).json())}


def test_a_trial_from_first_answer_to_abort(shop):
    folder, good, other = shop
    with Workspace.open(folder / "vernal.toml") as workspace:
        split = Split(traffic_of(workspace).__class__(holdout=0.2, canary=traffic_of(workspace).canary))
    with Server(folder) as server, server.client(key_of(folder, "serve", "admin")) as client:
        met = arms(client)
        assert met == {user: (split.arm(user), other if split.arm(user) == "canary" else good) for user in USERS}
        assert client.get("/v1/canary").json()["canary"]["release"] == other
        assert f'vernal_canary_share{{release="{other}"}} 0.5' in client.get("/metrics").text
        gone = client.post("/v1/canary/abort", json={"reason": "not on a Friday"})
        began = time.monotonic()
        assert gone.json()["release"] == other
        while "canary" in {arm for arm, _ in arms(client).values()}:
            assert time.monotonic() - began < 10
        assert client.get("/v1/canary").json()["steps"][-1]["reason"] == "not on a Friday"
    with Workspace.open(folder / "vernal.toml") as workspace:
        logged = {slate.arm: slate.rec_id for _, slate in read_slates(workspace.log)}
        assert logged.keys() == {"champion", "holdout", "canary"}
        assert [replay(workspace, rec_id).differences for rec_id in logged.values()] == [(), (), ()]
