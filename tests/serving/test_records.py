"""The newest record of every item and user follows the log; an erased user leaves it."""

import numpy as np
import pytest

from vernal.clock import ManualClock
from vernal.engines.lmdb import LmdbState
from vernal.engines.sqlite import SqliteLog
from vernal.events.archive import Archive
from vernal.events.schema import Erasure, Event, Item, Kind, User
from vernal.memo import Memo
from vernal.release import Lineage
from vernal.serving.records import RecordFold, Records

CLOCK = ManualClock()


@pytest.fixture
def log(tmp_path):
    made = SqliteLog(tmp_path / "log.db", CLOCK)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path):
    made = LmdbState(tmp_path / "records", readonly=False, map_bytes=2**24)
    yield made
    made.close()


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "archive")


@pytest.fixture
def memo(tmp_path):
    return Memo(tmp_path / "memo")


def folded(log, archive, store, memo):
    fold = RecordFold(log, archive, store, memo)
    while fold.step():
        pass
    return fold


def test_a_later_record_replaces_an_earlier_one_whole(log, archive, store, memo):
    log.append(Kind.ITEMS, [Item("a", title="A", text="old"), Item("a", title="B")])
    folded(log, archive, store, memo)
    assert Records(store).item("a").record == Item("a", title="B")


def test_a_deleted_item_has_no_record(log, archive, store, memo):
    log.append(Kind.ITEMS, [Item("a"), Item("a", deleted=True)])
    folded(log, archive, store, memo)
    assert Records(store).item("a") is None


def test_an_item_and_a_user_of_the_same_name_are_two(log, archive, store, memo):
    log.append(Kind.ITEMS, [Item("x", title="an item")])
    log.append(Kind.USERS, [User("x", {"plan": ["gold"]})])
    folded(log, archive, store, memo)
    assert (Records(store).item("x").record.title, Records(store).user("x").record.attributes) == ("an item", {"plan": ["gold"]})


def test_folding_goes_on_where_it_stopped(log, archive, store, memo):
    log.append(Kind.ITEMS, [Item("a")])
    folded(log, archive, store, memo)
    log.append(Kind.EVENTS, [Event("e", "view", "u", "a", 1)])
    log.append(Kind.ITEMS, [Item("b")])
    again = RecordFold(log, archive, store, memo)
    assert (again.step(), again.step(), [kept is not None for kept in Records(store).items(["a", "b", "c"])]) == (1, 0, [True, True, False])


def test_an_erasure_waits_for_the_state_and_then_empties_the_log(log, archive, store, memo):
    log.append(Kind.EVENTS, [Event("e1", "view", "gone", "a", 1), Event("e2", "view", "kept", "a", 1)])
    order = log.append(Kind.ERASURES, [Erasure("gone", 2)])[0].offset
    fold = folded(log, archive, store, memo)
    assert fold.finish_erasures(applied=order - 1) == 0
    assert fold.finish_erasures(applied=order) == 1
    assert {record.user for batch in log.read(0) for record in batch.records} == {"kept"}


def test_an_erasure_cut_short_by_a_crash_is_finished_after_it(log, archive, store, memo):
    log.append(Kind.USERS, [User("gone")])
    order = log.append(Kind.ERASURES, [Erasure("gone", 2)])[0].offset
    folded(log, archive, store, memo)
    after_the_crash = RecordFold(log, archive, store, memo)
    assert (Records(store).user("gone"), after_the_crash.finish_erasures(order), list(log.read(0))) == (None, 1, [])


def test_an_erasure_empties_the_archive_too_once_nobody_else_writes_it(log, archive, store, memo):
    log.append(Kind.EVENTS, [Event("e1", "view", "gone", "a", 1), Event("e2", "view", "kept", "a", 1)])
    archive.sync(log)
    order = log.append(Kind.ERASURES, [Erasure("gone", 2)])[0].offset
    fold = folded(log, archive, store, memo)
    with archive.writer(wait=True):
        assert (fold.finish_erasures(order), fold.erasing) == (0, {"gone": order})
    assert (fold.finish_erasures(order), archive.events(["user"])["user"].to_list()) == (1, ["kept"])


def test_an_erasure_leaves_nothing_of_what_trainings_remember(log, archive, store, memo):
    memo.keep({"a": lambda draft: draft.put_array("x", np.ones(3))}, Lineage(log_from=1, log_to=2, as_of=0, config="", plan="", code="", seed=0))
    log.append(Kind.EVENTS, [Event("e1", "view", "gone", "a", 1)])
    order = log.append(Kind.ERASURES, [Erasure("gone", 2)])[0].offset
    fold = folded(log, archive, store, memo)
    with memo.locked(memo.folder, wait=True):  # a trainer writes
        assert fold.finish_erasures(order) == 0
    assert fold.finish_erasures(order) == 1
    assert not any(path.is_dir() for path in memo.folder.iterdir())
