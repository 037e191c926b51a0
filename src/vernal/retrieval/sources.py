"""The kernels of one retrieval: from a user's recent events to a ranked list per source. All nogil, no allocation, masks inside the scans.

`columns` is (capacity, N_COLUMNS) float32, one row per item, so that all scores of a candidate lie in one cache line. A kernel adds to its
column, notes the items it touched, and the touched rows are zeroed at the end of the request.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.ials import dot
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.selection import BUFFER, I64, key_of, shrink, unpack

HIDDEN = 2  # events.history.HIDDEN, as a compile-time constant

# Columns of scores. The first seven are the sources in the order of terms.SOURCES.
TRENDING, HISTORY, COVISITATION, EASE, IALS, CONTENT, FRESH, HISTORY_COUNT, COVISITATION_LAST, EASE_LAST, IALS_LAST = range(11)
SCORE_NAMES = ("trending", "history", "covisitation", "ease", "ials", "content", "fresh", "history_count", "covisitation_last", "ease_last", "ials_last")
N_COLUMNS = 8  # those that are accumulated by item: up to HISTORY_COUNT; IALS and FRESH stay zero there
N_SOURCES = 7
RANK_OFFSET = 10.0  # a place r in a list of popular items is worth RANK_OFFSET / (RANK_OFFSET + r)


@njit(cache=True, nogil=True, inline="always")
def eligible(item: int, n: int, flags: NDArray[np.uint8], need: int, allowed: NDArray[np.uint8], blocked: NDArray[np.uint32], epoch: int) -> bool:
    """May this item be recommended: known, described where a catalogue exists, not hidden, allowed by the filter, not blocked."""
    if item < 0 or item >= n or (flags[item] & (HIDDEN | need)) != need or blocked[item] == epoch:
        return False
    return allowed.shape[0] == 0 or (item < allowed.shape[0] and allowed[item] != 0)


@njit(cache=True, nogil=True)
def block(items: I32, n: int, blocked: NDArray[np.uint32], epoch: int) -> None:
    """Marks items as not to be recommended in this request."""
    for item in items:
        if 0 <= item < n:
            blocked[item] = epoch


@njit(cache=True, nogil=True)
def read_ring(
    time: NDArray[np.uint32], item: NDArray[np.uint32], kind: NDArray[np.uint8], value: I32, type_weight: F32, least: I32, now_s: int, n: int, hide_seen: bool,
    recent: int, half_life: float, history_half_life: float, blocked: NDArray[np.uint32], asked: NDArray[np.uint32], epoch: int, columns: F32, touched: I32, query: I32, weight: F32,
) -> tuple[int, int]:
    """Reads the ring newest first: blocks seen items, adds up own history, and makes the query of distinct recent positives.

    Returns the number of query items (newest first) and of touched items (those with a history score).
    """
    n_query, n_touched, n_positive = 0, 0, 0
    for at in range(len(time) - 1, -1, -1):
        code, number = kind[at], np.int64(item[at])
        if number >= n or type_weight[code] == 0:
            continue
        if hide_seen:
            blocked[number] = epoch
        if value[at] < least[code]:
            continue
        age = max(0.0, float(now_s) - float(time[at]))
        if columns[number, HISTORY_COUNT] == 0:
            touched[n_touched] = number
            n_touched += 1
        columns[number, HISTORY] += type_weight[code] * 2.0 ** (-age / history_half_life)
        columns[number, HISTORY_COUNT] += 1
        n_positive += 1
        if n_positive <= recent and asked[number] != epoch:
            asked[number] = epoch
            query[n_query] = number
            weight[n_query] = type_weight[code] * 2.0 ** (-age / half_life)
            n_query += 1
    return n_query, n_touched


@njit(cache=True, nogil=True)
def add_rows(start: NDArray[np.int64], index: I32, value: F32, query: I32, weight: F32, n_query: int, column: int, columns: F32, touched: I32) -> int:
    """Adds the weighted rows of the query items into one column; returns how many items it touched."""
    n_touched, n_rows = 0, start.shape[0] - 1
    for q in range(n_query):
        if query[q] >= n_rows:
            continue
        for t in range(start[query[q]], start[query[q] + 1]):
            item = index[t]
            if columns[item, column] == 0:
                if n_touched == touched.shape[0]:
                    break
                touched[n_touched] = item
                n_touched += 1
            columns[item, column] += weight[q] * value[t]
    return n_touched


@njit(cache=True, nogil=True)
def add_places(top: I32, n: int, columns: F32, touched: I32) -> int:
    """Adds the worth of places in all popularity lists (every row of `top` but the last); returns how many items it touched."""
    n_lists, n_touched = top.shape[0] - 1, 0
    for row in range(n_lists):
        for place in range(top.shape[1]):
            item = top[row, place]
            if item < 0:
                break
            if item >= n:
                continue
            if columns[item, TRENDING] == 0:
                touched[n_touched] = item
                n_touched += 1
            columns[item, TRENDING] += np.float32(RANK_OFFSET / ((RANK_OFFSET + place) * n_lists))
    return n_touched


@njit(cache=True, nogil=True)
def best(
    touched: I32, n_touched: int, column: int, columns: F32, limit: int, n: int, flags: NDArray[np.uint8], need: int, allowed: NDArray[np.uint8], blocked: NDArray[np.uint32], epoch: int,
    keys: I64, spare: I64, bins: I32, items: I32, scores: F32,
) -> int:
    """The best eligible touched items of one column, best first; returns how many. Non-positive scores never enter."""
    size, threshold, room = 0, np.int64(0), min(keys.shape[0], BUFFER * limit)
    for t in range(n_touched):
        item = touched[t]
        score = columns[item, column]
        if score <= 0:
            continue
        key = key_of(score, item)
        if key > threshold and eligible(item, n, flags, need, allowed, blocked, epoch):
            keys[size] = key
            size += 1
            if size == room:
                size = shrink(keys, spare, bins, size, limit)
                threshold = keys[size - 1]
    size = shrink(keys, spare, bins, size, limit)
    unpack(keys, size, items, scores)
    return size


@njit(cache=True, nogil=True)
def listed_fresh(fresh: I32, limit: int, n: int, flags: NDArray[np.uint8], need: int, allowed: NDArray[np.uint8], blocked: NDArray[np.uint32], epoch: int, items: I32) -> int:
    """The first eligible items of the list of new items; returns how many."""
    size = 0
    for item in fresh:
        if item < 0 or size == limit:
            break
        if eligible(item, n, flags, need, allowed, blocked, epoch):
            items[size] = item
            size += 1
    return size


@njit(cache=True, nogil=True)
def scan(
    vectors: F32, first: int, x: F32, limit: int, size: int, n: int, flags: NDArray[np.uint8], need: int, allowed: NDArray[np.uint8], blocked: NDArray[np.uint32], epoch: int,
    keys: I64, spare: I64, bins: I32,
) -> int:
    """Adds the best products with x to `size` sorted keys, exactly; row r is item first + r. Returns the new number of sorted keys."""
    dim, room = x.shape[0], min(keys.shape[0], BUFFER * limit)
    threshold = keys[size - 1] if size == limit else np.int64(0)
    for row in range(min(vectors.shape[0], n - first)):
        score = dot(vectors[row], x, dim)
        if score <= 0:
            continue
        key = key_of(score, first + row)
        if key > threshold and eligible(first + row, n, flags, need, allowed, blocked, epoch):
            keys[size] = key
            size += 1
            if size == room:
                size = shrink(keys, spare, bins, size, limit)
                threshold = keys[size - 1]
    return shrink(keys, spare, bins, size, limit)


@njit(cache=True, nogil=True)
def propose(
    top: I32, c_start: NDArray[np.int64], c_index: I32, c_value: F32, e_start: NDArray[np.int64], e_index: I32, e_value: F32, t_start: NDArray[np.int64], t_index: I32, t_value: F32,
    query: I32, weight: F32, n_query: int, n_history: int, limit: int, n: int, flags: NDArray[np.uint8], need: int, allowed: NDArray[np.uint8], blocked: NDArray[np.uint32], epoch: int,
    columns: F32, touched: I32, n_touched: I32, keys: I64, spare: I64, bins: I32, items: I32, scores: F32, sizes: I32,
) -> None:
    """Fills the ranked lists of every source but iALS. `touched` is (N_SOURCES, room); row HISTORY is filled already."""
    n_touched[HISTORY] = n_history
    n_touched[TRENDING] = add_places(top, n, columns, touched[TRENDING])
    n_touched[COVISITATION] = add_rows(c_start, c_index, c_value, query, weight, n_query, COVISITATION, columns, touched[COVISITATION])
    n_touched[EASE] = add_rows(e_start, e_index, e_value, query, weight, n_query, EASE, columns, touched[EASE])
    n_touched[CONTENT] = add_rows(t_start, t_index, t_value, query, weight, n_query, CONTENT, columns, touched[CONTENT])
    for source in (TRENDING, HISTORY, COVISITATION, EASE, CONTENT):
        room = limit if source == TRENDING else (limit + 1) // 2
        sizes[source] = best(touched[source], n_touched[source], source, columns, room, n, flags, need, allowed, blocked, epoch, keys, spare, bins, items[source], scores[source])
    sizes[FRESH] = listed_fresh(top[top.shape[0] - 1], (limit + 1) // 2, n, flags, need, allowed, blocked, epoch, items[FRESH])
