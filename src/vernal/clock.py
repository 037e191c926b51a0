"""The only source of the present. Rooms take a `Clock`; tests and replay pass `ManualClock`, so no test sleeps."""

import time
from typing import Protocol


class Clock(Protocol):
    """Gives the present as UTC microseconds since 1970 (int)."""

    def now(self) -> int: ...


class SystemClock:
    """The machine's clock.

    Example
    -------
    >>> SystemClock().now() > 1_600_000_000_000_000
    True
    """

    def now(self) -> int:
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that moves when told.

    Example
    -------
    >>> clock = ManualClock(1_000)
    >>> clock.advance(seconds=2)
    >>> clock.now()
    2001000
    """

    def __init__(self, at: int = 1_700_000_000_000_000) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def advance(self, *, seconds: float) -> None:
        self.at += round(seconds * 1_000_000)
