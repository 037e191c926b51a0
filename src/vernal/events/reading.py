"""The log (and its archive) as columns: in go batches, out come `History`, `Catalogue` and slates.

A reader fixes the newest offset first and stops there, so appends that go on meanwhile never give half a picture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vernal.config import Items, Settings
from vernal.events.archive import Archive
from vernal.events.catalogue import CatalogueBuilder
from vernal.events.history import Catalogue, History, fixed_points
from vernal.events.ports import EventReader
from vernal.events.schema import Batch, Event, Kind, Slate
from vernal.terms import FIRST_TYPE_CODE, IMPRESSION, IMPRESSION_CODE, ITEM, OFFSET, OTHER_CODE, RECEIVED_AT, TIME, TYPE, USER, VALUE

CHUNK = 50_000
HISTORICAL = frozenset({Kind.EVENTS, Kind.SLATES, Kind.ERASURES})
COLUMNS: Mapping[str, Any] = {
    "user": np.int32, "item": np.int32, "type": np.uint8, "time": np.int64, "received_at": np.int64, "value": np.int32, "offset": np.int64
}  # fmt: skip


def type_codes(settings: Settings) -> dict[str, int]:
    """Event type -> code in state; a type that is not here has `OTHER_CODE`.

    >>> type_codes(Settings())
    {'impression': 1, 'view': 2}
    """
    named = [name for name in settings.events.types if name != IMPRESSION]
    return {IMPRESSION: IMPRESSION_CODE} | {name: FIRST_TYPE_CODE + position for position, name in enumerate(named)}


def batches(log: EventReader, kinds: frozenset[Kind], after: int = 0, until: int | None = None) -> Iterator[Batch]:
    """Every batch of these kinds with offsets in (after, until]; until = the end of the log as it is now."""
    until = log.end() if until is None else until
    while after < until:
        last = after
        for batch in log.read(after, CHUNK, kinds):
            if batch.first > until:
                return
            last = batch.last
            yield batch if last <= until else Batch(batch.first, batch.received_at, batch.kind, batch.records[: until - batch.first + 1])
        if last == after:
            return
        after = last


def read_history(log: EventReader, archive: Archive | None, codes: Mapping[str, int], until: int | None = None) -> History:
    """Everything that happened, in order of arrival.

    Parameters
    ----------
    log
        The log to read.
    archive
        Where older events can be read faster; none = all from the log. The result is the same.
    codes
        `type_codes(settings)`.
    until
        Last offset to read; default: the end.

    A slate gives one impression per item, all with the slate's offset. Records without a user have the user id "". What an erasure
    orders to forget is left out.

    Cost: about 1.5 us and 60 bytes per event.
    """
    until = log.end() if until is None else until
    columns = Columns(log.items_after(0), codes)
    archived = archive.end() if archive and archive.end() <= until else 0
    if archive and archived:
        columns.add_archived(archive)
        for batch in batches(log, HISTORICAL - {Kind.EVENTS}, until=archived):
            columns.add(batch)
    for batch in batches(log, HISTORICAL, archived, until):
        columns.add(batch)
    return in_order(columns.history()) if archived else columns.history()


def read_catalogue(log: EventReader, items: Items, until: int | None = None) -> Catalogue:
    """What is known of every item, by item number.

    Only attributes named in `items.attributes` are coded. Cost: about 5 us per item record.
    """
    ids = log.items_after(0)
    numbers = {item: number for number, item in enumerate(ids)}
    builder = CatalogueBuilder(list(items.attributes))
    for batch in batches(log, frozenset({Kind.ITEMS}), until=until):
        for record in batch.records:
            if record.item in numbers:  # one numbered after `ids` was read belongs to the next reading
                builder.put(numbers[record.item], record)
    return builder.build(ids)


def read_slates(log: EventReader, after: int = 0) -> Iterator[tuple[int, Slate]]:
    """Every logged slate above an offset, with its offset."""
    for batch in batches(log, frozenset({Kind.SLATES}), after):
        yield from enumerate(batch.records, batch.first)


class Columns:
    """Collects batches into the columns of a `History`; rows are pending until `SPILL` of them make an array."""

    SPILL = 200_000

    def __init__(self, item_ids: list[str], codes: Mapping[str, int]) -> None:
        self.numbers = {item: number for number, item in enumerate(item_ids)} | {"": -1}
        self.codes, self.n_items = codes, len(item_ids)
        self.users: dict[str, int] = {}
        self.parts: dict[str, list[NDArray[Any]]] = {name: [] for name in COLUMNS}
        self.pending: list[Event] = []
        self.pending_offsets: list[int] = []
        self.pending_arrivals: list[int] = []
        self.erased: dict[int, int] = {}  # user code -> offset of the erasure

    def add(self, batch: Batch) -> None:
        if batch.kind is Kind.EVENTS:
            self.pending += batch.records
            self.pending_offsets += range(batch.first, batch.last + 1)
            self.pending_arrivals += [batch.received_at] * len(batch.records)
            if len(self.pending) >= self.SPILL:
                self.spill()
            return
        self.spill()
        for offset, record in enumerate(batch.records, batch.first):
            if batch.kind is Kind.SLATES:
                self.add_slate(offset, batch.received_at, record)
            else:
                self.erased[self.users.setdefault(record.user, len(self.users))] = offset

    def spill(self) -> None:
        """Turns pending events into arrays."""
        events, codes, users = self.pending, self.codes, self.users
        if not events:
            return
        self.put(
            user=[users.setdefault(event.user, len(users)) for event in events],
            item=[self.numbers.get(event.item, -1) for event in events],
            type=[codes.get(event.type, OTHER_CODE) for event in events],
            time=[event.time for event in events],
            received_at=self.pending_arrivals,
            value=fixed_points([event.value or 0.0 for event in events]),
            offset=self.pending_offsets,
        )
        self.pending, self.pending_offsets, self.pending_arrivals = [], [], []

    def add_archived(self, archive: Archive) -> None:
        frame = archive.events([USER, ITEM, TYPE, TIME, RECEIVED_AT, VALUE, OFFSET])
        users = self.users
        self.put(
            user=[users.setdefault(user, len(users)) for user in frame[USER].to_list()],
            item=[self.numbers.get(item, -1) for item in frame[ITEM].to_list()],
            type=[self.codes.get(name, OTHER_CODE) for name in frame[TYPE].to_list()],
            time=frame[TIME].to_physical().to_numpy(),
            received_at=frame[RECEIVED_AT].to_physical().to_numpy(),
            value=fixed_points(frame[VALUE].cast(pl.Float64).fill_null(0.0).to_numpy()),
            offset=frame[OFFSET].to_numpy(),
        )

    def add_slate(self, offset: int, received_at: int, slate: Slate) -> None:
        items = np.frombuffer(slate.item_numbers, dtype=np.uint32).astype(np.int32)  # (k,)
        user = self.users.setdefault(slate.user, len(self.users))
        same = {"user": user, "type": IMPRESSION_CODE, "time": slate.time, "received_at": received_at, "value": 0, "offset": offset}
        self.put(item=items, **{name: np.full(len(items), value) for name, value in same.items()})

    def put(self, **columns: Any) -> None:
        for name, values in columns.items():
            self.parts[name].append(np.asarray(values, dtype=COLUMNS[name]))

    def history(self) -> History:
        self.spill()
        arrays = {name: np.concatenate([np.empty(0, COLUMNS[name]), *self.parts[name]]) for name in COLUMNS}
        history = History(users=list(self.users), n_items=self.n_items, **arrays)
        for user, offset in self.erased.items():
            history = history.rows((history.user != user) | (history.offset > offset))
        return in_order(history) if self.erased else history


def in_order(history: History) -> History:
    """A history put together from several readings, as one reading would have given it: by offset, users numbered by first row."""
    history = history.rows(np.argsort(history.offset, kind="stable"))
    codes, firsts = np.unique(history.user, return_index=True)
    order = np.argsort(firsts, kind="stable")
    renumbered = np.zeros(len(history.users), dtype=np.int32)
    renumbered[codes[order]] = np.arange(len(codes), dtype=np.int32)
    return replace(history, users=[history.users[code] for code in codes[order]], user=renumbered[history.user])
