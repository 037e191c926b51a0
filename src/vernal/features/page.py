"""A page of the log as columns, for the stream worker."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.events.history import fixed_points
from vernal.events.schema import Batch, Event, Item, Kind
from vernal.terms import IMPRESSION_CODE, OTHER_CODE, US_PER_S


class Names:
    """Item ids and numbers as the log gave them, fetched when an unknown one turns up."""

    def __init__(self, items_after: Callable[[int], list[str]]) -> None:
        self.items_after = items_after
        self.ids: list[str] = []
        self.known: dict[str, int] = {"": -1}

    def numbers(self, items: Sequence[str]) -> NDArray[np.int64]:
        """(n,) int64 item numbers; -1 for the empty id."""
        if any(item not in self.known for item in items):
            fresh = self.items_after(len(self.ids))
            self.known.update((item, number) for number, item in enumerate(fresh, len(self.ids)))
            self.ids += fresh
        return np.fromiter(map(self.known.__getitem__, items), np.int64, len(items))


class Columns(NamedTuple):
    """Events and impressions of a page."""

    user: NDArray[np.int64]  # (n,) place in Page.users
    item: NDArray[np.int64]  # (n,) item number, -1 = none
    type: NDArray[np.uint8]
    time: NDArray[np.int64]  # UTC s
    value: NDArray[np.int32]
    offset: NDArray[np.int64]


class Page:
    """Batches, read once.

    Parameters
    ----------
    batches : in log order
    codes : event type -> code
    names : the log's item numbers
    """

    def __init__(self, batches: Sequence[Batch], codes: Mapping[str, int], names: Names) -> None:
        self.records = sum(len(batch.records) for batch in batches)
        self.last = batches[-1].last if batches else 0
        self.received_at = batches[-1].received_at if batches else 0  # UTC us
        self.user_places: dict[str, int] = {}
        self.erased = {record.user: offset for offset, _, record in rows_of(batches, Kind.ERASURES)}  # user -> offset of the newest erasure
        events, slates = columns_of_events(batches, codes, names, self.user_places), columns_of_slates(batches, self.user_places)
        self.columns = Columns(*(np.concatenate([ours, theirs]) for ours, theirs in zip(events, slates, strict=True)))
        described = list(rows_of(batches, Kind.ITEMS))
        numbers = names.numbers([record.item for _, _, record in described])
        self.catalogue: list[tuple[int, int, Item]] = [(offset, int(number), record) for (offset, _, record), number in zip(described, numbers, strict=True)]
        arrivals = [batch.received_at for batch in batches if batch.kind is Kind.EVENTS for _ in batch.records]
        offsets = [*events.offset.tolist(), *(offset for offset, _, _ in described)]
        arrivals += [arrival for _, arrival, _ in described]
        self.mentioned = first_mentions(np.concatenate([events.item, numbers]), np.array(offsets, np.int64), np.array(arrivals, np.int64))

    @property
    def users(self) -> list[str]:
        return list(self.user_places)

    def kept(self, erased: Mapping[str, int]) -> NDArray[np.bool_]:
        """(n,) bool: false for the rows of users erased later than they happened."""
        until = np.array([erased.get(user, -1) for user in self.user_places], np.int64)
        return self.columns.offset > until[self.columns.user] if erased and len(until) else np.ones(len(self.columns.user), np.bool_)

    def has_user(self) -> NDArray[np.bool_]:
        """(n,) bool: false for rows of nobody in particular."""
        nobody = self.user_places.get("", -1)
        return self.columns.user != nobody


def rows_of(batches: Sequence[Batch], kind: Kind) -> chain[tuple[int, int, Any]]:
    """(offset, arrival in UTC us, record) of every record of a kind."""
    return chain.from_iterable(
        ((offset, batch.received_at, record) for offset, record in enumerate(batch.records, batch.first)) for batch in batches if batch.kind is kind
    )


def columns_of_events(batches: Sequence[Batch], codes: Mapping[str, int], names: Names, users: dict[str, int]) -> Columns:
    events: list[Event] = list(chain.from_iterable(batch.records for batch in batches if batch.kind is Kind.EVENTS))
    offsets = chain.from_iterable(range(batch.first, batch.last + 1) for batch in batches if batch.kind is Kind.EVENTS)
    n = len(events)
    return Columns(
        np.fromiter((users.setdefault(event.user, len(users)) for event in events), np.int64, n),
        names.numbers([event.item for event in events]),
        np.fromiter((codes.get(event.type, OTHER_CODE) for event in events), np.uint8, n),
        np.fromiter((event.time for event in events), np.int64, n) // US_PER_S,
        fixed_points([event.value or 0.0 for event in events]),
        np.fromiter(offsets, np.int64, n),
    )


def columns_of_slates(batches: Sequence[Batch], users: dict[str, int]) -> Columns:
    """One impression per item of every slate."""
    slates = list(rows_of(batches, Kind.SLATES))
    items = [np.frombuffer(slate.item_numbers, np.uint32) for _, _, slate in slates]
    sizes = [len(numbers) for numbers in items]
    user = np.repeat(np.array([users.setdefault(slate.user, len(users)) for _, _, slate in slates], np.int64), sizes)
    time = np.repeat(np.array([slate.time for _, _, slate in slates], np.int64) // US_PER_S, sizes)
    offset = np.repeat(np.array([offset for offset, _, _ in slates], np.int64), sizes)
    n = len(user)
    item = np.concatenate([np.empty(0, np.int64), *items]).astype(np.int64)
    return Columns(user, item, np.full(n, IMPRESSION_CODE, np.uint8), time, np.zeros(n, np.int32), offset)


def first_mentions(numbers: NDArray[np.int64], offsets: NDArray[np.int64], arrivals: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(distinct item numbers ascending, arrival in UTC s of the first record that names each)."""
    order = np.argsort(offsets, kind="stable")
    order = order[numbers[order] >= 0]
    found, first = np.unique(numbers[order], return_index=True)
    return found, arrivals[order[first]].astype(np.int64) // US_PER_S
