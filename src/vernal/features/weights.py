"""How much an event counts at a hop: one table of integers per hop, which every path looks up.

An event at second t is seen from hop H through one *slot*: its 5-minute tile if it is in H's hour or the one before, its hour if in H's day
or the one before, else its day. A weight function (a window or a half-life) is a column of the table, a slot is a row, so an aggregate is
the integer sum of amount x table[slot, column]. Integers commute: any order, grouping or engine gives the same bits.

The table depends on H only through its place in the UTC day, so there are 288 of them; they are made when first asked for.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.terms import DAY_S, HOP_S, HOUR_S, US_PER_S

WINDOW, HALF_LIFE, EVER = 0, 1, 2
ONE = 65_536  # the half-life weight of an event of now
FINE, HOURS, DAYS = 0, 24, 72  # first slots of each level: tiles 0..23 back, hours 24 + 2..47 back, days 72 + 2..horizon back
MIDNIGHT = 20_000 * DAY_S  # any midnight far enough from 0


class Weight(NamedTuple):
    """One weight function."""

    kind: int  # WINDOW, HALF_LIFE or EVER (anything within the horizon)
    seconds: int

    @property
    def unit(self) -> int:
        """What an event of now weighs."""
        return ONE if self.kind == HALF_LIFE else 1


def hop(at_us: int) -> int:
    """The hop of a moment: UTC seconds, a multiple of 300.

    >>> hop(1_700_000_123_456_789)
    1700000100
    """
    return at_us // US_PER_S // HOP_S * HOP_S


def grain(window_s: int) -> int:
    """Seconds of the tile a window moves by."""
    return HOP_S if window_s <= HOUR_S else HOUR_S if window_s <= DAY_S else DAY_S


def n_slots(horizon_days: int) -> int:
    """Rows of the table; the last is the slot of everything beyond the horizon and weighs nothing."""
    return DAYS + horizon_days + 2


@njit(cache=True, nogil=True, inline="always")
def slot_of(at, time, slots):  # type: ignore[no-untyped-def]
    """The slot through which hop `at` sees an event at second `time`; one from beyond the hop's tile is seen as of now."""
    hours = at // 3_600 - time // 3_600
    if hours <= 1:
        return max(at // 300 - time // 300, 0)
    days = at // 86_400 - time // 86_400
    if days <= 1:
        return 24 + hours
    return min(72 + days, slots - 1)


def table(weights: list[Weight], at: int, horizon_days: int) -> NDArray[np.int64]:
    """(n_slots, n_weights) int64, the weights as seen from hop `at`. Read-only."""
    now = MIDNIGHT + at % DAY_S
    rows = n_slots(horizon_days)
    starts = np.array([slot_start(now, slot) for slot in range(rows)], dtype=np.int64)  # (n_slots,) s
    made = np.zeros((rows, len(weights)), dtype=np.int64)
    for column, weight in enumerate(weights):
        made[:, column] = column_of(weight, now, starts)
    made[now // DAY_S - starts // DAY_S > horizon_days] = 0
    made.setflags(write=False)
    return made


def slot_start(now: int, slot: int) -> int:
    """Start of the tile, hour or day that a slot stands for."""
    if slot < HOURS:
        return now - HOP_S * slot
    if slot < DAYS:
        return now - now % HOUR_S - HOUR_S * (slot - HOURS)
    return now - now % DAY_S - DAY_S * (slot - DAYS)


def column_of(weight: Weight, now: int, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    if weight.kind == WINDOW:
        step = grain(weight.seconds)
        return (now // step - starts // step <= weight.seconds // step).astype(np.int64)
    if weight.kind == EVER:
        return np.ones(len(starts), dtype=np.int64)
    return np.array([decayed(age, weight.seconds) for age in ages(now, starts)], dtype=np.int64)


def ages(now: int, starts: NDArray[np.int64]) -> list[int]:
    """Seconds between `now` and the start of the tile (same hour), hour (same day) or day an event is in."""
    hour, day = starts - starts % HOUR_S, starts - starts % DAY_S
    begin = np.where(now // HOUR_S == hour // HOUR_S, starts, np.where(now // DAY_S == day // DAY_S, hour, day))
    return [max(0, int(age)) for age in now - begin]


def decayed(age_s: int, half_life_s: int) -> int:
    """round(65536 x 2^(-age / half-life)).

    >>> decayed(0, 3600), decayed(3600, 3600), decayed(7200, 3600)
    (65536, 32768, 16384)
    """
    return round(ONE * 2.0 ** (-age_s / half_life_s))
