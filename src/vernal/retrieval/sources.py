"""The kernels of one retrieval: from a user's recent events to a ranked list per source. All nogil, masks inside the scans."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.board import U8, barred, clear, eligible, place
from vernal.retrieval.ials import dot
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.selection import BUFFER, I64, key_of, shrink, unpack

# Columns of scores. The first seven are the sources in the order of terms.SOURCES.
TRENDING, HISTORY, COVISITATION, EASE, IALS, CONTENT, FRESH, HISTORY_COUNT, COVISITATION_LAST, EASE_LAST, IALS_LAST = range(11)
SCORE_NAMES = ("trending", "history", "covisitation", "ease", "ials", "content", "fresh", "history_count", "covisitation_last", "ease_last", "ials_last")
N_SOURCES = 7
RANK_OFFSET = 10.0  # a place r in a list of popular items is worth RANK_OFFSET / (RANK_OFFSET + r)


@njit(cache=True, nogil=True)
def read_ring(
    time: NDArray[np.uint32], item: NDArray[np.uint32], kind: U8, value: I32, type_weight: F32, least: I32, now_s: int, n: int, repeats: bool, recent: int, half_life: float,
    history_half_life: float, query: I32, weight: F32, most: int, table: I32, item_of: I32, blocked: U8, slot: I32, columns: F32, counts: I32,
) -> int:
    """Reads the ring newest first: blocks seen items, adds up own history, and makes the query of distinct recent positives, newest first.

    Returns the number of query items.
    """
    n_query, n_positive = 0, 0
    for at in range(len(time) - 1, -1, -1):
        code, number = kind[at], np.int64(item[at])
        if number >= n or type_weight[code] == 0:
            continue
        row = place(number, most, table, item_of, counts)
        blocked[row] |= not repeats
        if value[at] < least[code]:
            continue
        age = max(0.0, float(now_s) - float(time[at]))
        columns[HISTORY, row] += type_weight[code] * 2.0 ** (-age / history_half_life)
        columns[HISTORY_COUNT, row] += 1
        n_positive += 1
        if n_positive <= recent and slot[row] == -1:
            slot[row] = -2  # asked already
            query[n_query] = number
            weight[n_query] = type_weight[code] * 2.0 ** (-age / half_life)
            n_query += 1
    return n_query


@njit(cache=True, nogil=True)
def add_rows(start: NDArray[np.int64], entries: I32, query: I32, weight: F32, n_query: int, most: int, table: I32, item_of: I32, columns: F32, counts: I32) -> None:
    """Adds the weighted neighbours of the query items, newest first, into the columns of their relations; what finds no room is left out."""
    n_items = (start.shape[0] - 1) // 3
    for q in range(n_query):
        if query[q] >= n_items:
            continue
        for section in range(3):
            column = (COVISITATION, EASE, CONTENT)[section]
            for t in range(start[3 * query[q] + section], start[3 * query[q] + section + 1]):
                row = place(entries[t, 0], most, table, item_of, counts)
                if row >= 0:
                    columns[column, row] += weight[q] * np.int32(entries[t, 1]).view(np.float32)


@njit(cache=True, nogil=True)
def add_places(top: I32, most: int, table: I32, item_of: I32, columns: F32, counts: I32) -> None:
    """Adds the worth of places in all popularity lists, every row of `top` but the last."""
    n_lists = top.shape[0] - 1
    for at in range(n_lists):
        for rank in range(top.shape[1]):
            if top[at, rank] < 0:
                break
            row = place(top[at, rank], most, table, item_of, counts)
            columns[TRENDING, row] += np.float32(RANK_OFFSET / ((RANK_OFFSET + rank) * n_lists))


@njit(cache=True, nogil=True)
def best(scores: F32, item_of: I32, blocked: U8, n_rows: int, limit: int, n: int, flags: U8, need: int, allowed: U8, keys: I64, spare: I64, bins: I32) -> int:
    """Leaves the best eligible rows of one column as sorted keys; returns how many. Non-positive scores never enter."""
    size, threshold, room = 0, np.int64(0), min(keys.shape[0], BUFFER * limit)
    for row in range(n_rows):
        if scores[row] <= 0 or blocked[row]:
            continue
        key = key_of(scores[row], item_of[row])
        if key > threshold and eligible(item_of[row], n, flags, need, allowed):
            keys[size] = key
            size += 1
            if size == room:
                size = shrink(keys, spare, bins, size, limit)
                threshold = keys[size - 1]
    return shrink(keys, spare, bins, size, limit)


@njit(cache=True, nogil=True)
def newest(fresh: I32, limit: int, n: int, flags: U8, need: int, allowed: U8, table: I32, item_of: I32, blocked: U8, items: I32) -> int:
    """The first eligible items of the list of new items; returns how many."""
    size = 0
    for item in fresh:
        if item < 0 or size == limit:
            break
        if eligible(item, n, flags, need, allowed) and not barred(item, table, item_of, blocked):
            items[size] = item
            size += 1
    return size


@njit(cache=True, nogil=True)
def scan(
    vectors: F32, first: int, x: F32, limit: int, size: int, n: int, flags: U8, need: int, allowed: U8, table: I32, item_of: I32, blocked: U8, keys: I64, spare: I64, bins: I32
) -> int:
    """Adds the best products with x to `size` sorted keys, exactly; row r is item first + r. Returns the new number of sorted keys."""
    dim, room = x.shape[0], min(keys.shape[0], BUFFER * limit)
    threshold = keys[size - 1] if size == limit else np.int64(0)
    for row in range(min(vectors.shape[0], n - first)):
        score = dot(vectors[row], x, dim)
        if score <= 0:
            continue
        key = key_of(score, first + row)
        if key > threshold and eligible(first + row, n, flags, need, allowed) and not barred(first + row, table, item_of, blocked):
            keys[size] = key
            size += 1
            if size == room:
                size = shrink(keys, spare, bins, size, limit)
                threshold = keys[size - 1]
    return shrink(keys, spare, bins, size, limit)


@njit(cache=True, nogil=True)
def propose(
    time: NDArray[np.uint32], item: NDArray[np.uint32], kind: U8, value: I32, type_weight: F32, least: I32, now_s: int, repeats: bool, recent: int, half_life: float, history_half_life: float,
    like: int, exclude: I32, top: I32, start: NDArray[np.int64], entries: I32, query: I32, weight: F32, limit: int, most: int, n: int, flags: U8, need: int, allowed: U8, table: I32, item_of: I32, blocked: U8, slot: I32, columns: F32, counts: I32,
    keys: I64, spare: I64, bins: I32, items: I32, scores: F32, sizes: I32,
) -> int:
    """Fills the ranked lists of every source but iALS; returns the number of query items. `like` >= 0 replaces the query by that item."""
    clear(table, item_of, blocked, slot, columns, counts)
    for excluded in exclude:
        blocked[place(excluded, most, table, item_of, counts)] = 1
    n_query = read_ring(
        time, item, kind, value, type_weight, least, now_s, n, repeats, recent, half_life, history_half_life, query, weight, most, table, item_of, blocked, slot, columns, counts
    )
    if like >= 0:
        query[0], weight[0], n_query = like, 1.0, 1
        blocked[place(like, most, table, item_of, counts)] = 1
    add_places(top, most, table, item_of, columns, counts)
    add_rows(start, entries, query, weight, n_query, most, table, item_of, columns, counts)
    for source in (TRENDING, HISTORY, COVISITATION, EASE, CONTENT):
        room = limit if source == TRENDING else (limit + 1) // 2
        sizes[source] = best(columns[source], item_of, blocked, counts[0], room, n, flags, need, allowed, keys, spare, bins)
        unpack(keys, sizes[source], items[source], scores[source])
    sizes[FRESH] = newest(top[top.shape[0] - 1], (limit + 1) // 2, n, flags, need, allowed, table, item_of, blocked, items[FRESH])
    return n_query
