"""The columns item state is made of: tiles in runs, recent events, catalogue records waiting to be shown."""

from collections.abc import Collection
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from vernal.events.catalogue import flags_of
from vernal.events.history import SLOTS
from vernal.events.schema import Item
from vernal.features.table import Table

LEAST_ROOM = 1_024
Kind = TypeVar("Kind", bound=np.generic)


class Tiles(NamedTuple):
    """Runs of tiles, item after item."""

    start: NDArray[np.int64]  # (n_items + 1,) where each item's run begins
    tile: NDArray[np.uint32]  # (n,) start of the tile, 5-minute units
    amount: NDArray[np.int64]  # (n, n_measures)

    @classmethod
    def room(cls, n_items: int, n_tiles: int, n_measures: int) -> "Tiles":
        return cls(np.zeros(n_items + 1, np.int64), np.empty(n_tiles, np.uint32), np.empty((n_tiles, n_measures), np.int64))


class Recent:
    """Events since the last pass, as growing columns."""

    def __init__(self) -> None:
        self.n = 0
        self.columns: tuple[NDArray[Any], ...] = tuple(np.empty(LEAST_ROOM, kind) for kind in (np.int64, np.int64, np.uint8, np.int32))

    def append(self, *added: NDArray[Any]) -> None:
        total = self.n + len(added[0])
        if total > len(self.columns[0]):
            self.columns = tuple(grown(column, max(total, 2 * len(column))) for column in self.columns)
        for column, values in zip(self.columns, added, strict=True):
            column[self.n : total] = values
        self.n = total

    def drop(self, n: int) -> None:
        """Forgets the oldest n."""
        self.columns = tuple(np.concatenate([column[n : self.n], column[: max(0, LEAST_ROOM - self.n + n)]]) for column in self.columns)
        self.n -= n


class Described(NamedTuple):
    """Catalogue records as columns."""

    numbers: NDArray[np.int64]
    attributes: NDArray[np.int32]  # (n, n_attributes, SLOTS)
    flags: NDArray[np.uint8]
    text_at: NDArray[np.int64]
    title_bytes: NDArray[np.uint16]

    @classmethod
    def of(cls, numbers: NDArray[np.int64], records: Collection[tuple[Item, list[list[int]]]], n_attributes: int) -> "Described":
        n = len(numbers)
        attributes = np.zeros((n, n_attributes, SLOTS), np.int32)
        for place, (_, coded) in enumerate(records):
            for attribute, codes in enumerate(coded):
                attributes[place, attribute, : len(codes)] = codes
        flags = np.fromiter((flags_of(record) for record, _ in records), np.uint8, n)
        return cls(numbers, attributes, flags, np.zeros(n, np.int64), np.zeros(n, np.uint16))

    def write(self, table: Table) -> None:
        for name in ("attributes", "flags", "text_at", "title_bytes"):
            getattr(table, name)[self.numbers] = getattr(self, name)


def grown(array: NDArray[Kind], n: int) -> NDArray[Kind]:
    """The array with room for n rows; new ones are zero."""
    larger = np.zeros((n, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
