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
    n_items : how many items had been mentioned by then; None = all that ever were, where nobody asks for more than it can know
    """

    def __init__(self, log: EventLog, until: int, n_items: int | None = None) -> None:
        self.log, self.until, self.n_items = log, until, n_items

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
        """Ids are durable facts; numbers that were not given yet are left out where it is known which."""
        ids = self.log.items_after(number)
        return ids if self.n_items is None else ids[: max(0, self.n_items - number)]

    def close(self) -> None:
        """The log belongs to whoever opened it."""
