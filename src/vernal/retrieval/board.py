"""The board of one request: a small table from item number to a row of scores, so that a request touches kilobytes however large the catalogue.

`table` is an open-addressing hash of rows (-1 = free, length a power of two), `item_of[row]` the item, `columns[c, row]` its score in column c,
`blocked[row]` whether it may not be recommended, `slot[row]` its place among the candidates (-1 = none); `counts[0]` rows are in use.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.linear import F32, I32

U8 = NDArray[np.uint8]
HIDDEN = 2  # events.history.HIDDEN, as a compile-time constant


@njit(cache=True, nogil=True, inline="always")
def home(item: int, table: I32) -> int:
    """Where the search for an item begins."""
    return ((np.int64(item) * 2_654_435_769) >> 8) & (table.shape[0] - 1)


@njit(cache=True, nogil=True, inline="always")
def find(item: int, table: I32, item_of: I32) -> int:
    """The item's row; -1 = none."""
    at = home(item, table)
    while table[at] >= 0 and item_of[table[at]] != item:
        at = (at + 1) & (table.shape[0] - 1)
    return table[at]


@njit(cache=True, nogil=True, inline="always")
def place(item: int, most: int, table: I32, item_of: I32, counts: I32) -> int:
    """The item's row, a fresh one (zero since `clear`) when it has none; -1 when `most` rows are in use."""
    at = home(item, table)
    while table[at] >= 0:
        if item_of[table[at]] == item:
            return table[at]
        at = (at + 1) & (table.shape[0] - 1)
    row = counts[0]
    if row >= most:
        return -1
    counts[0], table[at], item_of[row] = row + 1, row, item
    return row


@njit(cache=True, nogil=True)
def clear(table: I32, item_of: I32, blocked: U8, slot: I32, columns: F32, counts: I32) -> None:
    """Empties the board: the rows in use become zero, unblocked and no candidates."""
    used = counts[0]
    table[:] = -1
    blocked[:used] = 0
    slot[:used] = -1
    for column in range(columns.shape[0]):
        columns[column, :used] = 0
    counts[0] = 0


@njit(cache=True, nogil=True, inline="always")
def eligible(item: int, n: int, flags: U8, need: int, allowed: U8) -> bool:
    """May this item be recommended to anybody: known, described where a catalogue exists, not hidden, passing the filter."""
    if item < 0 or item >= n or (flags[item] & (HIDDEN | need)) != need:
        return False
    return allowed.shape[0] == 0 or (item < allowed.shape[0] and allowed[item] != 0)


@njit(cache=True, nogil=True, inline="always")
def barred(item: int, table: I32, item_of: I32, blocked: U8) -> bool:
    """Is this item excluded or seen in this request."""
    row = find(item, table, item_of)
    return row >= 0 and blocked[row] != 0
