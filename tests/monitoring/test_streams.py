"""Rows of events: what a window says of itself, whatever windows came before and however the log was read."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.clock import ManualClock
from vernal.events.history import DESCRIBED, History
from vernal.events.reading import type_codes
from vernal.events.schema import Event, Item, Kind
from vernal.monitoring.bins import MISSING, UNSEEN
from vernal.monitoring.schema import MISSING_KEY
from vernal.monitoring.streams import KNOWN, LONGEST_GAP_S, MOST_ROWS, NEW, NUMBERS, Arrivals, Events, Items, Rows, joined
from vernal.terms import US_PER_S, VALUE_SCALE
from vernal.testing.memory import MemoryLog
from vernal.testing.tiny import tiny_settings, tiny_world

SETTINGS, HISTORY, CATALOGUE = tiny_world(n_events=600, n_users=9)
CODES = type_codes(SETTINGS)
DAY_US = 86_400 * US_PER_S


def events() -> Events:
    return Events(CODES, Items.of(CATALOGUE, HISTORY.n_items))


def column(rows: Rows, name: str) -> np.ndarray:
    return rows.numeric[:, NUMBERS.index(name)]


def of(name: str, history: History = HISTORY) -> History:
    return history.rows(np.flatnonzero(history.type == CODES[name]))


def test_rows_are_those_of_the_type_with_their_value_and_lag() -> None:
    rows, mine = events().rows(HISTORY, 0)["buy"], of("buy")
    assert rows.n == len(mine)
    value = np.where(mine.value == 0, np.nan, mine.value / VALUE_SCALE)
    assert np.array_equal(column(rows, "value"), value, equal_nan=True)
    assert np.array_equal(column(rows, "lag"), (mine.received_at - mine.time) / US_PER_S)


@given(cut=st.integers(1, 599), name=st.sampled_from(["view", "buy"]))
def test_gap_and_count_are_what_a_loop_over_the_users_past_gives(cut: int, name: str) -> None:
    made = events()
    made.meet(HISTORY.rows(slice(0, cut)))
    window = HISTORY.rows(slice(cut, None))
    rows, mine, past = made.rows(window, 0)[name], of(name, window), of(name, HISTORY.rows(slice(0, cut)))
    newest = {int(user): int(past.time[past.user == user].max()) for user in np.unique(past.user)}
    counts = np.bincount(mine.user, minlength=20)
    for k in range(len(mine)):
        user, time = int(mine.user[k]), int(mine.time[k])
        gap = min(max(time - newest[user], 0) / US_PER_S, LONGEST_GAP_S) if user in newest else LONGEST_GAP_S
        assert column(rows, "gap")[k] == gap
        assert column(rows, "events_of_user")[k] == counts[user]
        newest[user] = time


def test_hours_of_a_user_are_those_in_which_they_did_something_of_any_type() -> None:
    rows, mine = events().rows(HISTORY, 0)["view"], of("view")
    hours = {int(user): len(np.unique(HISTORY.time[HISTORY.user == user] // (3_600 * US_PER_S))) for user in np.unique(HISTORY.user)}
    assert column(rows, "hours_of_user").tolist() == [hours[user] for user in mine.user.tolist()]


@given(cuts=st.lists(st.integers(0, 600), min_size=1, max_size=4))
@settings(max_examples=30)
def test_what_came_before_counts_the_same_in_one_piece_and_in_many(cuts: list[int]) -> None:
    last, whole, pieces = 500, events(), events()
    whole.meet(HISTORY.rows(slice(0, last)))
    bounds = [0, *sorted(min(cut, last) for cut in cuts), last]
    for begin, end in pairwise(bounds):
        pieces.rows(HISTORY.rows(slice(begin, end)), 0)
    window = HISTORY.rows(slice(last, None))
    one, other = whole.rows(window, 7), pieces.rows(window, 7)
    for name in one:
        assert np.array_equal(one[name].numeric, other[name].numeric, equal_nan=True)
        assert np.array_equal(one[name].categorical, other[name].categorical)


def test_users_and_items_are_known_from_the_window_after_their_first() -> None:
    made = Events(CODES, Items(["colour"]))
    made.items.grow(HISTORY.n_items)
    first, second = HISTORY.rows(slice(0, 300)), HISTORY.rows(slice(300, None))
    assert set(made.rows(first, 0)["view"].categorical[:, 0]) == {NEW}
    seen = set(first.item.tolist())
    keys = made.rows(second, 1)["view"].categorical
    assert set(keys[:, 0]) == {KNOWN}
    assert keys[:, 1].tolist() == [KNOWN if item in seen else NEW for item in of("view", second).item.tolist()]


def test_an_item_the_catalogue_describes_is_known_before_its_first_event_and_no_item_is_missing() -> None:
    described = replace(CATALOGUE, flags=np.where(np.arange(len(CATALOGUE)) < 5, DESCRIBED, 0).astype(np.uint8))
    history = replace(HISTORY, item=np.where(np.arange(len(HISTORY)) % 7 == 0, -1, HISTORY.item).astype(np.int32))
    keys = Events(CODES, Items.of(described, HISTORY.n_items)).rows(history, 0)["view"].categorical
    for item, (_, known, colour) in zip(of("view", history).item.tolist(), keys.tolist(), strict=True):
        assert known == (MISSING_KEY if item < 0 else KNOWN if item < 5 else NEW)
        assert colour == (MISSING_KEY if item < 0 else int(CATALOGUE.attributes[item, 0, 0]))


def test_a_window_of_many_rows_is_sampled_and_counts_all_of_them() -> None:
    n = 3 * MOST_ROWS
    many = HISTORY.rows(np.arange(n) % len(HISTORY))
    made = events()
    rows = made.rows(many, 3)["view"]
    assert (len(rows.numeric), rows.n > MOST_ROWS) == (MOST_ROWS, True)
    assert rows.summary(made.bins([rows])).rows == rows.n
    again = events().rows(many, 3)["view"]
    assert np.array_equal(rows.numeric, again.numeric, equal_nan=True)


def test_new_identities_are_never_seen_before_and_every_category_of_the_catalogue_is_known() -> None:
    made = events()
    rows = made.rows(HISTORY, 0)["view"]
    counts = rows.summary(made.bins([rows])).counts
    user, item, colour = counts[len(NUMBERS) :]
    assert user[UNSEEN] == rows.n
    assert item[UNSEEN] == colour[UNSEEN] == colour[MISSING] == 0


def log_of(n: int = 200) -> MemoryLog:
    log = MemoryLog(ManualClock())
    log.append(Kind.ITEMS, [Item("a", attributes={"colour": ["red"]})], [0])
    for k in range(n):
        log.append(Kind.EVENTS, [Event(f"e{k}", "view" if k % 3 else "buy", f"u{k % 5}", f"i{k % 11}", k * 3_600 * US_PER_S)], [k * 3_600 * US_PER_S])
        if k == 100:
            log.append(Kind.ITEMS, [Item("i3", attributes={"colour": ["blue"]})], [k * 3_600 * US_PER_S])
    return log


def test_the_log_read_in_windows_is_the_log_read_at_once() -> None:
    one, many = (Arrivals(log_of(), tiny_settings(), Items(["colour"])) for _ in range(2))
    whole = one.before(9 * DAY_US)
    parts = joined([many.before(day * DAY_US) for day in range(1, 10)])
    assert len(whole) == 200
    for name in ("user", "item", "type", "time", "received_at", "value", "offset"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


def test_a_catalogue_record_counts_from_its_window_on() -> None:
    arrivals = Arrivals(log_of(), tiny_settings(), Items(["colour"]))
    number = list(arrivals.log.items_after(0)).index("i3")
    arrivals.before(4 * DAY_US)
    assert not arrivals.items.codes[number, 0]
    arrivals.before(5 * DAY_US)
    assert arrivals.values()[0][arrivals.items.codes[number, 0]] == "blue"


def test_what_comes_later_than_its_window_is_in_the_next_one() -> None:
    log = log_of(30)
    arrivals = Arrivals(log, tiny_settings(), Items([]))
    assert len(arrivals.before(2 * DAY_US)) == 30
    log.append(Kind.EVENTS, [Event("late", "view", "u1", "i1", DAY_US)], [DAY_US])
    assert len(arrivals.before(3 * DAY_US)) == 1
