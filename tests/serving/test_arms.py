"""Arms of a worker: who is answered from what, and what follows when that changes."""

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from vernal.clock import ManualClock
from vernal.config import Rollout, Settings
from vernal.features.definition import compile_plan
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Recommender
from vernal.release import Lineage, ReleaseStore
from vernal.serving.arms import Arms
from vernal.serving.champion import Champion
from vernal.serving.meters import Layout, Meter, Meters
from vernal.serving.traffic import FILE, Canary, Experiment, Traffic, Variant, write_traffic

LINEAGE = Lineage(log_from=1, log_to=2, as_of=3, config="", plan="", code="0", seed=0)
SETTINGS = Settings()
PLAN = compile_plan(SETTINGS)
USERS = [f"user-{n}" for n in range(200)]


class Shop:
    """A worker's arms on a store of small releases, the first of which is in charge."""

    def __init__(self, folder):
        self.folder = folder
        self.store = ReleaseStore(folder / "releases", ManualClock())
        self.names = [self.release(float(value)) for value in range(3)]
        self.store.promote(self.names[0], "test")
        meters = Meters(folder / "meters", "api-0", Layout([Meter("vernal_release_swaps_total", ""), Meter("vernal_release_failures_total", "")]))
        self.champion = Champion(self.store, lambda release: Recommender(Parts(release.name if release else ""), PLAN, SETTINGS), meters)
        self.arms = Arms(self.champion, folder, Rollout(holdout=0.1))

    def release(self, value):
        draft = self.store.draft()
        draft.put_array("weights", np.full(8, value))
        return self.store.commit(draft, LINEAGE, {}).name

    def share(self, **changes):
        """Shares the traffic out anew, and has the arms look."""
        write_traffic(self.folder, Traffic(**changes))
        self.arms.look()

    def answering(self):
        """Arm -> releases its users are answered from."""
        found = {}
        for user in USERS:
            arm = self.arms.of(user)
            found.setdefault(arm.name, set()).add(arm.engine.parts.release)
        return found


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def trial(shop, **changes):
    return replace(Canary(release=shop.names[1], against=shop.names[0], share=0.5), **changes)


def test_without_a_file_there_are_the_champion_and_the_holdout_of_the_settings(shop):
    assert shop.answering() == {"champion": {shop.names[0]}, "holdout": {shop.names[0]}}
    assert {shop.arms.of(user).engine.parts.listed for user in USERS if shop.arms.of(user).name == "holdout"} == {True}


def test_a_canary_answers_its_share_from_its_own_release(shop):
    shop.share(canary=trial(shop))
    assert shop.answering() == {"champion": {shop.names[0]}, "holdout": {shop.names[0]}, "canary": {shop.names[1]}}


def test_a_canary_is_open_before_it_answers_anybody(shop):
    shop.share(canary=trial(shop, share=0.0))
    assert (shop.names[1] in shop.champion.engines, "canary" in shop.answering()) == (True, False)


def test_an_abort_takes_the_canary_out_and_keeps_the_champion_and_the_one_before(shop):
    shop.store.promote(shop.names[2], "next")
    shop.share(canary=trial(shop))
    shop.share()
    assert "canary" not in shop.answering()
    assert shop.champion.engines.keys() == {shop.names[0], shop.names[2]}


def test_a_promoted_canary_is_the_very_engine_that_was_on_trial(shop):
    shop.share(canary=trial(shop))
    engine = next(shop.arms.of(user).engine for user in USERS if shop.arms.of(user).name == "canary")
    shop.store.promote(shop.names[1], "test")
    shop.arms.look()
    assert shop.champion.current is engine


def test_a_release_that_cannot_be_opened_answers_nobody_and_is_said_once(shop):
    file = shop.store.root / shop.names[1] / "weights.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    shop.share(canary=trial(shop))
    shop.arms.look()
    assert shop.answering().keys() == {"champion", "holdout"}
    assert ("sha256" in shop.champion.problem, shop.champion.meters.total("vernal_release_failures_total")) == (True, 1)


def test_a_damaged_file_of_shares_leaves_everything_as_it_was(shop):
    shop.share(canary=trial(shop))
    (shop.folder / FILE).write_text("{")
    assert shop.arms.look()
    assert "canary" in shop.answering()


def test_a_variant_has_its_settings_and_says_them_to_the_log(shop):
    bold = Variant(name="bold", settings={"scenarios.home.temperature": 0.7})
    shop.share(experiments=(Experiment(name="e", variants=(Variant(name="as-is"), bold)),))
    arm = next(arm for arm in map(shop.arms.of, USERS) if arm.name == "e/bold")
    assert arm.engine.settings.scenario("home").temperature == 0.7
    assert msgspec.json.decode(arm.settings) == bold.settings
    assert shop.arms.of(next(user for user in USERS if shop.arms.of(user).name == "e/as-is")).settings == ""


def test_an_interleaved_experiment_is_one_arm_of_both_variants(shop):
    variants = (Variant(name="a"), Variant(name="b", release=shop.names[1]))
    shop.share(experiments=(Experiment(name="e", variants=variants, interleaved=True),))
    arm = next(arm for arm in map(shop.arms.of, USERS) if arm.name == "e/interleaved")
    assert [engine.parts.release for engine in arm.engine.engines] == shop.names[:2]
    assert [way["release"] for way in msgspec.json.decode(arm.settings)["interleaved"]] == shop.names[:2]


def test_a_variant_that_follows_the_champion_follows_its_promotions(shop):
    shop.share(experiments=(Experiment(name="e", variants=(Variant(name="a"), Variant(name="b", release=shop.names[1]))),))
    shop.store.promote(shop.names[2], "next")
    shop.arms.look()
    assert (shop.answering()["e/a"], shop.answering()["e/b"]) == ({shop.names[2]}, {shop.names[1]})
