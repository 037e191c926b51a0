"""What the rest of Vernal needs of an event log."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from vernal.events.schema import Batch, Kind, Receipt


class EventLog(Protocol):
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

    def read(self, after: int, limit: int = 10_000) -> Iterator[Batch]:
        """Batches with offsets above `after`, in order, about `limit` records."""
        ...

    def end(self) -> int:
        """The newest offset; 0 when empty. Cheap enough to poll (<= 20 us)."""
        ...

    def items_after(self, number: int) -> list[str]:
        """Ids of the items numbered `number`, `number + 1`, ...: an item's number is the order of its first mention in the log, a durable fact."""
        ...

    def close(self) -> None: ...
