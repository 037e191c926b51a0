"""The verbs that prove something of served answers: nothing differs from the log, and an answer comes out again byte for byte."""

import json
import subprocess
import sys

import msgspec
import pytest
from shop import Server

from vernal.app import Workspace
from vernal.events.schema import Kind


def verb(folder, *words):
    command = [sys.executable, "-m", "vernal.cli", *words, "--config", str(folder / "vernal.toml"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def served(own_shop):
    """A shop that has answered three times, and the names of the answers."""
    with Server(own_shop) as server, server.client() as client:
        names = [client.post("/v1/recommend", json={"user": f"u{k}"}).json()["rec_id"] for k in range(3)]
    return own_shop, names  # a server that stops logs what waits


def test_served_features_are_those_of_the_log(served):
    folder, _ = served
    status, out, err = verb(folder, "audit")
    found = json.loads(out)
    assert (status, found["mismatches"], found["slates"]) == (0, 0, 3), err
    assert found["values"] > 100


def test_an_audit_of_nothing_is_not_called_clean(own_shop):
    status, _, err = verb(own_shop, "audit")
    assert status != 0
    assert "no slate served on the full rung" in err


def test_a_past_answer_comes_out_again_and_one_that_was_tampered_with_does_not(served):
    folder, names = served
    status, out, err = verb(folder, "replay", "--rec-id", names[0])
    assert (status, json.loads(out)["same"]) == (0, True), err
    with Workspace.open(folder / "vernal.toml") as workspace:
        slates = [record for batch in workspace.log.read(0, 100_000) if batch.kind is Kind.SLATES for record in batch.records]
        slate = next(record for record in slates if record.rec_id == names[1])
        forged = msgspec.structs.replace(slate, rec_id="forged", items=list(reversed(slate.items)))
        workspace.log.append(Kind.SLATES, [forged])
    status, out, _ = verb(folder, "replay", "--rec-id", "forged")
    assert (status, json.loads(out)["same"]) == (1, False)
