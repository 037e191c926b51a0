"""iALS++: item vectors from implicit feedback, and the vector of a user solved from their recent events when they ask.

The objective is sum c_ui (1 - x_u.v_i)^2 + sum_u sum_i a_i (x_u.v_i)^2 + sum reg (n_row + alpha n_other)^nu |row|^2, where the weight of
the unobserved a_i = alpha pop_i^popularity / mean. No user vector is kept: a user is their recent history (`fold_in`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.linear import F32, I32, solve_in_place
from vernal.retrieval.positives import Matrix


@dataclass(frozen=True)
class Hyper:
    """What the tuner may choose."""

    alpha: float = 0.1  # weight of one unobserved pair
    reg: float = 0.01
    nu: float = 1.0  # 1 = regularise in proportion to the row's weight
    popularity: float = 0.0  # 0 = every unobserved item weighs the same, 1 = in proportion to its events
    sweeps: int = 6
    block: int = 64  # dimensions solved at once; equal to the dimension this is exact ALS


class Factors(NamedTuple):
    """Fitted item vectors and what fold-in needs."""

    vectors: F32  # (n_items, dim); zero rows for items without events
    gram: F32  # (dim, dim) sum a_i v_i v_i^T
    reg: float
    nu: float
    unobserved: float  # alpha n_items: the weight of a user's unobserved pairs

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]


def fit_ials(matrix: Matrix, dim: int, hyper: Hyper, seed: int, warm: F32 | None = None) -> Factors:
    """Item vectors of a user x item matrix.

    Parameters
    ----------
    matrix : (n_users, n_items), values 0..1 are confidences.
    warm : (n_items', dim) vectors to start from; keeps the item space where it was.

    Cost: per sweep 2 (nnz dim^2 + (n_users + n_items) dim^3 / 6) multiply-adds; about 0.5 CPU s at 10^5 events and dim 64.
    Source: Rendle et al., "iALS++: Speeding up Matrix Factorization with Subspace Optimization", 2021.
    """
    by_item = matrix.transposed()
    counts = by_item.lengths
    n_live, dim = int((counts > 0).sum()), int(dim)
    share = unobserved_share(counts, hyper.popularity)  # (n_items,) mean 1 over items with events
    v = starting_vectors(counts, dim, seed, warm)
    u = np.zeros((matrix.n_rows, dim), np.float32)
    ones = np.full(matrix.n_rows, hyper.alpha, np.float32)
    n_active = int((matrix.lengths > 0).sum())
    for _ in range(hyper.sweeps):
        gram = np.ascontiguousarray((v * share[:, None]).T @ v, np.float32)
        sweep(matrix, v, gram, ones, u, Pull(hyper.reg, hyper.nu, hyper.alpha * n_live), hyper.block)
        sweep(by_item, u, u.T @ u, share * np.float32(hyper.alpha), v, Pull(hyper.reg, hyper.nu, hyper.alpha * n_active), hyper.block)
    gram = (v * (share * np.float32(hyper.alpha))[:, None]).T @ v
    return Factors(v, gram.astype(np.float32), hyper.reg, hyper.nu, hyper.alpha * n_live)


def unobserved_share(counts: NDArray[np.int64], power: float) -> F32:
    """(n_items,) float32: relative weight of an item's unobserved pairs, mean 1 over items with events, 0 for others."""
    share = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** power, 0.0)
    return (share / max(share[counts > 0].mean() if (counts > 0).any() else 1.0, 1e-12)).astype(np.float32)


def starting_vectors(counts: NDArray[np.int64], dim: int, seed: int, warm: F32 | None) -> F32:
    """(n_items, dim) float32: small normal vectors, or the given ones; zero for items without events."""
    v = (np.random.default_rng(seed).standard_normal((len(counts), dim)) * 0.1 / np.sqrt(dim)).astype(np.float32)
    if warm is not None:
        known = np.flatnonzero(np.any(warm != 0, axis=1))
        v[known] = warm[known]
    v[counts == 0] = 0
    return v


class Pull(NamedTuple):
    """How strongly rows are drawn to zero: reg (their weight + base)^nu."""

    reg: float
    nu: float
    base: float  # weight of the unobserved pairs


