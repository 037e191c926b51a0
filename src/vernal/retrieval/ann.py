"""Approximate search of item vectors: inverted lists of int8 codes, masks inside the scan.

In: (n, dim) float32 vectors, zero rows meaning "none". Out: `Ivf`, whose arrays lie in list order so that a probe reads memory in a row. The best
by int8 product are scored again with the float vectors, so scores are exact; only the choice is approximate, and `n_probe` is chosen at build
time to keep recall.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.ials import dot
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.selection import BUFFER, I64, LOW, N_BINS, key_of, shrink, unpack
from vernal.retrieval.sources import eligible

RECALL = 0.9  # of the exact 100 best, kept on sample queries
PROBES = (8, 16, 32, 64, 128)
KMEANS_ROUNDS = 8
SAMPLE_PER_LIST = 64
WIDENING = 8  # times more lists may be probed when a filter leaves too few


@dataclass(frozen=True)
class Ivf:
    """Inverted lists; n_kept <= n items have a vector."""

    centroids: F32  # (n_lists, dim)
    start: NDArray[np.int64]  # (n_lists + 1,)
    order: I32  # (n_kept,) item numbers in list order
    codes: NDArray[np.int8]  # (n_kept, dim)
    scale: F32  # (n_kept,) value of one code step
    n_probe: int


def build(vectors: F32, queries: F32, seed: int) -> Ivf:
    """Lists for a set of vectors; as few probes as keep RECALL on the queries.

    Cost: 40 CPU s for 10^6 vectors of 64 dimensions.
    """
    kept = np.flatnonzero(np.any(vectors != 0, axis=1))
    rows = np.ascontiguousarray(vectors[kept])
    n_lists = max(1, 1 << max(0, round(np.log2(4 * np.sqrt(max(1, len(kept)))))))
    centroids = kmeans(rows, min(n_lists, max(1, len(kept))), seed)
    nearest = assign(rows, centroids)
    order = np.argsort(nearest, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(nearest, minlength=len(centroids)))]).astype(np.int64)
    codes, scale = quantise(rows[order])
    index = Ivf(centroids, start, kept[order].astype(np.int32), codes, scale, PROBES[-1])
    return Ivf(index.centroids, index.start, index.order, index.codes, index.scale, enough_probes(index, vectors, queries))


def kmeans(rows: F32, n_lists: int, seed: int) -> F32:
    """(n_lists, dim) centroids of a sample; an emptied list restarts at a random row."""
    random = np.random.default_rng(seed)
    sample = rows[random.permutation(len(rows))[: SAMPLE_PER_LIST * n_lists]]
    centroids = sample[:n_lists].copy()
    for _ in range(KMEANS_ROUNDS):
        nearest = assign(sample, centroids)
        counts = np.bincount(nearest, minlength=n_lists)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, sample)
        centroids = sums / np.maximum(counts, 1)[:, None]
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
        tried = Ivf(index.centroids, index.start, index.order, index.codes, index.scale, n_probe)
        found = [len(exact[q] & set(search(tried, vectors, query, k).tolist())) for q, query in enumerate(queries)]
        if np.mean(found) >= RECALL * k:
            return n_probe
    return PROBES[-1]


def search(index: Ivf, vectors: F32, query: F32, k: int) -> I32:
    """Item numbers of about the k best by product with the query, best first; no masks."""
    n = len(vectors)
    keys, spare, bins = np.empty(BUFFER * k, np.int64), np.empty(BUFFER * k, np.int64), np.empty(N_BINS, np.int32)
    everything = (n, np.zeros(n, np.uint8), 0, np.empty(0, np.uint8), np.zeros(n, np.uint32), 1)
    size = probe(index.centroids, index.start, index.order, index.codes, index.scale, vectors, index.n_probe, query, k, *everything, keys, spare, bins)
    items, scores = np.empty(size, np.int32), np.empty(size, np.float32)
    unpack(keys, size, items, scores)
    return items


@njit(cache=True, nogil=True, fastmath=True)
def best_lists(centroids: F32, x: F32, wanted: int) -> I32:
    """The lists whose centroids have the largest product with x, best first."""
    n_lists, dim = centroids.shape
    scores = np.empty(n_lists, np.float32)
    for row in range(n_lists):
        scores[row] = -dot(centroids[row], x, dim)
    return np.argsort(scores)[:wanted].astype(np.int32)


@njit(cache=True, nogil=True)
def code_of(x: F32) -> NDArray[np.int8]:
    """x in int8 steps of its largest part; the length is lost, the order of products is not."""
    most = max(np.max(np.abs(x)), np.float32(1e-12))
    out = np.empty(x.shape[0], np.int8)
    for k in range(x.shape[0]):
        out[k] = np.int8(np.rint(x[k] * (127 / most)))
    return out


@njit(cache=True, nogil=True)
def probe(
    centroids: F32, start: NDArray[np.int64], order: I32, codes: NDArray[np.int8], scale: F32, vectors: F32, n_probe: int, x: F32, limit: int,
    n: int, flags: NDArray[np.uint8], need: int, allowed: NDArray[np.uint8], blocked: NDArray[np.uint32], epoch: int, keys: I64, spare: I64, bins: I32,
) -> int:
    """Leaves the best eligible items as sorted keys; returns how many. Goes on past n_probe lists while a filter leaves too few."""
    code, dim, size = code_of(x), x.shape[0], 0
    threshold, room = np.int64(0), min(keys.shape[0], BUFFER * limit)
    lists = best_lists(centroids, x, min(centroids.shape[0], n_probe * WIDENING))
    for at in range(lists.shape[0]):
        if at >= n_probe and size >= limit:
            break
        for row in range(start[lists[at]], start[lists[at] + 1]):
            score = scale[row] * np.float32(code_product(codes[row], code, dim))
            if score <= 0:
                continue
            key = key_of(score, order[row])
            if key > threshold and eligible(order[row], n, flags, need, allowed, blocked, epoch):
                keys[size] = key
                size += 1
                if size == room:
                    size = shrink(keys, spare, bins, size, limit)
                    threshold = keys[size - 1]
    return rescore(vectors, x, keys, spare, bins, shrink(keys, spare, bins, size, limit))


@njit(cache=True, nogil=True, inline="always")
def code_product(row: NDArray[np.int8], code: NDArray[np.int8], dim: int) -> int:
    """Exact integer product of two codes; fits int32 up to 2^17 dimensions."""
    total = np.int32(0)
    for k in range(dim):
        total = np.int32(total + np.int32(row[k]) * np.int32(code[k]))
    return total


@njit(cache=True, nogil=True)
def rescore(vectors: F32, x: F32, keys: I64, spare: I64, bins: I32, size: int) -> int:
    """Puts exact products in place of those of codes; drops what is not positive after all."""
    kept = 0
    for at in range(size):
        item = LOW - (keys[at] & LOW)
        score = dot(vectors[item], x, x.shape[0])
        if score > 0:
            keys[kept] = key_of(score, item)
            kept += 1
    return shrink(keys, spare, bins, kept, size)
