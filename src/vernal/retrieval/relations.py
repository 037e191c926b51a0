"""Item-to-item relations side by side: for every item one stretch of memory with its co-visitation, EASE and content neighbours.

A request reads some fifty random items; laid out like this each costs one trip to memory instead of six.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.retrieval.linear import F32, I32
from vernal.retrieval.positives import Matrix

KINDS = ("covisitation", "ease", "content")  # order of an item's sections


class Relations(NamedTuple):
    """Section s of item i is entries[start[3 i + s] : start[3 i + s + 1]]."""

    start: NDArray[np.int64]  # (3 n + 1,)
    entries: I32  # (nnz, 2): item number, bits of a float32 value

    @classmethod
    def of(cls, matrices: Sequence[Matrix], cap: int) -> "Relations":
        """Relations of one (n, n) matrix per kind, rows by source item; of a longer row the `cap` entries of largest absolute value are kept."""
        matrices = [capped(matrix, cap) for matrix in matrices]
        n, count = matrices[0].n_rows, len(matrices)
        lengths = np.stack([matrix.lengths for matrix in matrices], axis=1).ravel()  # (3 n,)
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.empty((int(start[-1]), 2), np.int32)
        for section, matrix in enumerate(matrices):
            row = np.repeat(np.arange(n), matrix.lengths)
            at = start[count * row + section] + np.arange(len(row)) - matrix.start[row]
            entries[at, 0], entries[at, 1] = matrix.column, matrix.value.view(np.int32)
        return cls(start, entries)

    @property
    def n(self) -> int:
        return (len(self.start) - 1) // len(KINDS)

    def row(self, kind: str, item: int) -> tuple[I32, F32]:
        """Neighbours of an item and their values."""
        section = len(KINDS) * item + KINDS.index(kind)
        entries = self.entries[self.start[section] : self.start[section + 1]]
        return entries[:, 0], entries[:, 1].view(np.float32)

    def matrix(self, kind: str) -> Matrix:
        """One kind as a matrix, copied."""
        section = KINDS.index(kind)
        begin, end = self.start[section :: len(KINDS)][: self.n], self.start[section + 1 :: len(KINDS)][: self.n]
        row = np.repeat(np.arange(self.n), end - begin)
        start = np.concatenate([[0], np.cumsum(end - begin)]).astype(np.int64)
        at = begin[row] + np.arange(len(row)) - start[row]
        return Matrix(start, self.entries[at, 0].copy(), self.entries[at, 1].view(np.float32).copy(), self.n)


def capped(matrix: Matrix, cap: int) -> Matrix:
    """The matrix with at most `cap` entries a row, those of largest absolute value; a hub item would otherwise cost every request that holds it."""
    if matrix.n_rows == 0 or matrix.lengths.max() <= cap:
        return matrix
    row = np.repeat(np.arange(matrix.n_rows), matrix.lengths)
    order = np.lexsort((-np.abs(matrix.value), row))
    rank = np.arange(len(row)) - matrix.start[row]
    kept = np.sort(order[rank < cap])
    start = np.concatenate([[0], np.cumsum(np.minimum(matrix.lengths, cap))]).astype(np.int64)
    return Matrix(start, matrix.column[kept], matrix.value[kept], matrix.n_columns)
