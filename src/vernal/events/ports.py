"""What the rest of Vernal needs of an event log."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from vernal.events.schema import Batch, Kind, Receipt


class EventReader(Protocol):
    """The half of an event log that reading needs; a log cut off at an offset is one too."""

    def read(self, after: int, limit: int = 10_000, kinds: frozenset[Kind] | None = None) -> Iterator[Batch]:
        """Batches with offsets above `after`, in order, about `limit` records; only these kinds, if given.

        Offsets may have gaps where records were erased. Nothing comes only when nothing is left.
        """
        ...

    def end(self) -> int:
        """The newest offset; 0 when empty. Cheap enough to poll (<= 20 us)."""
        ...

    def items_after(self, number: int) -> list[str]:
        """Ids of the items numbered `number`, `number + 1`, ...: an item's number is the order of its first mention in the log, a durable fact."""
        ...


class EventLog(EventReader, Protocol):
    """A durable, totally ordered, idempotent log. Adapters: `engines.sqlite`; every one passes `tests/conformance`.

    Several processes may append and read at once.
    """

    def append(self, kind: Kind, records: Sequence[Any], received_at: Sequence[int] | None = None) -> list[Receipt]:
        """Appends records and returns once they are durable (fdatasync).

        An `Event` whose `event_id` is known is not appended again; its receipt names the first offset. `received_at` (UTC us,
        ascending) is for imported history only; default: now for all.

        Raises
        ------
        DiskFull
            Nothing of this call was appended.
        """
        ...

    def append_many(self, groups: Sequence[tuple[Kind, Sequence[Any]]], received_at: Sequence[int] | None = None) -> list[list[Receipt]]:
        """Appends several groups with one sync: all of them or none. Receipts per group."""
        ...

    def erase(self, user: str) -> int:
        """Removes every record of a user for good; other offsets keep their numbers. Returns how many went."""
        ...

    def close(self) -> None: ...
