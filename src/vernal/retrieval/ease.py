"""Local EASE: for every item, a ridge regression of its column on its K nearest columns.

With K = all items this is exactly EASE (the zero-diagonal item-item ridge). Users are weighted by degree^-1/2, so that one heavy
user does not outvote many light ones.
"""

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
    fit_columns(matrix.start, matrix.index, matrix.value, by_item.start, by_item.index, by_item.value, user_weight, np.float32(ridge), index, weight)
    return rows_of(index, weight)


def sampled(matrix: Matrix, most: int, seed: int) -> Matrix:
    """The matrix with rows emptied at random until about `most` entries are left."""
    if len(matrix.index) <= most:
        return matrix
    keep = np.random.default_rng(seed).random(matrix.n_rows) < most / len(matrix.index)
    entries = np.repeat(keep, matrix.lengths)
    start = np.concatenate([[0], np.cumsum(np.where(keep, matrix.lengths, 0))]).astype(np.int64)
    return Matrix(start, matrix.index[entries], matrix.value[entries], matrix.n_columns)


def rows_of(index: I32, weight: F32) -> Matrix:
    """(n, n) matrix by source item from per-target lists (n, k) of source items; -1 = none."""
    target, slot = np.nonzero((index >= 0) & (weight != 0))
    start = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=len(index)))]).astype(np.int64)
    by_target = Matrix(start, index[target, slot], weight[target, slot], len(index))
    return by_target.transposed()


@njit(cache=True, nogil=True, fastmath=True)
def fit_columns(
    u_start: NDArray[np.int64], u_index: I32, u_value: F32, i_start: NDArray[np.int64], i_index: I32, i_value: F32, user_weight: F32, ridge: float, out_index: I32, out_weight: F32
) -> None:
    """Fills, for every target item, its K nearest items and their regression weights."""
    n_items, k = out_index.shape
    norm = norms(i_start, i_index, i_value, user_weight)
    gram_row, touched = np.zeros(n_items, np.float32), np.empty(n_items, np.int32)
    heap_score, b = np.empty(k, np.float32), np.empty(k, np.float32)
    a = np.empty((k, k), np.float32)
    fill, limit = np.zeros(user_weight.shape[0], np.int64), np.zeros(user_weight.shape[0], np.int64)
    users = np.empty(user_weight.shape[0], np.int32)
    spot, value = np.empty(1024, np.int16), np.empty(1024, np.float32)
    for item in range(n_items):
        n_touched = accumulate(item, u_start, u_index, u_value, i_start, i_index, i_value, user_weight, gram_row, touched)
        near = out_index[item]
        size = nearest(item, gram_row, norm, touched, n_touched, heap_score, near)
        near[:size].sort()
        total = 0
        for p in range(size):
            b[p] = gram_row[near[p]]
            total += i_start[near[p] + 1] - i_start[near[p]]
        for t in range(n_touched):
            gram_row[touched[t]] = 0
        if size == 0:
            continue
        if total > spot.shape[0]:
            spot, value = np.empty(2 * total, np.int16), np.empty(2 * total, np.float32)
        local_gram(near[:size], i_start, i_index, i_value, user_weight, fill, limit, users, spot, value, a)
        for p in range(size):
            a[p, p] += ridge
        solve_in_place(a, b, size)
        out_weight[item, :size] = b[:size]


@njit(cache=True, nogil=True, fastmath=True)
def norms(i_start: NDArray[np.int64], i_index: I32, i_value: F32, user_weight: F32) -> F32:
    """(n_items,) length of every item's weighted column."""
    out = np.zeros(i_start.shape[0] - 1, np.float32)
    for item in range(out.shape[0]):
        for t in range(i_start[item], i_start[item + 1]):
            out[item] += user_weight[i_index[t]] * i_value[t] * i_value[t]
    return np.sqrt(out)


@njit(cache=True, nogil=True, fastmath=True)
def accumulate(
    item: int, u_start: NDArray[np.int64], u_index: I32, u_value: F32, i_start: NDArray[np.int64], i_index: I32, i_value: F32, user_weight: F32, gram_row: F32, touched: I32
) -> int:
    """Adds the item's row of the weighted gram into gram_row (zero on entry); returns how many items it touched."""
    n = 0
    for t in range(i_start[item], i_start[item + 1]):
        user = i_index[t]
        weight = user_weight[user] * i_value[t]
        for s in range(u_start[user], u_start[user + 1]):
            j = u_index[s]
            if gram_row[j] == 0:
                touched[n] = j
                n += 1
            gram_row[j] += weight * u_value[s]
    return n


@njit(cache=True, nogil=True)
def nearest(item: int, gram_row: F32, norm: F32, touched: I32, n_touched: int, heap_score: F32, heap_item: I32) -> int:
    """Leaves the nearest other items by cosine in heap_item, in no order; returns how many."""
    size, limit = 0, heap_item.shape[0]
    for t in range(n_touched):
        j = touched[t]
        if j != item and gram_row[j] > 0:
            size = push(heap_score, heap_item, size, limit, gram_row[j] / norm[j], j)
    return size


@njit(cache=True, nogil=True, fastmath=True)
def local_gram(
    near: I32, i_start: NDArray[np.int64], i_index: I32, i_value: F32, user_weight: F32, fill: NDArray[np.int64], limit: NDArray[np.int64], users: I32, spot: NDArray[np.int16], value: F32, a: F32
) -> None:
    """Lower half of the weighted gram among `near`, built from short per-user lists of positions in it; `fill` is zero on entry and exit."""
    n_users = 0
    for p in range(near.shape[0]):
        a[p, : p + 1] = 0
        for t in range(i_start[near[p]], i_start[near[p] + 1]):
            user = i_index[t]
            if fill[user] == 0:
                users[n_users] = user
                n_users += 1
            fill[user] += 1
    begin = 0
    for n in range(n_users):
        count = fill[users[n]]
        limit[users[n]] = begin
        fill[users[n]] = begin
        begin += count
    for p in range(near.shape[0]):
        for t in range(i_start[near[p]], i_start[near[p] + 1]):
            user, x = i_index[t], i_value[t]
            end = fill[user]
            spot[end], value[end] = p, x
            fill[user] = end + 1
            weighted = user_weight[user] * x
            for s in range(limit[user], end + 1):
                a[p, spot[s]] += weighted * value[s]
    for n in range(n_users):
        fill[users[n]] = 0
