"""The kernels of one retrieval: from a user's recent events to a ranked list per source. All nogil, masks inside the scans."""

from typing import NamedTuple

import numpy as np
from numba import njit

from vernal.features.ports import Ring
from vernal.retrieval.board import Board, Mask, barred, clear, eligible, home, place
from vernal.retrieval.ials import dot
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.positives import Rules
from vernal.retrieval.relations import Relations
from vernal.retrieval.selection import Sieve, key_of, room_for, shrink, unpack

# Columns of scores. The first seven are the sources in the order of terms.SOURCES.
TRENDING, HISTORY, COVISITATION, EASE, IALS, CONTENT, FRESH, HISTORY_COUNT, COVISITATION_LAST, EASE_LAST, IALS_LAST = range(11)
SCORE_NAMES = ("trending", "history", "covisitation", "ease", "ials", "content", "fresh", "history_count", "covisitation_last", "ease_last", "ials_last")
N_SOURCES = 7
MATCHES = N_SOURCES  # the list of what matches a query, after those of the sources
N_LISTS = N_SOURCES + 1
ON_BOARD = HISTORY_COUNT + 1  # columns added up by item on the board
RELATED = (COVISITATION, EASE, CONTENT)  # columns of relations.KINDS
RANK_OFFSET = 10.0  # a place r in a list of popular items is worth RANK_OFFSET / (RANK_OFFSET + r)


class Asked(NamedTuple):
    """The numbers of one request."""

    now_s: int
    recent: int  # newest positives that query the item models
    half_life: float  # s, of their weights
    history_half_life: float  # s, of own history
    repeats: bool  # may seen items be proposed
    like: int  # item to be similar to; -1 = none
    k: int  # candidates


class Lists(NamedTuple):
    """What the sources propose, and the query they were asked."""

    items: I32  # (N_LISTS, k) best first
    sizes: I32  # (N_LISTS,)
    query: I32  # (room,) distinct items, newest first
    weight: F32  # (room,)


@njit(cache=True, nogil=True)
def read_ring(ring: Ring, rules: Rules, asked: Asked, n: int, board: Board, lists: Lists) -> int:
    """Reads the ring newest first: blocks seen items, adds up own history, makes the query; returns the number of query items."""
    n_query, n_positive = 0, 0
    for at in range(len(ring.time) - 1, -1, -1):
        code, number = ring.type[at], np.int64(ring.item[at])
        if number >= n or rules.weights[code] == 0:
            continue
        row = place(number, board.counts[1], board)
        board.blocked[row] |= not asked.repeats
        if ring.value[at] < rules.least[code]:
            continue
        age = max(0.0, float(asked.now_s) - float(ring.time[at]))
        board.columns[HISTORY, row] += rules.weights[code] * 2.0 ** (-age / asked.history_half_life)
        board.columns[HISTORY_COUNT, row] += 1
        n_positive += 1
        if n_positive <= asked.recent and board.slot[row] == -1:
            board.slot[row] = -2  # asked already
            lists.query[n_query] = number
            lists.weight[n_query] = rules.weights[code] * 2.0 ** (-age / asked.half_life)
            n_query += 1
    return n_query


@njit(cache=True, nogil=True)
def add_rows(relations: Relations, lists: Lists, n_query: int, board: Board) -> None:
    """Adds the weighted neighbours of the query items, newest first, into the columns of their relations; what finds no room is left out."""
    start, entries, columns, most = relations.start, relations.entries, board.columns, board.counts[1]
    n_items = (start.shape[0] - 1) // 3
    for q in range(n_query):
        item, weight = lists.query[q], lists.weight[q]
        if item >= n_items:
            continue
        for section in range(3):
            column = RELATED[section]
            for t in range(start[3 * item + section], start[3 * item + section + 1]):
                row = place(entries[t, 0], most, board)
                if row >= 0:
                    columns[column, row] += weight * np.int32(entries[t, 1]).view(np.float32)


class Trending(NamedTuple):
    """What the popularity lists come to, worked out once for all requests of a hop."""

    top: I32  # (n_lists + 1, length) the lists it was made of
    item: I32  # (m,) best first
    worth: F32  # (m,)
    table: I32  # (power of two,) places in `item` by hash, -1 = free


def trending_of(top: I32) -> Trending:
    """The sum of the worths of an item's places in all popularity lists, every row of `top` but the last. Cost: 0.1 ms."""
    lists = top[:-1]
    found, place = np.unique(lists, return_inverse=True)
    worth = np.zeros(len(found), np.float32)
    share = (RANK_OFFSET / ((RANK_OFFSET + np.arange(top.shape[1])) * max(1, len(lists)))).astype(np.float32)
    for row in place.reshape(lists.shape):  # list by list, so that sums are the same whatever else is in the lists
        np.add.at(worth, row, share)
    known = found >= 0
    item, worth = found[known].astype(np.int32), worth[known]
    order = np.lexsort((item, -worth))
    table = np.full(1 << max(4, (2 * len(item)).bit_length()), -1, np.int32)
    enter(item[order], table)
    return Trending(top.copy(), item[order], worth[order], table)


