"""Approximate search of item vectors: inverted lists of int8 codes, masks inside the scan.

In: (n, dim) float32 vectors, zero rows meaning "none". Out: `Ivf`, whose arrays lie in list order so that a probe reads memory in a row. Lists and
items are chosen by int8 product (scores are made exact later, for all candidates alike), and `n_probe` is chosen at build time to keep recall.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.board import Board, Mask, barred, eligible, new_board
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.selection import BUFFER, Sieve, key_of, new_sieve, room_for, shrink, unpack

RECALL = 0.9  # of the exact 100 best, kept on sample queries
PROBES = (8, 16, 32, 64, 128)
KMEANS_ROUNDS = 8
SAMPLE_PER_LIST = 64
WIDENING = 8  # times more lists may be probed when a filter leaves too few
ROOM = 4  # lists gathered before the best are kept, in units of those wanted


class Ivf(NamedTuple):
    """Inverted lists; n_kept <= n items have a vector."""

    centroids: NDArray[np.int8]  # (n_lists, dim) codes
    reach: F32  # (n_lists,) value of one step of a centroid's code
    start: NDArray[np.int64]  # (n_lists + 1,)
    order: I32  # (n_kept,) item numbers in list order
    codes: NDArray[np.int8]  # (n_kept, dim)
    scale: F32  # (n_kept,) value of one code step
    n_probe: int


def build(vectors: F32, queries: F32, seed: int, *, unit: bool = False) -> Ivf:
    """Lists for a set of vectors; as few probes as keep RECALL on the queries.

    Parameters
    ----------
    unit : the vectors have unit norm, and so have the centroids then: nearest is of the largest product, for items and for queries alike

    Cost: 40 CPU s for 10^6 vectors of 64 dimensions.
    """
    kept = np.flatnonzero(np.any(vectors != 0, axis=1))
    rows = np.ascontiguousarray(vectors[kept])
    n_lists = max(1, 1 << max(0, round(np.log2(4 * np.sqrt(max(1, len(kept)))))))
    centroids = kmeans(rows, min(n_lists, max(1, len(kept))), seed, unit=unit)
    nearest = assign(rows, centroids)
    order = np.argsort(nearest, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(nearest, minlength=len(centroids)))]).astype(np.int64)
    codes, scale = quantise(rows[order])
    index = Ivf(*quantise(centroids), start, kept[order].astype(np.int32), codes, scale, PROBES[-1])
    return index._replace(n_probe=enough_probes(index, vectors, queries))


def kmeans(rows: F32, n_lists: int, seed: int, *, unit: bool = False) -> F32:
    """(n_lists, dim) centroids of a sample; an emptied list restarts at a random row."""
    random = np.random.default_rng(seed)
    sample = rows[random.permutation(len(rows))[: SAMPLE_PER_LIST * n_lists]]
    centroids = sample[:n_lists].copy()
    for _ in range(KMEANS_ROUNDS):
        nearest = assign(sample, centroids)
        counts = np.bincount(nearest, minlength=n_lists)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, sample)
        size = np.linalg.norm(sums, axis=1) if unit else counts
        centroids = (sums / np.maximum(size, 1e-9)[:, None]).astype(np.float32)
        empty = np.flatnonzero(counts == 0)
        centroids[empty] = sample[random.integers(0, len(sample), len(empty))]
    return np.ascontiguousarray(centroids, np.float32)


def assign(rows: F32, centroids: F32, step: int = 16_384) -> I32:
    """(n,) int32: the nearest centroid of every row."""
    half = (centroids**2).sum(1) / 2
    parts = [np.argmax(rows[low : low + step] @ centroids.T - half, axis=1) for low in range(0, len(rows), step)]
    return np.concatenate([*parts, np.empty(0, np.int64)]).astype(np.int32)


def quantise(rows: F32) -> tuple[NDArray[np.int8], F32]:
    """Codes (n, dim) int8 and scale (n,): rows are about codes x scale."""
    scale = np.maximum(np.abs(rows).max(axis=1, initial=0), 1e-12).astype(np.float32) / 127
    return np.rint(rows / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def enough_probes(index: Ivf, vectors: F32, queries: F32, k: int = 100) -> int:
    """The least number of probes that finds RECALL of the exact k best of the queries."""
    if not len(queries):
        return PROBES[-2]
    k = min(k, len(index.order))
    exact = [set(np.argpartition(-(vectors @ query), k - 1)[:k].tolist()) for query in queries]
    for n_probe in PROBES[:-1]:
        tried = index._replace(n_probe=n_probe)
        found = [len(exact[q] & set(search(tried, len(vectors), query, k).tolist())) for q, query in enumerate(queries)]
        if np.mean(found) >= RECALL * k:
            return n_probe
    return PROBES[-1]


def search(index: Ivf, n: int, query: F32, k: int) -> I32:
    """Item numbers (below n) of about the k best by product with the query, best first; no masks."""
    sieve, nobody = new_sieve(BUFFER * k), new_board(1, 1, 1)
    size = probe(index, query, k, nobody, Mask(n, np.zeros(n, np.uint8), 0, np.empty(0, np.uint8)), sieve)
    items = np.empty(size, np.int32)
    unpack(sieve, size, items)
    return items


@njit(cache=True, nogil=True)
def best_lists(index: Ivf, code: NDArray[np.int8], wanted: int, sieve: Sieve) -> I32:
    """The `wanted` lists whose centroids have the largest product with the query, best first."""
    n_lists, dim = index.centroids.shape
    products, least = np.empty(n_lists, np.float32), np.float32(0)
    for row in range(n_lists):
        products[row] = index.reach[row] * np.float32(code_product(index.centroids[row], code, dim))
        least = min(least, products[row])
    own = Sieve(np.empty(ROOM * wanted, np.int64), np.empty(ROOM * wanted, np.int64), sieve.bins)
    size, threshold = 0, np.int64(0)
    for row in range(n_lists):
        key = key_of(products[row] - least, row)
        if key > threshold:
            own.keys[size] = key
            size += 1
            if size == own.keys.shape[0]:
                size = shrink(own, size, wanted)
                threshold = own.keys[size - 1]
    lists = np.empty(shrink(own, size, wanted), np.int32)
    unpack(own, lists.shape[0], lists)
    return lists


@njit(cache=True, nogil=True)
def code_of(x: F32, step: float) -> NDArray[np.int8]:
    """x in int8 steps."""
    out = np.empty(x.shape[0], np.int8)
    for k in range(x.shape[0]):
        out[k] = np.int8(np.rint(x[k] / step))
    return out


@njit(cache=True, nogil=True)
def probe(index: Ivf, x: F32, limit: int, board: Board, mask: Mask, sieve: Sieve) -> int:
    """Leaves the best eligible items as sorted keys, scored by int8 products; returns how many.

    Goes on past n_probe lists while a filter leaves too few.
    """
    step = max(np.max(np.abs(x)), np.float32(1e-12)) / np.float32(127)
    code, n_lists = code_of(x, step), index.centroids.shape[0]
    state = Scan(0, np.int64(0))
    probed, wanted = 0, min(n_lists, index.n_probe)
    while True:
        lists = best_lists(index, code, wanted, sieve)
        for at in range(probed, lists.shape[0]):
            state = scan_list(index, lists[at], code, step, limit, state, board, mask, sieve)
        size = shrink(sieve, state.size, limit)
        state = Scan(size, state.threshold)
        if size == limit or wanted == min(n_lists, index.n_probe * WIDENING):
            return size
        probed, wanted = wanted, min(n_lists, index.n_probe * WIDENING)


class Scan(NamedTuple):
    """How far a scan is."""

    size: int  # keys gathered
    threshold: int | np.int64  # no key at or below enters


@njit(cache=True, nogil=True)
def scan_list(index: Ivf, number: int, code: NDArray[np.int8], step: float, limit: int, state: Scan, board: Board, mask: Mask, sieve: Sieve) -> Scan:
    """Adds one list to the gathered keys."""
    dim, room, size, threshold = code.shape[0], room_for(sieve, limit), state.size, state.threshold
    for row in range(index.start[number], index.start[number + 1]):
        product = code_product(index.codes[row], code, dim)
        if product <= 0:
            continue
        item = index.order[row]
        key = key_of(index.scale[row] * step * np.float32(product), item)
        if key > threshold and eligible(item, mask) and not barred(item, board):
            if size == room:
                size = shrink(sieve, size, limit)
                threshold = sieve.keys[size - 1]
            sieve.keys[size] = key
            size += 1
    return Scan(size, threshold)


@njit(cache=True, nogil=True)
def code_product(row: NDArray[np.int8], code: NDArray[np.int8], dim: int) -> np.int32:
    """Exact integer product of two codes; fits int32 up to 2^17 dimensions."""
    total = np.int32(0)
    for k in range(dim):
        total = np.int32(total + np.int32(row[k]) * np.int32(code[k]))
    return total
