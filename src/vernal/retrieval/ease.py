"""Local EASE: for every item, a ridge regression of its column on its K nearest columns.

With K = all items this is exactly EASE (the zero-diagonal item-item ridge). Users are weighted by degree^-1/2, so that one heavy
user does not outvote many light ones.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.linear import F32, I32, push, solve_in_place
from vernal.retrieval.positives import Matrix, starts

MAX_ENTRIES = 8_000_000  # pairs of the matrix used at most; beyond, users are sampled
ROOM = 50_000_000  # entries of systems held at once, 200 MB


def fit_ease(matrix: Matrix, neighbours: int, ridge: float, seed: int = 0) -> Matrix:
    """Regression weights as an (n_items, n_items) matrix in source rows: entry (j, i) is how much having j says about i.

    Parameters
    ----------
    matrix : (n_users, n_items), values 0..1.
    neighbours : K, nearest items by cosine that explain an item.
    ridge : in units of the degree-weighted gram.

    Cost: n_items K^3 / 6 multiply-adds, and the sum of squared row lengths once and once more for every ROOM systems' entries.
    Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019; the neighbourhood form is ours.
    """
    matrix = sampled(matrix, MAX_ENTRIES, seed)
    by_item = matrix.transposed()
    degree = np.maximum(matrix.lengths, 1)
    user_weight = (1 / np.sqrt(degree)).astype(np.float32)
    k = max(1, min(neighbours, matrix.n_columns - 1))
    index = np.full((matrix.n_columns, k), -1, np.int32)
    weight = np.zeros((matrix.n_columns, k), np.float32)
    find_neighbours(matrix, by_item, user_weight, index, weight)
    targets = np.flatnonzero(index[:, 0] >= 0)
    step = max(1, ROOM // (k * (k + 1) // 2))
    for first in range(0, len(targets), step):
        part = targets[first : first + step]
        weight[part] = solved(matrix, by_item, user_weight, ridge, index[part], weight[part])
    return rows_of(index, weight)


def solved(by_user: Matrix, by_item: Matrix, user_weight: F32, ridge: float, near: I32, right: F32) -> F32:
    """(n, k) regression weights of n targets by their neighbours `near` (n, k), whose products with the target are `right`."""
    k = near.shape[1]
    target, place = np.nonzero(near >= 0)
    order = np.argsort(near[target, place], kind="stable")
    lefts = np.empty((len(near), k * (k + 1) // 2), np.float32)
    asked = Asked(starts(near[target, place], by_item.n_rows), target[order].astype(np.int32), place[order].astype(np.int32))
    fill_systems(by_user, by_item, user_weight, asked, near, lefts)
    weight = right.copy()
    solve_systems(lefts, near, ridge, weight)
    return weight


def sampled(matrix: Matrix, most: int, seed: int) -> Matrix:
    """The matrix with rows emptied at random until about `most` entries are left."""
    if len(matrix.column) <= most:
        return matrix
    keep = np.random.default_rng(seed).random(matrix.n_rows) < most / len(matrix.column)
    entries = np.repeat(keep, matrix.lengths)
    start = np.concatenate([[0], np.cumsum(np.where(keep, matrix.lengths, 0))]).astype(np.int64)
    return Matrix(start, matrix.column[entries], matrix.value[entries], matrix.n_columns)


def rows_of(index: I32, weight: F32) -> Matrix:
    """(n, n) matrix by source item from per-target lists (n, k) of source items; -1 = none."""
    target, slot = np.nonzero((index >= 0) & (weight != 0))
    start = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=len(index)))]).astype(np.int64)
    by_target = Matrix(start, index[target, slot], weight[target, slot], len(index))
    return by_target.transposed()


class Asked(NamedTuple):
    """Which rows of which systems belong to each item."""

    start: NDArray[np.int64]  # (n_items + 1,)
    target: I32  # (n,)
    place: I32  # (n,) row within the target's system


@njit(cache=True, nogil=True, fastmath=True)
def find_neighbours(by_user: Matrix, by_item: Matrix, user_weight: F32, out_index: I32, out_product: F32) -> None:
    """Fills, for every item, its nearest items by cosine, ascending, and their products with it; -1 and 0 beyond."""
    n_items, k = out_index.shape
    norm = norms(by_item, user_weight)
    gram_row, touched, heap = np.zeros(n_items, np.float32), np.empty(n_items, np.int32), np.empty(k, np.float32)
    for item in range(n_items):
        n_touched = accumulate(item, by_user, by_item, user_weight, gram_row, touched)
        near = out_index[item, : nearest(item, gram_row, norm, touched[:n_touched], heap, out_index[item])]
        near.sort()
        for p in range(near.shape[0]):
            out_product[item, p] = gram_row[near[p]]
        for t in range(n_touched):
            gram_row[touched[t]] = 0


@njit(cache=True, nogil=True, fastmath=True)
def fill_systems(by_user: Matrix, by_item: Matrix, user_weight: F32, asked: Asked, near: I32, lefts: F32) -> None:
    """Fills the packed lower halves of the targets' grams. An item's row of the whole gram is made once and read by every system it is part of."""
    row = np.empty(asked.start.shape[0] - 1, np.float32)
    for item in range(row.shape[0]):
        if asked.start[item] == asked.start[item + 1]:
            continue
        row[: item + 1] = 0
        for t in range(by_item.start[item], by_item.start[item + 1]):
            user = by_item.column[t]
            weight = user_weight[user] * by_item.value[t]
            for s in range(by_user.start[user], by_user.start[user + 1]):
                if by_user.column[s] > item:
                    break
                row[by_user.column[s]] += weight * by_user.value[s]
        for n in range(asked.start[item], asked.start[item + 1]):
            target, place = asked.target[n], asked.place[n]
            begin = place * (place + 1) // 2
            for p in range(place + 1):
                lefts[target, begin + p] = row[near[target, p]]


@njit(cache=True, nogil=True, fastmath=True)
def solve_systems(lefts: F32, near: I32, ridge: float, weight: F32) -> None:
    """Solves every target's system in place of its right side."""
    a = np.empty((near.shape[1], near.shape[1]), np.float32)
    for target in range(near.shape[0]):
        n = 0
        while n < near.shape[1] and near[target, n] >= 0:
            a[n, : n + 1] = lefts[target, n * (n + 1) // 2 : (n + 1) * (n + 2) // 2]
            a[n, n] += ridge
            n += 1
        solve_in_place(a, weight[target], n)


@njit(cache=True, nogil=True, fastmath=True)
def norms(by_item: Matrix, user_weight: F32) -> F32:
    """(n_items,) length of every item's weighted column."""
    out = np.zeros(by_item.start.shape[0] - 1, np.float32)
    for item in range(out.shape[0]):
        for t in range(by_item.start[item], by_item.start[item + 1]):
            out[item] += user_weight[by_item.column[t]] * by_item.value[t] * by_item.value[t]
    return np.sqrt(out)


@njit(cache=True, nogil=True, fastmath=True)
def accumulate(item: int, by_user: Matrix, by_item: Matrix, user_weight: F32, gram_row: F32, touched: I32) -> int:
    """Adds the item's row of the weighted gram into gram_row (zero on entry); returns how many items it touched."""
    n = 0
    for t in range(by_item.start[item], by_item.start[item + 1]):
        user = by_item.column[t]
        weight = user_weight[user] * by_item.value[t]
        for s in range(by_user.start[user], by_user.start[user + 1]):
            j = by_user.column[s]
            if gram_row[j] == 0:
                touched[n] = j
                n += 1
            gram_row[j] += weight * by_user.value[s]
    return n


@njit(cache=True, nogil=True)
def nearest(item: int, gram_row: F32, norm: F32, touched: I32, heap_score: F32, heap_item: I32) -> int:
    """Leaves the nearest other items by cosine in heap_item, in no order; returns how many."""
    size, limit = 0, heap_item.shape[0]
    for j in touched:
        if j != item and gram_row[j] > 0:
            size = push(heap_score, heap_item, size, limit, gram_row[j] / norm[j], j)
    return size
