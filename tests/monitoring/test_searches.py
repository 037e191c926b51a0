"""Searches are watched: that nothing is found, that people ask again, and what they ask for; a shop that nobody searches has no such stream."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from test_watchman import EVENTS, ITEMS, Village, day

from vernal.events.schema import Event, Kind, Slate
from vernal.monitoring.schema import MISSING_KEY
from vernal.monitoring.searches import AGAIN, FOUND, QUERY, SEARCHES, Searches
from vernal.monitoring.watchman import Watchman
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.memory import MemoryLog

ASKED, BROKEN = 150, 34
TEXTS = ("red wine", "cheese", "bread", "white wine", "goat cheese")


def slate(rec_id: str, at: int, user: str, text: str, n: int = 3) -> Slate:
    request = msgspec.json.encode({"q": text, "user": user})
    return Slate(rec_id, at, user, "search", "champion", "r", "full", request, 1, 1, 1, 0, ["x"] * n, b"", b"", b"", b"")


def searched(number: int, nothing: float = 0.05, again: float = 0.1, texts: tuple[str, ...] = TEXTS) -> list[Slate]:
    """A day's searches; a share finds nothing, a share is asked again in other words."""
    draw, made = np.random.default_rng([3, number]), []
    for k in range(ASKED):
        at, text = day(number) + int(draw.integers(DAY_S - 60)) * US_PER_S, texts[int(draw.integers(len(texts)))]
        made.append(slate(f"{number}-{k}", at, f"guest-{k}", text, 0 if draw.random() < nothing else 3))
        if draw.random() < again:
            made.append(slate(f"{number}-{k}-2", at + 20 * US_PER_S, f"guest-{k}", f"{text} please", 3))
    return sorted(made, key=lambda each: each.time)


def shop(folder: Path, until: int = 38, **trouble: object) -> Watchman:
    village = Village(folder, EVENTS[:1])
    village.log = MemoryLog(village.clock)
    village.log.append(Kind.ITEMS, ITEMS, [0] * len(ITEMS))
    for number in range(until):
        records = [*searched(number, **(trouble if number >= BROKEN else {})), *(event for event in visits(number))]
        for record in sorted(records, key=lambda each: each.time):
            village.log.append(Kind.SLATES if isinstance(record, Slate) else Kind.EVENTS, [record], [record.time])
    watchman = village.watchman()
    watchman.step(day(30))
    watchman.step(day(until))
    return watchman


def visits(number: int) -> list[Event]:
    draw = np.random.default_rng([4, number])
    times = np.sort(draw.integers(0, DAY_S, 60)) * US_PER_S + day(number)
    return [Event(f"v{number}-{k}", "view", f"guest-{k}", ITEMS[int(draw.integers(len(ITEMS)))].item, int(at)) for k, at in enumerate(times)]


def columns(watchman: Watchman) -> set[str]:
    return {raised.alarm.column for raised in watchman.state.alarms if raised.stream == SEARCHES}


def test_healthy_searches_raise_nothing(tmp_path: Path) -> None:
    watchman = shop(tmp_path)
    assert SEARCHES in watchman.watches
    assert columns(watchman) == set()


def test_a_shop_that_nobody_searches_has_no_such_stream(tmp_path: Path) -> None:
    village = Village(tmp_path, EVENTS)
    watchman = village.watchman()
    watchman.step(day(40))
    assert SEARCHES not in watchman.watches


@pytest.mark.parametrize(
    ("trouble", "column"),
    [({"nothing": 0.5}, FOUND), ({"again": 0.7}, AGAIN), ({"texts": ("vinyl records", "gramophone")}, QUERY)],
)
def test_what_goes_wrong_with_searches_is_told_by_name(tmp_path: Path, trouble: dict[str, object], column: str) -> None:
    watchman = shop(tmp_path, **trouble)
    assert column in columns(watchman)


def test_asking_again_is_another_text_of_the_same_user_within_a_minute() -> None:
    t = 1_000 * DAY_S * US_PER_S
    told = [(0, "ann", "wine"), (10, "bob", "wine"), (20, "ann", "red wine"), (30, "bob", "WINE "), (200, "ann", "cheese"), (210, "", "x"), (211, "", "y")]
    rows = Searches().rows([slate(str(k), t + at * US_PER_S, user, text) for k, (at, user, text) in enumerate(told)], 0)
    assert rows.categorical[:, 2].tolist() == [0, 0, 1, 0, 0, MISSING_KEY, MISSING_KEY]
