"""The log as it was at an offset, behind the port of the log: what is folded from it cannot see what came later."""

from collections.abc import Iterator, Sequence
from typing import Any

from vernal.errors import StateError
from vernal.events.ports import EventLog
from vernal.events.schema import Batch, Kind, Receipt


class PastLog:
    """A log that ends at `until`; moving `until` on lets more of it be seen.

    Parameters
    ----------
    log : the whole log; nothing is ever appended to it through this
    until : last offset that is seen
    """

    def __init__(self, log: EventLog, until: int) -> None:
        self.log, self.until = log, until

    def append(self, kind: Kind, records: Sequence[Any], received_at: Sequence[int] | None = None) -> list[Receipt]:
        """Never appends: the past is closed."""
        raise StateError.past(f"{len(records)} {kind.name} records, arrival {received_at or 'now'}")

    def append_many(self, groups: Sequence[tuple[Kind, Sequence[Any]]], received_at: Sequence[int] | None = None) -> list[list[Receipt]]:
        """Never appends: the past is closed."""
        raise StateError.past(f"{len(groups)} groups of records, arrival {received_at or 'now'}")

    def erase(self, user: str) -> int:
        """Never erases: the past is closed."""
        raise StateError.past(f"the erasure of {user!r}")

    def read(self, after: int, limit: int = 10_000, kinds: frozenset[Kind] | None = None) -> Iterator[Batch]:
        for batch in self.log.read(after, limit, kinds):
            if batch.first > self.until:
                return
            yield batch if batch.last <= self.until else Batch(batch.first, batch.received_at, batch.kind, batch.records[: self.until - batch.first + 1])

    def end(self) -> int:
        return min(self.until, self.log.end())

    def items_after(self, number: int) -> list[str]:
        """Ids are durable facts; a number that was not given yet is asked by nobody who only sees the past."""
        return self.log.items_after(number)

    def close(self) -> None:
        """The log belongs to whoever opened it."""
