"""Plays facts into a log, as senders would: duplicates included, item records first."""

import numpy as np
from oracle import Fact
from worlds import ATTRIBUTES, START_S

from vernal.clock import ManualClock
from vernal.events.ports import EventLog
from vernal.events.schema import Event, Item, Kind, Slate

KINDS = {0: "other", 2: "view", 3: "buy"}
WORDS = (["", "a", "b"], ["", "x", "y", "z"])
BEFORE_US = (START_S - 3 * 86_400) * 1_000_000
AFTER_US = (START_S + 15 * 86_400) * 1_000_000


def describe(log: EventLog) -> None:
    records = [
        Item(
            f"i{number}",
            title=f"thing {number}",
            attributes={name: [words[code] for code in codes if code] for name, words, codes in zip(("kind", "shade"), WORDS, row, strict=True)},
        )
        for number, row in enumerate(ATTRIBUTES)
    ]
    log.append(Kind.ITEMS, records)


def send(log: EventLog, clock: ManualClock, fact: Fact, number: int) -> None:
    """Appends one fact at its arrival, twice."""
    clock.at = max(clock.at, fact.received_at)
    if fact.type == 1:
        shown = np.array([fact.item] if fact.item >= 0 else [], np.uint32)
        log.append(Kind.SLATES, [slate_of(fact.time, f"u{fact.user}", shown)])
        return
    event = Event(f"e{number}", KINDS[fact.type], f"u{fact.user}", f"i{fact.item}" if fact.item >= 0 else "", fact.time, fact.value / 1_000)
    log.append(Kind.EVENTS, [event])
    log.append(Kind.EVENTS, [event])


def slate_of(time: int, user: str, shown: np.ndarray) -> Slate:
    return Slate("r", time, user, "home", "", "", "full", b"{}", 0, 0, 0, 0, [f"i{n}" for n in shown], shown.tobytes(), b"", b"", b"")
