"""Logged slates are examples: the features that were seen, labelled by what was chosen within the day."""

from collections.abc import Callable

import numpy as np
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.evaluation.splits import DAY_US
from vernal.events.schema import Event, Kind, Slate
from vernal.ranking.features import feature_names
from vernal.training.impressions import before, feeds, shown
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

Village = Callable[..., Workspace]


def slate(workspace: Workspace, rec_id: str, items: list[str], at: int, rung: str = "full", width: int | None = None) -> Slate:
    """A slate whose feature rows are filled with their place."""
    numbers = [workspace.log.items_after(0).index(item) for item in items]
    release = workspace.releases.champion() or ""
    features = np.repeat(np.arange(len(items), dtype=np.float32), width or len(feature_names(workspace.plan)))
    ones = np.ones(len(items), np.float32).tobytes()
    about = ("home", "champion", release, rung, b"{}", 1, 0, 0, 0, items, np.array(numbers, np.uint32).tobytes(), ones, ones, features.tobytes())
    return Slate(rec_id, at, "person-1", *about)


@pytest.fixture
def shop(village: Village) -> Workspace:
    """A trained village in which person-1 was shown four goods and chose the third, days ago."""
    workspace = village()
    train(workspace)
    clock = workspace.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds=60)
    workspace.log.append(Kind.SLATES, [slate(workspace, "one", ["bread-0", "bread-3", "wine-2", "wine-5"], clock.now())])
    clock.advance(seconds=3_600)
    workspace.log.append(Kind.EVENTS, [Event("chosen", "buy", "person-1", "wine-2", clock.now())])
    clock.advance(seconds=2 * 86_400)
    workspace.log.append(Kind.EVENTS, [Event("late", "buy", "person-1", "bread-3", clock.now())])
    return workspace


def test_what_was_chosen_within_the_day_is_the_label_and_features_are_those_seen(shop: Workspace) -> None:
    (found,) = shown(shop, Snapshot.of(shop), feature_names(shop.plan)).chosen
    assert found.examples.labels.tolist() == [0, 0, 1, 0]
    assert found.examples.features[:, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("rung", ["fast", "retrieval", "trending"])
def test_answers_of_lower_rungs_teach_nothing(shop: Workspace, rung: str) -> None:
    at = shop.clock.now() - 2 * DAY_US
    shop.log.append(Kind.SLATES, [slate(shop, "two", ["bread-0", "wine-2"], at, rung)])
    assert len(shown(shop, Snapshot.of(shop), feature_names(shop.plan)).every) == 1


def test_a_slate_of_another_width_or_another_plan_is_left_out(shop: Workspace) -> None:
    at = shop.clock.now() - 2 * DAY_US - 3_600_000_000
    shop.log.append(Kind.SLATES, [slate(shop, "two", ["bread-0", "wine-2"], at, width=3)])
    assert len(shown(shop, Snapshot.of(shop), feature_names(shop.plan)).every) == 1
    assert not shown(shop, Snapshot.of(shop), ("other", "features")).every


def test_a_day_that_is_not_over_is_waited_for(shop: Workspace) -> None:
    names, snapshot = feature_names(shop.plan), Snapshot.of(shop)
    (found,) = shown(shop, snapshot, names).chosen
    assert len(before([found], found.at + DAY_US - 1, len(names))) == 0
    assert len(before([found], found.at + DAY_US, len(names))) == 4
    shop.log.append(Kind.SLATES, [slate(shop, "today", ["bread-0", "bread-3"], shop.clock.now())])
    assert len(shown(shop, Snapshot.of(shop), names).every) == 1


def test_a_slate_that_nothing_was_chosen_from_counts_for_rates_and_teaches_no_order(shop: Workspace) -> None:
    shop.log.append(Kind.SLATES, [slate(shop, "two", ["bread-6", "wine-8"], shop.clock.now() - 2 * DAY_US)])
    found, names = shown(shop, Snapshot.of(shop), feature_names(shop.plan)), feature_names(shop.plan)
    assert [len(slates) for slates in found] == [1, 2]
    assert feeds(found.every, 0, len(names)).labels.tolist() == [0, 0, 1, 0, 0, 0]


def test_training_on_a_log_with_slates_makes_a_release(shop: Workspace) -> None:
    release, _ = train(shop)
    assert shop.releases.champion() == release.name
