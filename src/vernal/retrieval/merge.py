"""From one ranked list per source to candidates: fair shares, one bit per source, every score of every candidate."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.ials import dot
from vernal.retrieval.linear import F32, I32
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
    N_COLUMNS,
    TRENDING,
)

FRESH_HALF_LIFE_S = 7 * 86_400.0


@njit(cache=True, nogil=True)
def merge(items: I32, sizes: I32, shares: F32, limit: int, slot: I32, out_item: I32, out_sources: NDArray[np.uint32]) -> int:
    """Takes from the lists in turn, each in proportion to its share, until `limit` distinct items; returns how many.

    An exhausted list leaves its places to the others. A bit is set for every list that holds the item, wherever it stood. `slot` is
    (capacity,) -1 on entry and holds the candidate's place on exit.
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
        item = items[chosen, taken[chosen]]
        taken[chosen] += 1
        if slot[item] < 0:
            slot[item] = n
            out_item[n], out_sources[n] = item, 0
            n += 1
            turn[chosen] += 1 / shares[chosen]
    for source in range(n_lists):
        for place in range(sizes[source]):
            at = slot[items[source, place]]
            if at >= 0:
                out_sources[at] |= np.uint32(1 << source)
    return n


@njit(cache=True, nogil=True)
def fill(items: I32, columns: F32, vectors: F32, extra: F32, x: F32, last: F32, first_seen: NDArray[np.uint32], now_s: int, out: F32) -> None:
    """Every score of every candidate: what the sources added up by item, the products with the user's vector, the age.

    `last` is the vector of the newest query item; both vectors may be zero.
    """
    dim = x.shape[0]
    for r in range(items.shape[0]):
        item = items[r]
        for column in (TRENDING, HISTORY, COVISITATION, EASE, CONTENT, HISTORY_COUNT):
            out[r, column] = columns[item, column]
        out[r, IALS] = out[r, IALS_LAST] = out[r, COVISITATION_LAST] = out[r, EASE_LAST] = 0
        if item < vectors.shape[0]:
            out[r, IALS], out[r, IALS_LAST] = dot(vectors[item], x, dim), dot(vectors[item], last, dim)
        elif item < vectors.shape[0] + extra.shape[0]:
            row = item - vectors.shape[0]
            out[r, IALS], out[r, IALS_LAST] = dot(extra[row], x, dim), dot(extra[row], last, dim)
        seen = float(first_seen[item])
        out[r, FRESH] = 2.0 ** (-max(0.0, now_s - seen) / FRESH_HALF_LIFE_S) if seen > 0 else 0.0


@njit(cache=True, nogil=True)
def fill_last(start: NDArray[np.int64], index: I32, value: F32, item: int, slot: I32, column: int, out: F32) -> None:
    """One relation's row of the newest query item, as a column of its own."""
    if 0 <= item < start.shape[0] - 1:
        for t in range(start[item], start[item + 1]):
            at = slot[index[t]]
            if at >= 0:
                out[at, column] = value[t]


@njit(cache=True, nogil=True)
def clean(touched: I32, n_touched: I32, items: I32, columns: F32, slot: I32) -> None:
    """Leaves the workspace as a request finds it: touched rows zero, no slots."""
    for source in range(touched.shape[0]):
        for t in range(n_touched[source]):
            for column in range(N_COLUMNS):
                columns[touched[source, t], column] = 0
        n_touched[source] = 0
    for item in items:
        slot[item] = -1


