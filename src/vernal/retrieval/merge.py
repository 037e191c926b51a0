"""From one ranked list per source to candidates: fair shares, one bit per source, every score of every candidate."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.board import Board, find, place
from vernal.retrieval.ials import dot
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.relations import Relations
from vernal.retrieval.sources import (
    CONTENT,
    COVISITATION,
    COVISITATION_LAST,
    EASE,
    EASE_LAST,
    FRESH,
    HISTORY,
    HISTORY_COUNT,
    IALS,
    IALS_LAST,
    TRENDING,
    Lists,
    Trending,
    worth_of,
)

FRESH_HALF_LIFE_S = 7 * 86_400.0


class Vectors(NamedTuple):
    """Item vectors, and what they are multiplied with."""

    known: F32  # (n_models, dim)
    extra: F32  # (n_extra, dim) of the items after them
    user: F32  # (dim,)
    last: F32  # (dim,) of the newest query item; zero when unknown


class Found(NamedTuple):
    """The candidates, as they are filled."""

    item: I32  # (k,)
    sources: NDArray[np.uint32]  # (k,)
    scores: F32  # (k, n_scores)


@njit(cache=True, nogil=True)
def merge(lists: Lists, shares: F32, board: Board, found: Found) -> int:
    """Takes from the lists in turn, each in proportion to its share, until there are k distinct items; returns how many.

    An exhausted list leaves its places to the others. A bit is set for every list that holds the item, wherever it stood. Each candidate's
    row of the board holds its place in `slot`.
    """
    n, sizes, slot = 0, lists.sizes, board.slot
    taken, turn = np.zeros(sizes.shape[0], np.int64), np.zeros(sizes.shape[0], np.float32)
    while n < found.item.shape[0]:
        chosen = -1
        for source in range(sizes.shape[0]):
            if taken[source] < sizes[source] and (chosen < 0 or turn[source] < turn[chosen]):
                chosen = source
        if chosen < 0:
            break
        row = place(lists.items[chosen, taken[chosen]], board.item_of.shape[0], board)
        taken[chosen] += 1
        if slot[row] < 0:
            slot[row] = n
            found.item[n], found.sources[n] = board.item_of[row], 0
            n += 1
            turn[chosen] += 1 / shares[chosen]
    for source in range(sizes.shape[0]):
        for at in range(sizes[source]):
            row = find(lists.items[source, at], board)
            if row >= 0 and slot[row] >= 0:
                found.sources[slot[row]] |= np.uint32(1 << source)
    return n


@njit(cache=True, nogil=True)
def fill(n: int, board: Board, trending: Trending, vectors: Vectors, first_seen: NDArray[np.uint32], now_s: int, found: Found) -> None:
    """Every score of every candidate: what the sources added up by item, the products with the user's vector, the age."""
    out, dim, n_known = found.scores, vectors.user.shape[0], vectors.known.shape[0]
    pull(n, vectors.known, first_seen, found)
    for r in range(n):
        item = found.item[r]
        row = find(item, board)
        for column in (HISTORY, COVISITATION, EASE, CONTENT, HISTORY_COUNT):
            out[r, column] = board.columns[column, row]
        out[r, TRENDING] = worth_of(item, trending)
        out[r, IALS] = out[r, IALS_LAST] = out[r, COVISITATION_LAST] = out[r, EASE_LAST] = 0
        if item < n_known:
            out[r, IALS], out[r, IALS_LAST] = dot(vectors.known[item], vectors.user, dim), dot(vectors.known[item], vectors.last, dim)
        elif item < n_known + vectors.extra.shape[0]:
            v = vectors.extra[item - n_known]
            out[r, IALS], out[r, IALS_LAST] = dot(v, vectors.user, dim), dot(v, vectors.last, dim)
        seen = float(first_seen[item])
        out[r, FRESH] = 2.0 ** (-max(0.0, now_s - seen) / FRESH_HALF_LIFE_S) if seen > 0 else 0.0


@njit(cache=True, nogil=True)
def pull(n: int, known: F32, first_seen: NDArray[np.uint32], found: Found) -> None:
    """Touches every cache line of the candidates' vectors, so that they load side by side and not one after another.

    The sum goes where the first score will be written, which keeps the compiler from leaving it out.
    """
    total = np.float32(0)
    for r in range(n):
        item = found.item[r]
        if item < known.shape[0]:
            for k in range(0, known.shape[1], 16):
                total += known[item, k]
        total += np.float32(first_seen[item])
    if n:
        found.scores[0, 0] = total


@njit(cache=True, nogil=True)
def fill_last(relations: Relations, item: int, board: Board, out: F32) -> None:
    """Co-visitation and EASE of the newest query item alone, as columns of their own."""
    start, entries = relations.start, relations.entries
    if not 0 <= item < (start.shape[0] - 1) // 3:
        return
    for section in range(2):
        column = (COVISITATION_LAST, EASE_LAST)[section]
        for t in range(start[3 * item + section], start[3 * item + section + 1]):
            row = find(entries[t, 0], board)
            if row >= 0 and board.slot[row] >= 0:
                out[board.slot[row], column] = np.int32(entries[t, 1]).view(np.float32)


@njit(cache=True, nogil=True)
def collect(
    lists: Lists,
    shares: F32,
    board: Board,
    trending: Trending,
    relations: Relations,
    vectors: Vectors,
    first_seen: NDArray[np.uint32],
    now_s: int,
    newest: int,
    found: Found,
) -> int:
    """Merges the lists and fills all scores; returns the number of candidates. `newest` is the newest query item, -1 = none."""
    n = merge(lists, shares, board, found)
    fill(n, board, trending, vectors, first_seen, now_s, found)
    fill_last(relations, newest, board, found.scores)
    return n
