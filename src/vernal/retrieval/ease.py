"""Local EASE: for every item, a ridge regression of its column on its K nearest columns.

With K = all items this is exactly EASE (the zero-diagonal item-item ridge). Users are weighted by degree^-1/2, so that one heavy
user does not outvote many light ones.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.linear import F32, I32, push, solve_in_place
from vernal.retrieval.positives import Matrix

MAX_ENTRIES = 8_000_000  # pairs of the matrix used at most; beyond, users are sampled


def fit_ease(matrix: Matrix, neighbours: int, ridge: float, seed: int = 0) -> Matrix:
    """Regression weights as an (n_items, n_items) matrix in source rows: entry (j, i) is how much having j says about i.

    Parameters
    ----------
    matrix : (n_users, n_items), values 0..1.
    neighbours : K, nearest items by cosine that explain an item.
    ridge : in units of the degree-weighted gram.

    Cost: n_items K^3 / 6 multiply-adds and the pairs within neighbourhoods: 20 CPU s for Gowalla (41k items, 0.8M pairs) at K = 100.
    Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019; the neighbourhood form is ours.
    """
    matrix = sampled(matrix, MAX_ENTRIES, seed)
    by_item = matrix.transposed()
    degree = np.maximum(matrix.lengths, 1)
    user_weight = (1 / np.sqrt(degree)).astype(np.float32)
    k = max(1, min(neighbours, matrix.n_columns - 1))
    index = np.full((matrix.n_columns, k), -1, np.int32)
    weight = np.zeros((matrix.n_columns, k), np.float32)
    fit_columns(matrix, by_item, user_weight, ridge, index, weight)
    return rows_of(index, weight)


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


class Crowd(NamedTuple):
    """Short per-user lists of positions within one neighbourhood; all `end` are zero between neighbourhoods."""

    begin: NDArray[np.int64]  # (n_users,) where a user's list begins
    end: NDArray[np.int64]  # (n_users,) where it ends
    present: I32  # (n_users,) the users that have one
    spot: NDArray[np.int16]  # (room,) positions
    value: F32  # (room,)


@njit(cache=True, nogil=True, fastmath=True)
def fit_columns(by_user: Matrix, by_item: Matrix, user_weight: F32, ridge: float, out_index: I32, out_weight: F32) -> None:
    """Fills, for every target item, its K nearest items and their regression weights."""
    n_items, k = out_index.shape
    norm, n_users = norms(by_item, user_weight), user_weight.shape[0]
    gram_row, touched = np.zeros(n_items, np.float32), np.empty(n_items, np.int32)
    heap, b, a = np.empty(k, np.float32), np.empty(k, np.float32), np.empty((k, k), np.float32)
    begin, end, present = np.zeros(n_users, np.int64), np.zeros(n_users, np.int64), np.empty(n_users, np.int32)
    spot, value = np.empty(1024, np.int16), np.empty(1024, np.float32)
    for item in range(n_items):
        n_touched = accumulate(item, by_user, by_item, user_weight, gram_row, touched)
        near = out_index[item, : nearest(item, gram_row, norm, touched[:n_touched], heap, out_index[item])]
        near.sort()
        total = 0
        for p in range(near.shape[0]):
            b[p] = gram_row[near[p]]
            total += by_item.start[near[p] + 1] - by_item.start[near[p]]
        for t in range(n_touched):
            gram_row[touched[t]] = 0
        if total > spot.shape[0]:
            spot, value = np.empty(2 * total, np.int16), np.empty(2 * total, np.float32)
        local_gram(near, by_item, user_weight, Crowd(begin, end, present, spot, value), a)
        for p in range(near.shape[0]):
            a[p, p] += ridge
        solve_in_place(a, b, near.shape[0])
        out_weight[item, : near.shape[0]] = b[: near.shape[0]]


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


@njit(cache=True, nogil=True, fastmath=True)
def local_gram(near: I32, by_item: Matrix, user_weight: F32, crowd: Crowd, a: F32) -> None:
    """Lower half of the weighted gram among `near`."""
    n_users = make_lists(near, by_item, crowd)
    for p in range(near.shape[0]):
        a[p, : p + 1] = 0
        for t in range(by_item.start[near[p]], by_item.start[near[p] + 1]):
            user, x = by_item.column[t], by_item.value[t]
            end = crowd.end[user]
            crowd.spot[end], crowd.value[end] = p, x
            crowd.end[user] = end + 1
            weighted = user_weight[user] * x
            for s in range(crowd.begin[user], end + 1):
                a[p, crowd.spot[s]] += weighted * crowd.value[s]
    for n in range(n_users):
        crowd.end[crowd.present[n]] = 0


@njit(cache=True, nogil=True)
def make_lists(near: I32, by_item: Matrix, crowd: Crowd) -> int:
    """Lays out one empty list per user who has any of `near`; returns how many users."""
    n_users, at = 0, 0
    for p in range(near.shape[0]):
        for t in range(by_item.start[near[p]], by_item.start[near[p] + 1]):
            user = by_item.column[t]
            if crowd.end[user] == 0:
                crowd.present[n_users] = user
                n_users += 1
            crowd.end[user] += 1
    for n in range(n_users):
        user = crowd.present[n]
        count = crowd.end[user]
        crowd.begin[user], crowd.end[user] = at, at
        at += count
    return n_users
