"""Rescoring: which releases are asked again and which units, whatever lies in the store and whatever the clock did."""

from types import SimpleNamespace

import msgspec
import pytest

from vernal.clock import ManualClock
from vernal.config import Settings
from vernal.release import MANIFEST, Lineage, ReleaseStore
from vernal.rollout.rescoring import Rescoring
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
