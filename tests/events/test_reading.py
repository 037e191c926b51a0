from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.clock import ManualClock
from vernal.config import Events, EventType, Items, Settings
from vernal.engines.sqlite import SqliteLog
from vernal.events.archive import Archive
from vernal.events.history import DESCRIBED, HIDDEN, History, fixed_point, fixed_points
from vernal.events.reading import read_catalogue, read_history, read_slates, type_codes
from vernal.events.schema import Erasure, Event, Item, Kind, Slate
from vernal.terms import IMPRESSION, IMPRESSION_CODE

SETTINGS = Settings(events=Events(types={"view": EventType(), "buy": EventType()}))
CODES = type_codes(SETTINGS)


def slate(user: str, numbers: list[int], rec_id: str = "r") -> Slate:
    blob = np.zeros(len(numbers), np.float32).tobytes()
    ids = [str(number) for number in numbers]
    return Slate(rec_id, 5_000_000, user, "home", "a", "r1", "full", b"{}", 7, 1, 2, 300, ids, np.array(numbers, np.uint32).tobytes(), blob, blob, b"")


def filled(log: SqliteLog) -> SqliteLog:
    """Two users, three items, a slate in between."""
    log.append(Kind.EVENTS, [Event("1", "view", "ann", "a", 1_000_000, 2.5), Event("2", "dance", "bob", "", 2_000_000)], [1_000_000, 3_000_000])
    log.append(Kind.SLATES, [slate("cleo", [0, 1])])
    log.append(Kind.ITEMS, [Item("b")])
    log.append(Kind.EVENTS, [Event("3", "buy", "ann", "c", 3_000_000)])
    return log


def test_types_are_coded_in_the_order_of_the_config() -> None:
    assert type_codes(Settings(events=Events(types={"buy": EventType(), IMPRESSION: EventType(), "view": EventType()}))) == {IMPRESSION: 1, "buy": 2, "view": 3}


def test_history_is_the_log_in_columns(log: SqliteLog) -> None:
    history = read_history(filled(log), None, CODES)
    assert history.users == ["ann", "bob", "cleo"]
    assert history.user.tolist() == [0, 1, 2, 2, 0]
    assert history.item.tolist() == [0, -1, 0, 1, 2]
    assert history.type.tolist() == [2, 0, IMPRESSION_CODE, IMPRESSION_CODE, 3]
    assert history.value.tolist() == [2500, 0, 0, 0, 0]
    assert history.offset.tolist() == [1, 2, 3, 3, 5]
    assert history.n_items == 3


def test_what_was_available_is_a_prefix(log: SqliteLog, clock: ManualClock) -> None:
    history = read_history(filled(log), None, CODES)
    assert (np.diff(history.received_at) >= 0).all()
    assert len(history.before(3_000_000)) == 1
    assert len(history.before(clock.now())) == 2


def test_an_empty_log_is_an_empty_history(log: SqliteLog) -> None:
    history = read_history(log, None, CODES)
    assert (len(history), history.users, history.n_items) == (0, [], 0)


def test_a_reading_can_stop_at_an_offset(log: SqliteLog) -> None:
    assert read_history(filled(log), None, CODES, until=1).offset.tolist() == [1]


def test_an_ordered_erasure_is_obeyed_before_it_is_carried_out(log: SqliteLog) -> None:
    filled(log).append(Kind.ERASURES, [Erasure("ann", 1)])
    log.append(Kind.EVENTS, [Event("9", "view", "ann", "a", 4_000_000)])
    history = read_history(log, None, CODES)
    assert [history.users[code] for code in history.user] == ["bob", "cleo", "cleo", "ann"]
    assert history.offset.tolist()[-1] == 7


def same(one: History, other: History) -> bool:
    columns = ("user", "item", "type", "time", "received_at", "value", "offset")
    return one.users == other.users and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)


@pytest.mark.parametrize("more", [0, 1, 5])
def test_history_is_the_same_with_and_without_an_archive(log: SqliteLog, tmp_path: Path, more: int) -> None:
    archive = Archive(tmp_path / "archive")
    archive.sync(filled(log))
    for n in range(more):
        log.append(Kind.EVENTS, [Event(f"more {n}", "view", f"user {n}", "a", n)])
    assert same(read_history(log, archive, CODES), read_history(log, None, CODES))


def test_slates_come_with_their_offsets(log: SqliteLog) -> None:
    filled(log).append(Kind.SLATES, [slate("x", [2], "r2")])
    assert [(offset, found.rec_id) for offset, found in read_slates(log)] == [(3, "r"), (6, "r2")]
    assert [offset for offset, _ in read_slates(log, after=3)] == [6]


def test_a_later_item_record_replaces_an_earlier_one_whole(log: SqliteLog) -> None:
    log.append(Kind.EVENTS, [Event("1", "view", "u", "undescribed", 1)])
    log.append(Kind.ITEMS, [Item("a", "first", attributes={"g": ["x"], "other": ["not configured"]}), Item("b", hidden=True), Item("c"), Item("a", "second")])
    log.append(Kind.ITEMS, [Item("c", deleted=True)])
    catalogue = read_catalogue(log, Items(attributes=["g"]))
    assert catalogue.ids == ["undescribed", "a", "b", "c"]
    assert catalogue.titles[1] == "second"
    assert catalogue.attributes[1].tolist() == [[0, 0, 0, 0]]
    assert catalogue.flags.tolist() == [0, DESCRIBED, DESCRIBED | HIDDEN, HIDDEN]


def test_codes_of_attribute_values_only_ever_grow(log: SqliteLog) -> None:
    log.append(Kind.ITEMS, [Item("a", attributes={"g": ["z", "y"]})])
    before = read_catalogue(log, Items(attributes=["g"])).vocabularies[0]
    log.append(Kind.ITEMS, [Item("a", attributes={"g": ["q"]}), Item("b", attributes={"g": ["y", "q", "r", "s", "t"]})])
    after = read_catalogue(log, Items(attributes=["g"]))
    assert after.vocabularies[0][: len(before)] == before
    assert len(set(after.vocabularies[0])) == len(after.vocabularies[0])
    assert (after.attributes[1, 0] > 0).all()


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_values_are_the_same_one_by_one_and_all_at_once(values: list[float]) -> None:
    assert fixed_points(values).tolist() == [fixed_point(value) for value in values]
