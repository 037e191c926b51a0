"""Rescoring: which releases are asked again and which units, whatever lies in the store and whatever the clock did."""

from types import SimpleNamespace

import msgspec
import pytest

from vernal.clock import ManualClock
from vernal.config import Monitoring, Settings
from vernal.release import MANIFEST, Lineage, ReleaseStore
from vernal.rollout.gate import prune
from vernal.rollout.rescoring import MOST_UNITS, Rescoring, in_charge
from vernal.rollout.staleness import Ledger, Score
from vernal.terms import DAY_S, HOUR_S, US_PER_S

DAY = DAY_S * US_PER_S
START = 1_700_006_400_000_000  # a midnight


@pytest.fixture
def space(tmp_path):
    """A store without a log: what is asked is tested elsewhere."""
    clock = ManualClock(START)
    return SimpleNamespace(data=tmp_path, clock=clock, settings=Settings(), releases=ReleaseStore(tmp_path / "releases", clock))


def released(space):
    """A release of all that was received by now, put in charge."""
    lineage = Lineage(log_from=1, log_to=1, as_of=space.clock.now(), config="", plan="", code="", seed=0)
    name = space.releases.commit(space.releases.draft(), lineage, {}).name
    space.releases.promote(name, "trained")
    return name


def rescoring_of(space):
    return Rescoring(space, Ledger(space.data / "scores.jsonl"))


@pytest.mark.parametrize("change", [lambda _: b"{", lambda text: text.replace(b'"format": 1', b'"format": 9')], ids=["torn", "of a newer version"])
def test_a_release_whose_manifest_cannot_be_read_is_not_asked_and_stops_nobody(space, change):
    first, second = released(space), released(space)
    file = space.releases.root / first / MANIFEST
    file.write_bytes(change(file.read_bytes()))
    assert [manifest.name for manifest in rescoring_of(space).kept(START + 2 * DAY)] == [second]


def test_a_clock_that_ran_ahead_and_came_back_hides_no_unit(space):
    name, ledger = released(space), Ledger(space.data / "scores.jsonl")
    ledger.put(score(name, day) for day in (1, 2, 300))
    rescoring, asked = Rescoring(space, ledger), []
    rescoring.keep = lambda units, _: asked.extend(units)
    assert rescoring.step(START + 5 * DAY) == 1
    assert asked == [START + 3 * DAY]
    assert [found.unit for found in rescoring.scores] == [START + DAY, START + 2 * DAY]


def test_a_keeper_that_starts_again_scores_no_unit_twice(space):
    name, ledger = released(space), Ledger(space.data / "scores.jsonl")
    ledger.put([score(name, 3)])
    assert Rescoring(space, ledger).step(START + 5 * DAY) == 0


def score(name, day):
    return Score(unit=START + day * DAY, release=name, as_of=START, quality=0.1, cases=9, live=True)


@pytest.mark.parametrize(("window", "mature_after", "asked"), [("1d", "1d", 4), ("1h", "1d", 2)])
def test_releases_trained_every_hour_are_kept_until_they_are_scored_and_no_longer(space, window, mature_after, asked):
    space.settings = msgspec.structs.replace(space.settings, monitoring=Monitoring(window=window, mature_after=mature_after))
    rescoring, most = rescoring_of(space), space.settings.training.keep + MOST_UNITS + 2
    for _ in range(7 * 24):
        released(space)
        prune(space)
        space.clock.advance(seconds=HOUR_S)
        assert len(space.releases.names()) <= most
    end = (space.clock.now() - DAY) // (rescoring.unit_s * US_PER_S) * rescoring.unit_s * US_PER_S
    kept = [manifest.name for manifest in rescoring.kept(end)]
    assert len(kept) >= asked
    assert window == "1h" or in_charge(list(space.releases.promotions()), end - DAY) in kept
