"""Items newer than the models: vectors mapped from their attributes and titles as soon as they are described.

A `Delta` belongs to one process and follows the live table; a row is made again when the item's attributes change. It is a cache of a pure
function of the release and the live table, so two processes that saw the same catalogue hold the same vectors.
"""

import threading

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.events.history import DESCRIBED
from vernal.retrieval.content import ContentMap, Vocabulary
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.ports import Live

GROWTH = 1_024  # rows
MOST = 50_000  # rows; past this the newest items wait for the next release


class Delta:
    """Vectors of items numbered `first`, `first + 1`, ..."""

    def __init__(self, first: int, vocabulary: Vocabulary, mapping: ContentMap) -> None:
        self.first, self.vocabulary, self.mapping = first, vocabulary, mapping
        self.vectors: F32 = np.zeros((0, len(mapping.intercept)), np.float32)
        self.codes: I32 = np.zeros((0, 0, 0), np.int32)  # attributes of which the rows were made
        self.described: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.lock = threading.Lock()

    def follow(self, live: Live) -> F32:
        """(n_extra, dim) float32: vectors of the items after the models, zero where nothing is known.

        Cost: 1 us without new items, about 30 us per new or changed item.
        """
        n = min(live.n - self.first, MOST)
        if n <= 0:
            return self.vectors[:0]
        attributes, flags = live.attributes, live.flags
        if n > len(self.vectors):
            self.grow(n, attributes)
        for row in changed(attributes, flags, self.first, n, self.codes, self.described):
            self.remap(int(row), attributes, flags, live)
        return self.vectors[:n]

    def grow(self, n: int, attributes: NDArray[np.int32]) -> None:
        with self.lock:
            rows = -(-n // GROWTH) * GROWTH
            shape = (rows, *attributes.shape[1:])
            vectors, codes, described = np.zeros((rows, len(self.mapping.intercept)), np.float32), np.zeros(shape, np.int32), np.zeros(rows, np.uint8)
            vectors[: len(self.vectors)], described[: len(self.described)] = self.vectors, self.described
            if len(self.vectors):
                codes[: len(self.codes)] = self.codes
            self.vectors, self.codes, self.described = vectors, codes, described

    def remap(self, row: int, attributes: NDArray[np.int32], flags: NDArray[np.uint8], live: Live) -> None:
        """Makes one row from what the live table says now."""
        number = self.first + row
        codes = attributes[number].copy()
        titles = getattr(live, "titles", None)
        features = self.vocabulary.features(titles(number) if titles else "", codes)
        self.vectors[row] = self.mapping.vector(features, self.vocabulary.weights(features))
        self.codes[row], self.described[row] = codes, flags[number] & DESCRIBED


@njit(cache=True, nogil=True)
def changed(
    attributes: NDArray[np.int32], flags: NDArray[np.uint8], first: int, n: int, codes: NDArray[np.int32], described: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Rows of which the live table says something else than when they were made."""
    out, size = np.empty(n, np.int64), 0
    for row in range(n):
        different = (flags[first + row] & 1) != described[row]
        for a in range(codes.shape[1]):
            for s in range(codes.shape[2]):
                different |= attributes[first + row, a, s] != codes[row, a, s]
        if different:
            out[size] = row
            size += 1
    return out[:size]
