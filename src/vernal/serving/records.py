"""The newest record of every item and user, by id: what `GET /v1/items/{id}` answers.

Derived from the log like all state, with its own applied offset; the stream worker writes it, API workers read it. Records that
take part in ranking are in the live item table; this keeps what ranking does not need: texts, properties, users' attributes.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from vernal.events.archive import Archive
from vernal.events.ports import EventLog
from vernal.events.schema import Batch, Erasure, Item, Kind, User
from vernal.features.ports import StateStore
from vernal.memo import Memo

Record = TypeVar("Record", Item, User)
KINDS = frozenset({Kind.ITEMS, Kind.USERS, Kind.ERASURES})
AT_ONCE = 20_000
PENDING = b"E"


class Kept(msgspec.Struct, Generic[Record], array_like=True, frozen=True):
    """A record and where in the log it stands."""

    offset: int
    record: Record


encoder = msgspec.msgpack.Encoder()
item_decoder = msgspec.msgpack.Decoder(Kept[Item])
user_decoder = msgspec.msgpack.Decoder(Kept[User])


def item_key(item: str) -> bytes:
    return b"I" + item.encode()


def user_key(user: str) -> bytes:
    return b"U" + user.encode()


class Records:
    """Reads the newest records.

    Parameters
    ----------
    store : key-value state of its own, beside the features' state
    """

    def __init__(self, store: StateStore) -> None:
        self.store = store

    def item(self, item: str) -> Kept[Item] | None:
        found = self.store.get(item_key(item))
        return item_decoder.decode(found) if found is not None else None

    def items(self, items: list[str]) -> list[Kept[Item] | None]:
        return [item_decoder.decode(found) if found is not None else None for found in self.store.get_many([item_key(item) for item in items])]

    def user(self, user: str) -> Kept[User] | None:
        found = self.store.get(user_key(user))
        return user_decoder.decode(found) if found is not None else None


class RecordFold:
    """Writes the newest records as the log grows, and finishes erasures. One writer."""

    def __init__(self, log: EventLog, archive: Archive, store: StateStore, memo: Memo) -> None:
        self.log, self.archive, self.store, self.memo, self.after = log, archive, store, memo, store.offset()
        pending = store.get(PENDING)
        self.erasing: dict[str, int] = msgspec.msgpack.decode(pending, type=dict[str, int]) if pending else {}  # user -> offset of the order

    def step(self) -> int:
        """Folds what the log has beyond the applied offset, up to about `AT_ONCE` records; returns how many."""
        puts: dict[bytes, bytes | None] = {}
        n, last, end = 0, 0, self.log.end()
        for batch in self.log.read(self.after, AT_ONCE, KINDS):
            puts.update(changes(batch))
            n, last = n + len(batch.records), batch.last
            if batch.kind is Kind.ERASURES:
                self.erasing.update({order.user: batch.last for order in batch.records})
        self.after = last if n >= AT_ONCE else max(last, end)  # events and slates in between are not looked at again
        if n:
            puts[PENDING] = encoder.encode(self.erasing)
            written = [(key, value) for key, value in puts.items() if value is not None]
            self.store.commit(written, [key for key, value in puts.items() if value is None], last)
        return n

    def finish_erasures(self, applied: int) -> int:
        """Removes from log, archive and memo every user whose erasure all state has applied (up to offset `applied`); returns how many users.

        One whom archive or memo cannot forget just now, because a trainer is writing it, stays ordered.
        """
        due = [user for user, order in self.erasing.items() if order <= min(applied, self.store.offset())]
        done = [user for user in due if self.log.erase(user) >= 0 and self.archive.erase(user) is not None and self.memo.forget()]
        for user in done:
            del self.erasing[user]
            self.store.commit([(PENDING, encoder.encode(self.erasing))], [], self.store.offset())
        return len(done)


def changes(batch: Batch) -> Iterator[tuple[bytes, bytes | None]]:
    """Key and new value per record; no value means delete."""
    for position, record in enumerate(batch.records):
        offset = batch.first + position
        if isinstance(record, Erasure):
            yield user_key(record.user), None
        elif isinstance(record, User):
            yield user_key(record.user), encoder.encode(Kept(offset, record))
        else:
            yield item_key(record.item), None if record.deleted else encoder.encode(Kept(offset, record))