class Block(NamedTuple):
    """The normal equations of one row over some of its dimensions."""

    low: int  # first dimension
    width: int
    left: F32  # (width, width) lower half of the Hessian
    right: F32  # (width,) gradient


@njit(cache=True, nogil=True, fastmath=True)
def sweep(matrix: Matrix, other: F32, gram: F32, alpha: F32, rows: F32, pull: Pull, block: int) -> None:
    """One pass over all rows: each is moved to the minimum of its objective, block by block. Empty rows become zero."""
    dim = rows.shape[1]
    a, g = np.empty((block, block), np.float32), np.empty(block, np.float32)
    predicted = np.empty(max(1, (matrix.start[1:] - matrix.start[:-1]).max()), np.float32)
    for r in range(rows.shape[0]):
        begin, end = matrix.start[r], matrix.start[r + 1]
        if begin == end:
            rows[r, :] = 0
            continue
        columns, values = matrix.column[begin:end], matrix.value[begin:end]
        ridge = np.float32(pull.reg * (values.sum() + pull.base) ** pull.nu)
        for t in range(end - begin):
            predicted[t] = dot(rows[r], other[columns[t]], dim)
        for low in range(0, dim, block):
            part = Block(low, min(block, dim - low), a, g)
            normal_equations(columns, values, other, gram, alpha[r], rows[r], ridge, predicted, part)
            solve_in_place(a, g, part.width)
            for k in range(part.width):
                rows[r, low + k] -= g[k]
            if low + block < dim:
                for t in range(end - begin):
                    predicted[t] -= dot(g, other[columns[t], low:], part.width)


@njit(cache=True, nogil=True, fastmath=True)
def normal_equations(columns: I32, values: F32, other: F32, gram: F32, alpha: np.float32, x: F32, ridge: np.float32, predicted: F32, part: Block) -> None:
    """Fills a block with the Hessian and the gradient of one row's objective at x."""
    a, g, low, width = part.left, part.right, part.low, part.width
    for i in range(width):
        g[i] = alpha * dot(gram[low + i], x, x.shape[0]) + ridge * x[low + i]
        for j in range(i + 1):
            a[i, j] = alpha * gram[low + i, low + j]
        a[i, i] += ridge
    for t in range(columns.shape[0]):
        v, c = other[columns[t], low:], values[t]
        error = c * (predicted[t] - np.float32(1))
        for i in range(width):
            g[i] += error * v[i]
            scaled = c * v[i]
            for j in range(i + 1):
                a[i, j] += scaled * v[j]


@njit(cache=True, nogil=True, fastmath=True)
def dot(x: F32, y: F32, n: int) -> np.float32:
    total = np.float32(0)
    for k in range(n):
        total += x[k] * y[k]
    return total


@njit(cache=True, nogil=True, fastmath=True)
def fold_in(factors: Factors, extra: F32, items: I32, weights: F32, n: int, a: F32, x: F32) -> None:
    """Fills x (dim,) with the vector of a user whose recent items are items[:n]: the exact solution of their normal equations.

    Parameters
    ----------
    extra : (n_extra, dim) vectors of the items after those of the factors. Items beyond both are skipped.
    weights : (n,) float32 confidences, decayed by age.
    a : (dim, dim) float32 workspace.

    Cost: 26 us at dim 64, 50 items.
    """
    dim, n_known = factors.gram.shape[0], factors.vectors.shape[0]
    total = np.float32(0)
    x[:] = 0
    a[:, :] = factors.gram
    for t in range(n):
        item = items[t]
        if item >= n_known + extra.shape[0]:
            continue
        v = factors.vectors[item] if item < n_known else extra[item - n_known]
        if dot(v, v, dim) == 0:
            continue
        total += weights[t]
        for i in range(dim):
            scaled = weights[t] * v[i]
            x[i] += scaled
            for j in range(i + 1):
                a[i, j] += scaled * v[j]
    if total == 0:
        return
    ridge = np.float32(factors.reg * (total + factors.unobserved) ** factors.nu)
    for i in range(dim):
        a[i, i] += ridge
    solve_in_place(a, x, dim)
