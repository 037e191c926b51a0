"""From one ranked list per source to candidates: fair shares, one bit per source, every score of every candidate."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.board import U8, find, place
from vernal.retrieval.ials import dot
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.sources import CONTENT, COVISITATION, COVISITATION_LAST, EASE, EASE_LAST, FRESH, HISTORY, HISTORY_COUNT, IALS, IALS_LAST, TRENDING

FRESH_HALF_LIFE_S = 7 * 86_400.0


@njit(cache=True, nogil=True)
def merge(
    items: I32, sizes: I32, shares: F32, limit: int, table: I32, item_of: I32, slot: I32, counts: I32, out_item: I32, out_sources: NDArray[np.uint32]
) -> int:
    """Takes from the lists in turn, each in proportion to its share, until `limit` distinct items; returns how many.

    An exhausted list leaves its places to the others. A bit is set for every list that holds the item, wherever it stood. Each candidate's
    row of the board holds its place in `slot`.
    """
    n, n_lists = 0, sizes.shape[0]
    taken, turn = np.zeros(n_lists, np.int64), np.zeros(n_lists, np.float32)
    while n < limit:
        chosen = -1
        for source in range(n_lists):
            if taken[source] < sizes[source] and (chosen < 0 or turn[source] < turn[chosen]):
                chosen = source
        if chosen < 0:
            break
        row = place(items[chosen, taken[chosen]], item_of.shape[0], table, item_of, counts)
        taken[chosen] += 1
        if slot[row] < 0:
            slot[row] = n
            out_item[n], out_sources[n] = item_of[row], 0
            n += 1
            turn[chosen] += 1 / shares[chosen]
    for source in range(n_lists):
        for at in range(sizes[source]):
            row = find(items[source, at], table, item_of)
            if row >= 0 and slot[row] >= 0:
                out_sources[slot[row]] |= np.uint32(1 << source)
    return n


@njit(cache=True, nogil=True)
def fill(items: I32, table: I32, item_of: I32, columns: F32, vectors: F32, extra: F32, x: F32, last: F32, first_seen: NDArray[np.uint32], now_s: int, out: F32) -> None:
    """Every score of every candidate: what the sources added up by item, the products with the user's vector, the age.

    `last` is the vector of the newest query item; both vectors may be zero.
    """
    dim = x.shape[0]
    for r in range(items.shape[0]):
        item = items[r]
        row = find(item, table, item_of)
        for column in (TRENDING, HISTORY, COVISITATION, EASE, CONTENT, HISTORY_COUNT):
            out[r, column] = columns[column, row]
        out[r, IALS] = out[r, IALS_LAST] = out[r, COVISITATION_LAST] = out[r, EASE_LAST] = 0
        if item < vectors.shape[0]:
            out[r, IALS], out[r, IALS_LAST] = dot(vectors[item], x, dim), dot(vectors[item], last, dim)
        elif item < vectors.shape[0] + extra.shape[0]:
            at = item - vectors.shape[0]
            out[r, IALS], out[r, IALS_LAST] = dot(extra[at], x, dim), dot(extra[at], last, dim)
        seen = float(first_seen[item])
        out[r, FRESH] = 2.0 ** (-max(0.0, now_s - seen) / FRESH_HALF_LIFE_S) if seen > 0 else 0.0


@njit(cache=True, nogil=True)
def fill_last(start: NDArray[np.int64], entries: I32, item: int, table: I32, item_of: I32, slot: I32, out: F32) -> None:
    """Co-visitation and EASE of the newest query item alone, as columns of their own."""
    if not 0 <= item < (start.shape[0] - 1) // 3:
        return
    for section in range(2):
        column = (COVISITATION_LAST, EASE_LAST)[section]
        for t in range(start[3 * item + section], start[3 * item + section + 1]):
            row = find(entries[t, 0], table, item_of)
            if row >= 0 and slot[row] >= 0:
                out[slot[row], column] = np.int32(entries[t, 1]).view(np.float32)


@njit(cache=True, nogil=True)
def collect(
    items: I32, sizes: I32, shares: F32, limit: int, table: I32, item_of: I32, blocked: U8, slot: I32, columns: F32, counts: I32, start: NDArray[np.int64], entries: I32,
    vectors: F32, extra: F32, x: F32, last: F32, first_seen: NDArray[np.uint32], now_s: int, newest: int, out_item: I32, out_sources: NDArray[np.uint32], out: F32,
) -> int:
    """Merges the lists and fills all scores; returns the number of candidates."""
    n = merge(items, sizes, shares, limit, table, item_of, slot, counts, out_item, out_sources)
    fill(out_item[:n], table, item_of, columns, vectors, extra, x, last, first_seen, now_s, out)
    fill_last(start, entries, newest, table, item_of, slot, out)
    return n