@njit(cache=True, nogil=True)
def enter(item: I32, table: I32) -> None:
    """Fills a table of places by hash."""
    for rank in range(len(item)):
        at = home(item[rank], table)
        while table[at] >= 0:
            at = (at + 1) & (table.shape[0] - 1)
        table[at] = rank


@njit(cache=True, nogil=True, inline="always")
def worth_of(item: int, trending: Trending) -> np.float32:
    """What the popularity lists say of an item; 0 = it is in none."""
    at = home(item, trending.table)
    while trending.table[at] >= 0:
        if trending.item[trending.table[at]] == item:
            return trending.worth[trending.table[at]]
        at = (at + 1) & (trending.table.shape[0] - 1)
    return np.float32(0)


@njit(cache=True, nogil=True)
def best(column: int, limit: int, board: Board, mask: Mask, sieve: Sieve) -> int:
    """Leaves the best eligible rows of one column as sorted keys; returns how many. Non-positive scores never enter."""
    scores, item_of, blocked = board.columns[column], board.item_of, board.blocked
    size, threshold, room = 0, np.int64(0), room_for(sieve, limit)
    for row in range(board.counts[0]):
        if scores[row] <= 0 or blocked[row]:
            continue
        key = key_of(scores[row], item_of[row])
        if key > threshold and eligible(item_of[row], mask):
            sieve.keys[size] = key
            size += 1
            if size == room:
                size = shrink(sieve, size, limit)
                threshold = sieve.keys[size - 1]
    return shrink(sieve, size, limit)


@njit(cache=True, nogil=True)
def first(ranked: I32, limit: int, board: Board, mask: Mask, items: I32) -> int:
    """The first eligible items of a ranked list; returns how many."""
    size = 0
    for item in ranked:
        if item < 0 or size == limit:
            break
        if eligible(item, mask) and not barred(item, board):
            items[size] = item
            size += 1
    return size


@njit(cache=True, nogil=True)
def scan(vectors: F32, first: int, x: F32, limit: int, size: int, board: Board, mask: Mask, sieve: Sieve) -> int:
    """Adds the best products with x to `size` sorted keys, exactly; row r is item first + r. Returns the new number of sorted keys."""
    dim, room = x.shape[0], room_for(sieve, limit)
    threshold = sieve.keys[size - 1] if size == limit else np.int64(0)
    for row in range(min(vectors.shape[0], mask.n - first)):
        score = dot(vectors[row], x, dim)
        if score <= 0:
            continue
        key = key_of(score, first + row)
        if key > threshold and eligible(first + row, mask) and not barred(first + row, board):
            sieve.keys[size] = key
            size += 1
            if size == room:
                size = shrink(sieve, size, limit)
                threshold = sieve.keys[size - 1]
    return shrink(sieve, size, limit)


@njit(cache=True, nogil=True)
def propose(
    ring: Ring,
    rules: Rules,
    asked: Asked,
    exclude: I32,
    matches: I32,
    trending: Trending,
    relations: Relations,
    board: Board,
    mask: Mask,
    sieve: Sieve,
    lists: Lists,
) -> int:
    """Fills the ranked lists of every source but iALS; returns the number of query items. `asked.like` >= 0 replaces the query by that item.

    Where a text was asked for, only what matches it is proposed; the sources still say what they think of it.
    """
    clear(board)
    for excluded in exclude:
        board.blocked[place(excluded, board.counts[1], board)] = 1
    n_query = read_ring(ring, rules, asked, mask.n, board, lists)
    if asked.like >= 0:
        lists.query[0], lists.weight[0], n_query = asked.like, 1.0, 1
        board.blocked[place(asked.like, board.counts[1], board)] = 1
    add_rows(relations, lists, n_query, board)
    lists.sizes[:] = 0
    if matches.shape[0]:
        lists.sizes[MATCHES] = first(matches, asked.k, board, mask, lists.items[MATCHES])
        return n_query
    half = (asked.k + 1) // 2
    for source in (HISTORY, COVISITATION, EASE, CONTENT):
        lists.sizes[source] = best(source, half, board, mask, sieve)
        unpack(sieve, lists.sizes[source], lists.items[source])
    lists.sizes[TRENDING] = first(trending.item, asked.k, board, mask, lists.items[TRENDING])
    lists.sizes[FRESH] = first(trending.top[trending.top.shape[0] - 1], half, board, mask, lists.items[FRESH])
    return n_query
