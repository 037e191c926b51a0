"""Small dense solves inside kernels: Cholesky in place, and a bounded heap for the best of a scan."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


@njit(cache=True, nogil=True, fastmath=True)
def solve_in_place(a: F32, b: F32, n: int) -> None:
    """Solves a[:n, :n] x = b[:n] for a symmetric positive definite `a` (lower half read, overwritten); x replaces b.

    Cost: n^3 / 6 multiply-adds: about 25 us at n = 64.
    """
    for i in range(n):
        for j in range(i):
            a[i, j] = (a[i, j] - inner(a, i, j, j)) / a[j, j]
        a[i, i] = np.sqrt(max(a[i, i] - inner(a, i, i, i), np.float32(1e-12)))
    for i in range(n):
        total = b[i]
        for j in range(i):
            total -= a[i, j] * b[j]
        b[i] = total / a[i, i]
    for i in range(n - 1, -1, -1):
        b[i] /= a[i, i]
        for j in range(i):
            b[j] -= a[i, j] * b[i]


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def inner(a: F32, i: int, j: int, n: int) -> np.float32:
    """a[i, :n] . a[j, :n]."""
    total = np.float32(0)
    for t in range(n):
        total += a[i, t] * a[j, t]
    return total


@njit(cache=True, nogil=True, inline="always")
def better(score_a: float, item_a: int, score_b: float, item_b: int) -> bool:
    """Order of every list: higher score first, equal scores by lower item number."""
    return score_a > score_b or (score_a == score_b and item_a < item_b)


@njit(cache=True, nogil=True)
def push(scores: F32, items: I32, size: int, limit: int, score: float, item: int) -> int:
    """Offers one entry to a heap of the best `limit`; returns the new size. The worst kept entry is at 0."""
    if size < limit:
        at = size
        while at > 0:
            parent = (at - 1) >> 1
            if not better(scores[parent], items[parent], score, item):
                break
            scores[at], items[at] = scores[parent], items[parent]
            at = parent
        scores[at], items[at] = score, item
        return size + 1
    if better(score, item, scores[0], items[0]):
        sift(scores, items, size, score, item)
    return size


@njit(cache=True, nogil=True)
def sift(scores: F32, items: I32, size: int, score: float, item: int) -> None:
    """Puts an entry in the place of the heap's worst."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and better(scores[child], items[child], scores[child + 1], items[child + 1]):
            child += 1
        if not better(score, item, scores[child], items[child]):
            break
        scores[at], items[at] = scores[child], items[child]
        at = child
    scores[at], items[at] = score, item
