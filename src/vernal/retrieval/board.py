"""The board of one request: a small table from item number to a row of scores, so that a request touches kilobytes however large the catalogue.

The named tuples here go into kernels as they are.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.linear import F32, I32

U8 = NDArray[np.uint8]
HIDDEN = 2  # events.history.HIDDEN, as a compile-time constant


class Mask(NamedTuple):
    """Which items may be recommended to anybody."""

    n: int  # item numbers are below this
    flags: U8  # (>= n,) DESCRIBED | HIDDEN
    need: int  # bits of flags an item must have
    allowed: U8  # (m,) 1 = passes the request's filter; empty = no filter


class Board(NamedTuple):
    """An open-addressing hash of items, and their scores by row; `counts[0]` rows are in use."""

    table: I32  # (power of two,) rows, -1 = free
    item_of: I32  # (rows,) item number
    blocked: U8  # (rows,) 1 = excluded, seen, or the example
    slot: I32  # (rows,) place among the candidates; negative = none
    columns: F32  # (n_columns, rows) scores
    counts: I32  # (2,) rows in use, and the most that may be touched before the candidates are placed


def new_board(n_columns: int, most: int, candidates: int) -> Board:
    """An empty board with `most` rows for touched items and `candidates` beyond them."""
    rows = most + candidates
    table = np.full(1 << int(2 * rows - 1).bit_length(), -1, np.int32)
    item_of, slot = np.empty(rows, np.int32), np.full(rows, -1, np.int32)
    return Board(table, item_of, np.zeros(rows, np.uint8), slot, np.zeros((n_columns, rows), np.float32), np.array([0, most], np.int32))


@njit(cache=True, nogil=True)
def clear(board: Board) -> None:
    """Empties the board: the rows in use become zero, unblocked and no candidates."""
    used = board.counts[0]
    board.table[:] = -1
    board.blocked[:used] = 0
    board.slot[:used] = -1
    for column in range(board.columns.shape[0]):
        board.columns[column, :used] = 0
    board.counts[0] = 0


@njit(cache=True, nogil=True, inline="always")
def home(item: int | np.int64, table: I32) -> int:
    """Where the search for an item begins."""
    return ((np.int64(item) * 2_654_435_769) >> 8) & (table.shape[0] - 1)


@njit(cache=True, nogil=True, inline="always")
def find(item: int, board: Board) -> int:
    """The item's row; -1 = none."""
    at = home(item, board.table)
    while board.table[at] >= 0 and board.item_of[board.table[at]] != item:
        at = (at + 1) & (board.table.shape[0] - 1)
    return board.table[at]


@njit(cache=True, nogil=True, inline="always")
def place(item: int | np.int64, most: int, board: Board) -> int:
    """The item's row, a fresh one (zero since `clear`) when it has none; -1 when `most` rows are in use."""
    at = home(item, board.table)
    while board.table[at] >= 0:
        if board.item_of[board.table[at]] == item:
            return board.table[at]
        at = (at + 1) & (board.table.shape[0] - 1)
    row = board.counts[0]
    if row >= most:
        return -1
    board.counts[0], board.table[at], board.item_of[row] = row + 1, row, item
    return row


@njit(cache=True, nogil=True, inline="always")
def eligible(item: int, mask: Mask) -> bool:
    """May this item be recommended to anybody: known, described where a catalogue exists, not hidden, passing the filter."""
    if item < 0 or item >= mask.n or (mask.flags[item] & (HIDDEN | mask.need)) != mask.need:
        return False
    return mask.allowed.shape[0] == 0 or (item < mask.allowed.shape[0] and mask.allowed[item] != 0)


@njit(cache=True, nogil=True, inline="always")
def barred(item: int, board: Board) -> bool:
    """Is this item excluded or seen in this request."""
    row = find(item, board)
    return row >= 0 and board.blocked[row] != 0
