"""The newest record of every item and user follows the log; an erased user leaves it."""

import pytest

from vernal.clock import ManualClock
from vernal.engines.lmdb import LmdbState
from vernal.engines.sqlite import SqliteLog
from vernal.events.archive import Archive
from vernal.events.schema import Erasure, Event, Item, Kind, User
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


def folded(log, archive, store):
    fold = RecordFold(log, archive, store)
    while fold.step():
        pass
    return fold


def test_a_later_record_replaces_an_earlier_one_whole(log, archive, store):
    log.append(Kind.ITEMS, [Item("a", title="A", text="old"), Item("a", title="B")])
    folded(log, archive, store)
    assert Records(store).item("a").record == Item("a", title="B")


def test_a_deleted_item_has_no_record(log, archive, store):
    log.append(Kind.ITEMS, [Item("a"), Item("a", deleted=True)])
    folded(log, archive, store)
    assert Records(store).item("a") is None


def test_an_item_and_a_user_of_the_same_name_are_two(log, archive, store):
    log.append(Kind.ITEMS, [Item("x", title="an item")])
    log.append(Kind.USERS, [User("x", {"plan": ["gold"]})])
    folded(log, archive, store)
    assert (Records(store).item("x").record.title, Records(store).user("x").record.attributes) == ("an item", {"plan": ["gold"]})


def test_folding_goes_on_where_it_stopped(log, archive, store):
    log.append(Kind.ITEMS, [Item("a")])
    folded(log, archive, store)
    log.append(Kind.EVENTS, [Event("e", "view", "u", "a", 1)])
    log.append(Kind.ITEMS, [Item("b")])
    again = RecordFold(log, archive, store)
    assert (again.step(), again.step(), [kept is not None for kept in Records(store).items(["a", "b", "c"])]) == (1, 0, [True, True, False])


def test_an_erasure_waits_for_the_state_and_then_empties_the_log(log, archive, store):
    log.append(Kind.EVENTS, [Event("e1", "view", "gone", "a", 1), Event("e2", "view", "kept", "a", 1)])
    order = log.append(Kind.ERASURES, [Erasure("gone", 2)])[0].offset
    fold = folded(log, archive, store)
    assert fold.finish_erasures(applied=order - 1) == 0
    assert fold.finish_erasures(applied=order) == 1
    assert {record.user for batch in log.read(0) for record in batch.records} == {"kept"}


def test_an_erasure_cut_short_by_a_crash_is_finished_after_it(log, archive, store):
    log.append(Kind.USERS, [User("gone")])
    order = log.append(Kind.ERASURES, [Erasure("gone", 2)])[0].offset
    folded(log, archive, store)
    after_the_crash = RecordFold(log, archive, store)
    assert (Records(store).user("gone"), after_the_crash.finish_erasures(order), list(log.read(0))) == (None, 1, [])


def test_an_erasure_empties_the_archive_too_once_nobody_else_writes_it(log, archive, store):
    log.append(Kind.EVENTS, [Event("e1", "view", "gone", "a", 1), Event("e2", "view", "kept", "a", 1)])
    archive.sync(log)
    order = log.append(Kind.ERASURES, [Erasure("gone", 2)])[0].offset
    fold = folded(log, archive, store)
    with archive.writer(wait=True):
        assert (fold.finish_erasures(order), fold.erasing) == (0, {"gone": order})
    assert (fold.finish_erasures(order), archive.events(["user"])["user"].to_list()) == (1, ["kept"])
