"""An event log and a state store in memory: the whole ports, nothing on disk. For tests, examples and replay."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from vernal.clock import Clock
from vernal.events.schema import Batch, Erasure, Event, Item, Kind, Receipt, Slate


class MemoryLog:
    """Implements `events.ports.EventLog`; gone with the process.

    Example
    -------
    >>> from vernal.clock import ManualClock
    >>> log = MemoryLog(ManualClock())
    >>> event = Event("e1", "view", "ada", "book", 1)
    >>> log.append(Kind.EVENTS, [event, event])
    [Receipt(offset=1, duplicate=False), Receipt(offset=1, duplicate=True)]
    >>> log.end(), log.items_after(0)
    (1, ['book'])
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.batches: list[Batch] = []
        self.seen: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self.newest, self.last = 0, 0  # newest arrival, last offset

    def append(self, kind: Kind, records: Sequence[Any], received_at: Sequence[int] | None = None) -> list[Receipt]:
        arrivals = list(received_at) if received_at is not None else [self.clock.now()] * len(records)
        receipts = []
        for record, arrival in zip(records, arrivals, strict=True):
            if isinstance(record, Event) and record.event_id in self.seen:
                receipts.append(Receipt(self.seen[record.event_id], True))
                continue
            self.newest, self.last = max(self.newest, arrival), self.last + 1
            receipts.append(Receipt(self.last))
            self.note(record)
            self.put(kind, record)
        return receipts

    def append_many(self, groups: Sequence[tuple[Kind, Sequence[Any]]], received_at: Sequence[int] | None = None) -> list[list[Receipt]]:
        return [self.append(kind, records, received_at) for kind, records in groups]

    def note(self, record: Any) -> None:
        """Remembers an event's identity and numbers a new item."""
        if isinstance(record, Event):
            self.seen[record.event_id] = self.last
        if isinstance(record, Event | Item) and record.item:
            self.items.setdefault(record.item, len(self.items))

    def put(self, kind: Kind, record: Any) -> None:
        tail = self.batches[-1] if self.batches else None
        if tail and tail.kind == kind and tail.received_at == self.newest and tail.last == self.last - 1:
            tail.records.append(record)
        else:
            self.batches.append(Batch(self.last, self.newest, kind, [record]))

    def read(self, after: int, limit: int = 10_000, kinds: frozenset[Kind] | None = None) -> Iterator[Batch]:
        given = 0
        for batch in list(self.batches):
            if batch.last <= after or (kinds is not None and batch.kind not in kinds):
                continue
            skipped = max(0, after + 1 - batch.first)
            given += len(batch.records) - skipped
            yield Batch(batch.first + skipped, batch.received_at, batch.kind, batch.records[skipped:])
            if given >= limit:
                return

    def end(self) -> int:
        return self.last

    def items_after(self, number: int) -> list[str]:
        return list(self.items)[number:]

    def erase(self, user: str) -> int:
        kept: list[Batch] = []
        gone = 0
        for batch in self.batches:
            for place, record in enumerate(batch.records):
                if isinstance(record, Event | Slate | Erasure) and record.user == user:
                    gone += 1
                else:
                    kept.append(Batch(batch.first + place, batch.received_at, batch.kind, [record]))
        self.batches = kept
        return gone

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryState:
    """Implements `features.ports.StateStore`; gone with the process."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.applied = 0

    def get(self, key: bytes) -> bytes | None:
        return self.kept.get(key)

    def get_with_offset(self, key: bytes) -> tuple[bytes | None, int]:
        return self.kept.get(key), self.applied

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.kept.get(key) for key in keys]

    def commit(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], offset: int) -> None:
        gone, added = list(deletes), dict(puts)
        for key in gone:
            self.kept.pop(key, None)
        self.kept.update(added)
        self.applied = offset

    def offset(self) -> int:
        return self.applied

    def drop(self) -> None:
        self.kept, self.applied = {}, 0

    def close(self) -> None:
        """Nothing to let go of."""
