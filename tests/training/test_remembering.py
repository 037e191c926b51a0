"""A training takes from the one before what would come out the same, and nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.events.schema import Erasure, Item, Kind
from vernal.release import Release
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.village import START_US, village_events, village_items, village_settings
from vernal.training.remembering import Remembering
from vernal.training.snapshot import LEAST_BEFORE, Snapshot
from vernal.training.train import lineage, train

DAY_US = DAY_S * US_PER_S
ITEMS = village_items()
EVENTS = village_events(ITEMS, days=30)
Village = Callable[..., Workspace]


@pytest.fixture
def shop(village: Village) -> Workspace:
    """A village on its 23rd day, with a release; the news of a day are still to come."""
    workspace = village("shop", days=1, per_day=1)
    append(workspace, 0, 23)
    train(workspace)
    return workspace


def append(workspace: Workspace, first: int, last: int) -> None:
    """The events of days first..last-1."""
    events = [event for event in EVENTS if first * DAY_US <= event.time - START_US < last * DAY_US]
    workspace.log.append(Kind.EVENTS, events, [event.time for event in events])


def entries(workspace: Workspace) -> dict[str, int]:
    """Keys in the memo, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (workspace.data / "memo").iterdir() if path.is_dir()}


def same(one: Release, other: Release) -> bool:
    return (one.manifest.files, one.manifest.metrics) == (other.manifest.files, other.manifest.metrics)


def test_with_a_memo_without_one_and_with_a_damaged_one_the_bytes_are_the_same(shop: Workspace) -> None:
    append(shop, 23, 24)
    before = entries(shop)
    remembered, _ = train(shop, promote=False)
    assert entries(shop) == before  # all of it was taken
    for file in (shop.data / "memo").glob("*/*.npy"):
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    damaged, _ = train(shop, promote=False)
    assert shop.memo.forget()
    fresh, _ = train(shop, promote=False)
    assert same(remembered, fresh)
    assert same(damaged, fresh)


def test_once_a_window_is_over_its_examples_are_made_and_those_of_the_oldest_go(shop: Workspace) -> None:
    before = set(entries(shop))
    append(shop, 23, 28)
    remembered, _ = train(shop, promote=False)
    after = set(entries(shop))
    assert (len(after), len(before & after)) == (6, 2)  # search, two windows, models, ranker, meaning; the last and one of the windows are as they were
    assert shop.memo.forget()
    assert same(remembered, train(shop, promote=False)[0])


def test_other_settings_or_another_catalogue_take_nothing(shop: Workspace) -> None:
    before = set(entries(shop))
    shop.log.append(Kind.ITEMS, [Item("bread-0", title="renamed")])
    train(shop, promote=False)
    assert not before & set(entries(shop))


def test_who_asks_to_be_forgotten_while_a_training_runs_is_in_no_memo(shop: Workspace) -> None:
    snapshot = Snapshot.of(shop)
    shop.log.append(Kind.ERASURES, [Erasure("person-1", START_US)])
    assert shop.memo.forget()
    train(shop, promote=False, snapshot=snapshot)
    assert entries(shop) == {}
    memory = Remembering(shop.memo, Snapshot.of(shop))
    memory.note("new", lambda draft: draft.put_json("x", 1))
    memory.keep(shop, lineage(memory.snapshot))
    assert set(entries(shop)) == {"new"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    with Workspace(tmp_path_factory.mktemp("whole"), village_settings(), ManualClock(EVENTS[-1].time + 1)) as workspace:
        workspace.log.append(Kind.ITEMS, ITEMS, [START_US] * len(ITEMS))
        append(workspace, 0, 30)
        yield Snapshot.of(workspace)


@settings(max_examples=25, deadline=None)
@given(days=st.tuples(st.integers(12 * DAY_S, 30 * DAY_S), st.integers(12 * DAY_S, 30 * DAY_S)))
def test_windows_stand_still_side_by_side_until_one_is_over_and_end_where_the_last_stretch_begins(whole: Snapshot, days: tuple[int, int]) -> None:
    one, other = (replace(whole, history=whole.history.before(at), as_of=at) for at in (START_US + day * US_PER_S for day in days))
    for snapshot in (one, other):
        (cut, end), windows = snapshot.last_stretch, snapshot.windows
        assert (cut - START_US) % (5 * DAY_US) == 0
        assert 5 * DAY_US <= end - cut < 10 * DAY_US
        assert [last for _, last in windows] == [*(begin for begin, _ in windows), cut][1:]
        assert all(snapshot.positives_before(begin) >= LEAST_BEFORE for begin, _ in windows)
    if one.last_stretch[0] == other.last_stretch[0]:
        assert one.windows == other.windows


def test_a_log_too_short_for_the_grid_is_cut_as_late_as_it_can_be(whole: Snapshot) -> None:
    at = START_US + 9 * DAY_US
    short = replace(whole, history=whole.history.before(at), as_of=at)
    assert short.last_stretch == (at - 5 * DAY_US, at)
