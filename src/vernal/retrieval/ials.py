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

F64 = NDArray[np.float64]


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
    spread: F32  # (dim,) what the gram is along its own axes
    axes: F32  # (dim, dim) those axes, as columns
    reg: float
    nu: float
    unobserved: float  # alpha n_items: the weight of a user's unobserved pairs

    @classmethod
    def of(cls, vectors: F32, gram: F32, reg: float, nu: float, unobserved: float) -> "Factors":
        """Cost: 8 ms at 64 dimensions, for the axes."""
        return cls(vectors, gram, *diagonal_of(gram), reg, nu, unobserved)

    @property
    def dim(self) -> int:
        return self.vectors.shape[1]


def fit_ials(matrix: Matrix, dim: int, hyper: Hyper, seed: int, warm: F32 | None = None) -> Factors:
    """Item vectors of a user x item matrix.

    Parameters
    ----------
    matrix : (n_users, n_items), values 0..1 are confidences.
    warm : (n_items', dim) vectors to start from; keeps the item space where it was.

    Cost: per sweep and side, for a row of n entries, n^2 dim / 2 + n^3 / 6 multiply-adds where n < dim, else n dim^2 / 2 + dim^3 / 6.
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
        gram = gram_of(v, share)
        improve(matrix, v, gram, ones, u, Pull(hyper.reg, hyper.nu, hyper.alpha * n_live), hyper.block)
        improve(
            by_item,
            u,
            gram_of(u, np.ones(len(u), np.float32)),
            share * np.float32(hyper.alpha),
            v,
            Pull(hyper.reg, hyper.nu, hyper.alpha * n_active),
            hyper.block,
        )
    return Factors.of(v, gram_of(v, share * np.float32(hyper.alpha)), hyper.reg, hyper.nu, hyper.alpha * n_live)


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


def improve(matrix: Matrix, other: F32, gram: F32, alpha: F32, rows: F32, pull: Pull, block: int) -> None:
    """Moves all rows, in place, to the minimum of their objectives (exactly), or block by block where a block is smaller than the dimension."""
    dim = rows.shape[1]
    if block < dim:
        sweep(matrix, other, gram, alpha, rows, pull, block)
        return
    spread, axes = diagonal_of(gram)
    turned, found = np.empty_like(other), np.empty_like(rows)
    turn(other, axes, turned)
    solve_rows(matrix, turned, spread, alpha, found, pull)
    turn(found, np.ascontiguousarray(axes.T), rows)


def diagonal_of(gram: F32) -> tuple[F32, F32]:
    """What a gram is along its own axes (dim,), and those axes as columns (dim, dim)."""
    values, axes = principal(gram.astype(np.float64))
    return np.maximum(values, 0).astype(np.float32), np.ascontiguousarray(axes, np.float32)


# Dense algebra is in kernels, not in BLAS and LAPACK: their threads fight with the fits that run side by side, and
# the bits would follow the number of cores.


@njit(cache=True, nogil=True)
def principal(a: F64) -> tuple[F64, F64]:
    """(eigenvalues (n,), their axes as columns (n, n)) of a symmetric matrix, which is overwritten.

    Cyclic Jacobi rotations until what is off the diagonal is rounding; 8 ms at n = 64.
    """
    n = a.shape[0]
    axes = np.eye(n)
    for _ in range(30):
        off, on = 0.0, 0.0
        for p in range(n):
            on += a[p, p] * a[p, p]
            for q in range(p):
                off += a[p, q] * a[p, q]
        if off <= 1e-22 * on:
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                if a[p, q] != 0:
                    rotate(a, axes, p, q)
    return np.diag(a).copy(), axes.T.copy()


@njit(cache=True, nogil=True)
def rotate(a: F64, axes: F64, p: int, q: int) -> None:
    """Turns axes p and q (rows of `axes`) so that a[p, q] becomes zero."""
    slope = (a[q, q] - a[p, p]) / (2 * a[p, q])
    t = (1.0 if slope >= 0 else -1.0) / (abs(slope) + np.sqrt(slope * slope + 1))
    c = 1 / np.sqrt(t * t + 1)
    s = t * c
    for i in range(a.shape[0]):
        x, y = a[p, i], a[q, i]
        a[p, i], a[q, i] = c * x - s * y, s * x + c * y
    for i in range(a.shape[0]):
        x, y = a[i, p], a[i, q]
        a[i, p], a[i, q] = c * x - s * y, s * x + c * y
        x, y = axes[p, i], axes[q, i]
        axes[p, i], axes[q, i] = c * x - s * y, s * x + c * y


@njit(cache=True, nogil=True, fastmath=True)
def turn(rows: F32, axes: F32, out: F32) -> None:
    """Fills out (n, dim) with rows @ axes, axes (dim, dim)."""
    n, dim = rows.shape
    for r in range(n):
        out[r, :] = 0
        for k in range(0, dim - dim % 4, 4):
            c, d, e, f = rows[r, k], rows[r, k + 1], rows[r, k + 2], rows[r, k + 3]
            if c != 0 or d != 0 or e != 0 or f != 0:
                for j in range(dim):
                    out[r, j] += (c * axes[k, j] + d * axes[k + 1, j]) + (e * axes[k + 2, j] + f * axes[k + 3, j])
        for k in range(dim - dim % 4, dim):
            for j in range(dim):
                out[r, j] += rows[r, k] * axes[k, j]


@njit(cache=True, nogil=True, fastmath=True)
def gram_of(rows: F32, weights: F32) -> F32:
    """(dim, dim) float32: the sum of weight x row x row^T."""
    n, dim = rows.shape
    out, x = np.zeros((dim, dim), np.float32), np.empty(dim, np.float32)
    total = np.zeros((dim, dim), np.float64)
    for r in range(n):
        if weights[r] != 0:
            for i in range(dim):
                x[i] = weights[r] * rows[r, i]
                for j in range(i + 1):
                    out[i, j] += x[i] * rows[r, j]
        if r % 1024 == 1023 or r == n - 1:  # float32 sums stay short
            for i in range(dim):
                for j in range(i + 1):
                    total[i, j] += out[i, j]
                    out[i, j] = 0
    for i in range(dim):
        for j in range(i + 1):
            out[i, j] = out[j, i] = np.float32(total[i, j])
    return out


@njit(cache=True, nogil=True, fastmath=True)
def solve_rows(matrix: Matrix, other: F32, gram: F32, alpha: F32, rows: F32, pull: Pull) -> None:
    """Fills every row with the minimum of its objective, in the axes in which the gram is the diagonal `gram`; empty rows become zero.

    With D = alpha gram + ridge and W the rows' weighted, D^-1/2-scaled vectors, the minimum is D^-1/2 W^T (I + W W^T)^-1 sqrt(c): a system as large as
    the row has entries. From dim entries on, D + V^T C V is the smaller one.
    """
    dim = rows.shape[1]
    most = max(1, (matrix.start[1:] - matrix.start[:-1]).max())
    scaled, a, b = np.empty((most, dim), np.float32), np.empty((dim, dim), np.float32), np.empty(dim, np.float32)
    diagonal, root = np.empty(dim, np.float32), np.empty(dim, np.float32)
    for r in range(rows.shape[0]):
        begin, end = matrix.start[r], matrix.start[r + 1]
        rows[r, :] = 0
        if begin == end:
            continue
        columns, values, n = matrix.column[begin:end], matrix.value[begin:end], end - begin
        ridge = np.float32(pull.reg * (values.sum() + pull.base) ** pull.nu)
        for i in range(dim):
            diagonal[i] = alpha[r] * gram[i] + ridge
            root[i] = 1 / np.sqrt(diagonal[i])
        if n < dim:
            solve_narrow(columns, values, other, root, scaled, a, b, rows[r])
        else:
            solve_wide(columns, values, other, diagonal, a, rows[r])


@njit(cache=True, nogil=True, fastmath=True)
def solve_narrow(columns: I32, values: F32, other: F32, root: F32, scaled: F32, a: F32, b: F32, x: F32) -> None:
    """The minimum of a row with fewer entries than dimensions; x is zero on entry."""
    dim = x.shape[0]
    for t in range(columns.shape[0]):
        v, weight = other[columns[t]], np.sqrt(values[t])
        for i in range(dim):
            scaled[t, i] = weight * root[i] * v[i]
        for s in range(t + 1):
            a[t, s] = dot(scaled[t], scaled[s], dim)
        a[t, t] += np.float32(1)
        b[t] = weight
    solve_in_place(a, b, columns.shape[0])
    for t in range(columns.shape[0]):
        for i in range(dim):
            x[i] += b[t] * scaled[t, i]
    for i in range(dim):
        x[i] *= root[i]


@njit(cache=True, nogil=True, fastmath=True)
def solve_wide(columns: I32, values: F32, other: F32, diagonal: F32, a: F32, x: F32) -> None:
    """The minimum of a row with at least as many entries as dimensions; x is zero on entry. Entries are taken in fours: it is the writing of `a` that costs."""
    dim, n = x.shape[0], columns.shape[0]
    for i in range(dim):
        a[i, : i + 1] = 0
        a[i, i] = diagonal[i]
    for t in range(0, n - n % 4, 4):
        p, q, r, s = other[columns[t]], other[columns[t + 1]], other[columns[t + 2]], other[columns[t + 3]]
        c, d, e, f = values[t], values[t + 1], values[t + 2], values[t + 3]
        for i in range(dim):
            w, y, z, u = c * p[i], d * q[i], e * r[i], f * s[i]
            x[i] += (w + y) + (z + u)
            for j in range(i + 1):
                a[i, j] += (w * p[j] + y * q[j]) + (z * r[j] + u * s[j])
    for t in range(n - n % 4, n):
        p, c = other[columns[t]], values[t]
        for i in range(dim):
            w = c * p[i]
            x[i] += w
            for j in range(i + 1):
                a[i, j] += w * p[j]
    solve_in_place(a, x, dim)


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
def fold_in(factors: Factors, extra: F32, items: I32, weights: F32, n: int, x: F32) -> None:
    """Fills x (dim,) with the vector of a user whose recent items are items[:n]: the exact solution of their normal equations.

    Parameters
    ----------
    extra : (n_extra, dim) vectors of the items after those of the factors. Items beyond both are skipped.
    weights : (n,) float32 confidences, decayed by age.

    Cost: 7 us at dim 64, 20 items: the few vectors are turned into the axes of the gram, and solved as `solve_rows` does.
    """
    dim, n_known = factors.gram.shape[0], factors.vectors.shape[0]
    rows, confidence, filled, total = np.empty((n, dim), np.float32), np.empty(n, np.float32), 0, np.float32(0)
    for t in range(n):
        item = items[t]
        if item >= n_known + extra.shape[0]:
            continue
        v = factors.vectors[item] if item < n_known else extra[item - n_known]
        if dot(v, v, dim) != 0:
            rows[filled, :], confidence[filled] = v, weights[t]
            total += weights[t]
            filled += 1
    x[:] = 0
    if total == 0:
        return
    places, confidence = np.arange(filled).astype(np.int32), confidence[:filled]
    turned, found, a = np.empty_like(rows), np.zeros(dim, np.float32), np.empty((dim, dim), np.float32)
    turn(rows[:filled], factors.axes, turned)
    diagonal = factors.spread + np.float32(factors.reg * (total + factors.unobserved) ** factors.nu)
    if filled < dim:
        solve_narrow(places, confidence, turned, 1 / np.sqrt(diagonal), rows, a, np.empty(filled, np.float32), found)
    else:
        solve_wide(places, confidence, turned, diagonal, a, found)
    for i in range(dim):
        x[i] = dot(factors.axes[i], found, dim)
