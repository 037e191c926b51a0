from dataclasses import dataclass

import numpy as np
import pytest

from vernal.clock import ManualClock
from vernal.release import Lineage, ReleaseStore
from vernal.serving.champion import Champion
from vernal.serving.meters import Layout, Meter, Meters

LINEAGE = Lineage(log_from=1, log_to=2, as_of=3, config="", plan="", code="0", seed=0)


@dataclass
class Engine:
    name: str


def build(release):
    return Engine(release.name if release else "")


@pytest.fixture
def store(tmp_path):
    return ReleaseStore(tmp_path / "releases", ManualClock())


@pytest.fixture
def meters(tmp_path):
    return Meters(tmp_path / "meters", "api-0", Layout([Meter("vernal_release_swaps_total", ""), Meter("vernal_release_failures_total", "")]))


def release(store, value):
    draft = store.draft()
    draft.put_array("weights", np.full(8, value))
    return store.commit(draft, LINEAGE, {}).name


def flip_one_byte(store, name):
    file = store.root / name / "weights.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_without_a_release_an_engine_answers_all_the_same(store, meters):
    champion = Champion(store, build, meters)
    assert (champion.name, champion.current) == ("", Engine(""))


def test_a_promotion_is_followed_at_the_next_look(store, meters):
    champion = Champion(store, build, meters)
    name = release(store, 1.0)
    store.promote(name, "test")
    assert champion.look()
    assert (champion.name, champion.current, champion.look()) == (name, Engine(name), False)


def test_a_rollback_brings_back_the_very_engine_that_was_open(store, meters):
    first, second = release(store, 1.0), release(store, 2.0)
    store.promote(first, "test")
    champion = Champion(store, build, meters)
    engine = champion.current
    store.promote(second, "test")
    champion.look()
    store.roll_back("test")
    champion.look()
    assert champion.current is engine


def test_a_release_with_one_flipped_byte_is_refused_and_the_old_one_answers_on(store, meters):
    first, second = release(store, 1.0), release(store, 2.0)
    store.promote(first, "test")
    champion = Champion(store, build, meters)
    flip_one_byte(store, second)
    store.promote(second, "test")
    assert not champion.look()
    assert (champion.name, meters.total("vernal_release_failures_total")) == (first, 1)
    assert "sha256" in champion.problem


def test_a_refused_promotion_is_not_tried_again_and_again(store, meters):
    champion = Champion(store, build, meters)
    broken = release(store, 1.0)
    flip_one_byte(store, broken)
    store.promote(broken, "test")
    champion.look(), champion.look()
    assert meters.total("vernal_release_failures_total") == 1


def test_a_damaged_champion_at_the_start_falls_back_to_the_release_before(store, meters):
    first, second = release(store, 1.0), release(store, 2.0)
    store.promote(first, "test")
    store.promote(second, "test")
    flip_one_byte(store, second)
    assert Champion(store, build, meters).name == first


def test_only_two_engines_stay_open(store, meters):
    champion = Champion(store, build, meters)
    for value in range(5):
        store.promote(release(store, float(value)), "test")
        champion.look()
    assert len(champion.engines) == 2
