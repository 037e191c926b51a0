"""The fallback ladder: its rungs, best first, and what a request may still spend.

A rung is taken when its parts are there and its time is left; the answer names it. No rung is an error while any below it works.
"""

import math
import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class Rung(StrEnum):
    """How an answer was made, best first."""

    FULL = "full"  # all retrievers, all features, the ranker
    FAST = "fast"  # the ranker without user and pair values
    RETRIEVAL = "retrieval"  # candidates in retrieval order
    SEGMENT = "trending_in_segment"  # popular items of the user's commonest first attribute
    TRENDING = "trending"
    STATIC = "static"  # the standing list of the release


ORDER = tuple(Rung)
PLACE = {rung: place for place, rung in enumerate(ORDER)}
NEED_US = {Rung.FULL: 600.0, Rung.FAST: 400.0, Rung.RETRIEVAL: 800.0, Rung.SEGMENT: 150.0, Rung.TRENDING: 100.0, Rung.STATIC: 0.0}  # p99 at 1M items, generous


class Laps:
    """Where the time of one answer went, for the stage breakdown; the default keeps nothing."""

    def __init__(self, *, keep: bool = False) -> None:
        self.keep, self.taken_us, self.since = keep, dict[str, float](), time.perf_counter_ns()

    def lap(self, stage: str) -> None:
        if self.keep:
            now = time.perf_counter_ns()
            self.taken_us[stage] = self.taken_us.get(stage, 0.0) + (now - self.since) / 1_000
            self.since = now


SILENT = Laps()


def unlimited() -> float:
    return math.inf


class Budget(NamedTuple):
    """What a request may spend.

    Parameters
    ----------
    left_us : microseconds left; default: no limit
    best : best rung to use; replay passes the rung the answer was logged with
    laps : keeps where the time went
    """

    left_us: Callable[[], float] = unlimited
    best: Rung = Rung.FULL
    laps: Laps = SILENT

    def allows(self, rung: Rung) -> bool:
        """Whether a rung is within the budget. Asked just before its own work, so needs are those of the work still to do."""
        return PLACE[rung] >= PLACE[self.best] and self.left_us() >= NEED_US[rung]


UNLIMITED = Budget()
