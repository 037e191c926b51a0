"""The only source of the present. Rooms take a `Clock`; tests and replay pass `ManualClock`, so no test sleeps."""

import mmap
import time
from pathlib import Path
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


class SharedClock:
    """A clock in a file, moved by one process and read by many: a drill takes a whole server through days.

    Parameters
    ----------
    at : where it begins; none = it is there already

    Example
    -------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "clock"
    >>> driven, reader = SharedClock(file, at=5), SharedClock(file)
    >>> driven.move(7)
    >>> reader.now()
    7
    """

    def __init__(self, file: Path, at: int | None = None) -> None:
        if at is not None:
            file.write_bytes(at.to_bytes(8, "little"))
        with file.open("r+b") as opened:
            self.moment = memoryview(mmap.mmap(opened.fileno(), 8)).cast("q")  # one aligned store or load each

    def now(self) -> int:
        return self.moment[0]

    def move(self, at: int) -> None:
        """Moves it to UTC us `at`."""
        self.moment[0] = at
