"""Releases asked the same past requests: each answers as it would alone, and as training's own evaluation says."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Aggregate, View
from vernal.release import ReleaseStore
from vernal.rollout.backtests import Backtested, asked
from vernal.terms import DAY_S, US_PER_S
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

DAY_US = DAY_S * US_PER_S


class Two:
    """Two releases, five days apart, and the five days after the second."""

    def __init__(self, villages: Callable[..., Any]) -> None:
        self.space = villages(25)
        self.old = train(self.space)[0].name
        self.space.live(5)
        self.new = train(self.space)[0].name
        self.space.live(5)
        self.end = self.space.clock.now()

    def asked(self, *names: Any, most: int = 60, seed: int = 0, days: int = 5) -> Backtested:
        return asked(self.space, names, self.end - days * DAY_US, self.end, most, seed)


@pytest.fixture(scope="module")
def two(villages: Callable[..., Any]) -> Two:
    return Two(villages)


def test_releases_asked_together_answer_as_each_does_alone(two: Two) -> None:
    together = two.asked(two.old, two.new)
    for name in (two.old, two.new):
        alone = two.asked(name).tests[name]
        assert [slate.tolist() for slate in together.tests[name].slates] == [slate.tolist() for slate in alone.slates]
    assert together.quality[two.old].ndcg_10.tolist() != together.quality[two.new].ndcg_10.tolist()


def test_the_order_they_are_named_in_changes_nothing(two: Two) -> None:
    one, other = two.asked(two.old, two.new), two.asked(two.new, two.old)
    assert all(np.array_equal(one.quality[name].recall_20, other.quality[name].recall_20) for name in (two.old, two.new))


def test_the_quality_of_a_release_is_one_figure_per_case_and_user(two: Two) -> None:
    found = two.asked(two.new, most=40)
    assert len(found.cases) == len(found.users) == len(found.quality[two.new].recall_20) == 40
    assert found.tests[two.new].rungs == {"full": 40}


def test_no_case_lies_outside_the_stretch(two: Two) -> None:
    found = two.asked(two.new, most=10_000)
    assert found.cases.at.min() >= two.end - 5 * DAY_US
    assert found.cases.at.max() < two.end


def test_a_release_of_another_store_may_be_asked(two: Two, tmp_path: Path) -> None:
    other = ReleaseStore(tmp_path / "other", ManualClock(0))
    shutil.copytree(two.space.releases.root / two.new, other.root / two.new)
    found = two.asked(other.open(two.new))
    assert np.array_equal(found.quality[two.new].ndcg_10, two.asked(two.new).quality[two.new].ndcg_10)


def test_a_snapshot_read_before_gives_the_same(two: Two) -> None:
    snapshot = Snapshot.of(two.space)
    found = asked(two.space, [two.new], two.end - DAY_US, two.end, 60, 0, snapshot=snapshot)
    assert np.array_equal(found.quality[two.new].ndcg_10, two.asked(two.new, days=1).quality[two.new].ndcg_10)


def test_one_that_is_not_kept_damaged_or_of_another_plan_is_left_out_with_its_reason(two: Two) -> None:
    views = {"item-count": View(entity="item", count=Aggregate(window="1d"))}
    with Workspace(two.space.root, msgspec.structs.replace(two.space.settings, features=views), two.space.clock) as changed:
        other = train(changed, promote=False)[0].name
    found = two.asked("r9999-none", other, two.new)
    assert list(found.tests) == [two.new]
    assert "feature plan" in found.skipped[other]
    assert "r9999-none" in found.skipped


def test_a_stretch_without_requests_asks_nothing(two: Two) -> None:
    found = asked(two.space, [two.new], two.end + DAY_US, two.end + 2 * DAY_US, 60, 0)
    assert len(found.cases) == len(found.quality[two.new].ndcg_10) == 0
