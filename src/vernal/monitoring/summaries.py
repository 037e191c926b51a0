"""What a window of rows leaves behind: int64 counts that add up, so any grouping and order of shards gives the same bytes.

A summary belongs to one stream of rows, one window and one segment (a device, a country, new users); nothing in it names a person. Outcomes are
folded with the served probability p and the label y when they have matured: residuals y - p are kept per cell of every column, in fixed point.
"""

from typing import Final, NamedTuple, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.errors import MonitoringError
from vernal.monitoring.bins import CELLS, Bins, Cells, Floats, Keys, category_cell, numeric_cell

ONE: Final = 1 << 20  # fixed point of residuals, weights and losses
LOGIT_LIMIT: Final = 15.0
MAGIC: Final = b"VSUM0001"
SLICE: Final = 8_192  # rows folded at once, to stay in the cache

# Moments of labelled rows, in this order; l is the logit of p, w = p (1 - p), loss the log loss.
N, Y, R, W, RL, WL, WLL, LOSS, LOSS2, LOSSY = range(10)
N_MOMENTS: Final = 10
Counts = NDArray[np.int64]


class Outcomes(NamedTuple):
    """Matured labels of n rows."""

    probability: Floats  # (n,) as served, 0..1
    label: NDArray[np.uint8]  # (n,) 0 or 1


class Summary:
    """Counts of one window.

    Example
    -------
    >>> bins = Bins.frozen(np.arange(100.0)[:, None], np.empty((100, 0), np.int64))
    >>> low, high = (Summary.of(bins, np.full((n, 1), x), np.empty((n, 0), np.int64)) for n, x in ((3, 1.0), (5, 98.0)))
    >>> (low + high).rows, low + high == high + low
    (8, True)
    """

    def __init__(self, fingerprint: bytes, n_columns: int, flat: Counts) -> None:
        self.fingerprint, self.n_columns, self.flat = fingerprint, n_columns, flat

    @classmethod
    def empty(cls, bins: Bins) -> Self:
        return cls(bins.fingerprint, bins.n_columns, np.zeros(length(bins.n_columns), np.int64))

    @classmethod
    def of(cls, bins: Bins, numeric: Floats, categorical: Keys, outcomes: Outcomes | None = None, score_at: int = -1) -> Self:
        """The summary of n rows.

        Parameters
        ----------
        numeric : (n, n_numeric) float64
        categorical : (n, n_categorical) int64 keys
        outcomes : labels of the same rows, once they have matured
        score_at : Schema.score_at, so that the area under the curve can be told

        Raises
        ------
        MonitoringError
            Shapes that are not those of the bins: a schema alarm.

        Cost: 0.6 us per row at 50 columns, 0.25 us without labels, bench/drift_cost.py.
        """
        made = cls.empty(bins)
        if outcomes is None:
            made.add(bins, numeric, categorical)
            return made
        expect_shapes(bins, numeric, categorical, outcomes)
        for first in range(0, len(numeric), SLICE):
            part = slice(first, first + SLICE)
            made.fold(bins.cells(numeric[part], categorical[part]), Outcomes(outcomes.probability[part], outcomes.label[part]), score_at)
        return made

    def add(self, bins: Bins, numeric: Floats, categorical: Keys) -> None:
        """Counts rows without labels, as many as there are or one at a time: straight into the counts.

        Cost: 2 us for a row by itself, bench/drift_cost.py.
        """
        if numeric.shape[1:] != (len(bins.edges),) or categorical.shape != (len(numeric), len(bins.start) - 1):
            expect_shapes(bins, numeric, categorical, None)
        add_rows(numeric, categorical, bins.edges, bins.table, bins.place, bins.slot, self.flat)

    def fold(self, cells: Cells, outcomes: Outcomes, score_at: int = -1) -> None:
        """Adds labelled rows whose cells are known: (n, n_columns) uint8."""
        self.flat[0] += len(cells)
        count(cells, self.counts)
        residual, weight, moments = fixed_point(outcomes)
        count_outcomes(cells, residual, weight, self.residual, self.weight)
        self.moments[:] += moments
        if score_at >= 0:
            count_pairs(cells[:, score_at], outcomes.label, self.score)

    @property
    def rows(self) -> int:
        return int(self.flat[0])

    @property
    def counts(self) -> Counts:
        """(n_columns, CELLS) rows per cell."""
        return self.block(0)

    @property
    def residual(self) -> Counts:
        """(n_columns, CELLS) sum of y - p of labelled rows per cell, in units of 1 / ONE."""
        return self.block(1)

    @property
    def weight(self) -> Counts:
        """(n_columns, CELLS) sum of p (1 - p) of labelled rows per cell, in units of 1 / ONE."""
        return self.block(2)

    def block(self, at: int) -> Counts:
        size = self.n_columns * CELLS
        return self.flat[1 + at * size : 1 + (at + 1) * size].reshape(self.n_columns, CELLS)

    @property
    def score(self) -> Counts:
        """(2, CELLS) labelled rows by label and cell of the score."""
        return self.flat[-N_MOMENTS - 2 * CELLS : -N_MOMENTS].reshape(2, CELLS)

    @property
    def moments(self) -> Counts:
        """(N_MOMENTS,) sums over labelled rows; N and Y plain, the others in units of 1 / ONE."""
        return self.flat[-N_MOMENTS:]

    def __add__(self, other: Self) -> Self:
        return type(self)(self.fingerprint, self.n_columns, self.flat + self.matched(other).flat)

    def __sub__(self, other: Self) -> Self:
        """The rest: a whole without one of its segments, exactly."""
        return type(self)(self.fingerprint, self.n_columns, self.flat - self.matched(other).flat)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Summary) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    def matched(self, other: Self) -> Self:
        if other.fingerprint != self.fingerprint:
            raise MonitoringError.other_bins(other.fingerprint.hex(), self.fingerprint.hex())
        return other

    def to_bytes(self) -> bytes:
        """Magic, fingerprint, number of columns and the counts, little-endian."""
        return MAGIC + self.fingerprint + self.n_columns.to_bytes(8, "little") + self.flat.astype("<i8").tobytes()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """What `to_bytes` wrote.

        Raises
        ------
        MonitoringError
            Not the bytes of a summary.
        """
        n_columns = int.from_bytes(raw[24:32], "little")
        if raw[:8] != MAGIC or len(raw) != 32 + 8 * length(n_columns):
            raise MonitoringError.invalid("summary", f"{len(raw)} bytes", "what Summary.to_bytes wrote")
        return cls(raw[8:24], n_columns, np.frombuffer(raw[32:], "<i8").astype(np.int64))


def length(n_columns: int) -> int:
    return 1 + 3 * n_columns * CELLS + 2 * CELLS + N_MOMENTS


def expect_shapes(bins: Bins, numeric: Floats, categorical: Keys, outcomes: Outcomes | None) -> None:
    n, n_numeric, n_categorical = len(numeric), len(bins.edges), len(bins.start) - 1
    if numeric.shape != (n, n_numeric) or categorical.shape != (n, n_categorical):
        raise MonitoringError.schema([numeric.shape, categorical.shape], [("n", n_numeric), ("n", n_categorical)])
    if outcomes is not None and not len(outcomes.probability) == len(outcomes.label) == n:
        raise MonitoringError.schema([len(outcomes.probability), len(outcomes.label)], [n, n])


@njit(nogil=True, cache=True)
def add_rows(numeric: Floats, categorical: Keys, edges: Floats, table: Keys, place: Cells, slot: Keys, flat: Counts) -> None:
    """Finds each value's cell and counts it, without an array of cells in between."""
    n_numeric = numeric.shape[1]
    flat[0] += len(numeric)
    for i in range(len(numeric)):
        for c in range(n_numeric):
            flat[1 + c * CELLS + numeric_cell(numeric[i, c], edges, c)] += 1
        for c in range(categorical.shape[1]):
            flat[1 + (n_numeric + c) * CELLS + category_cell(categorical[i, c], table, place, slot, c)] += 1


@njit(nogil=True, cache=True)
def count(cells: Cells, counts: Counts) -> None:
    for i in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            counts[c, cells[i, c]] += 1


@njit(nogil=True, cache=True)
def count_outcomes(cells: Cells, residual: Counts, weight: Counts, residuals: Counts, weights: Counts) -> None:
    for i in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            residuals[c, cells[i, c]] += residual[i]
            weights[c, cells[i, c]] += weight[i]


@njit(nogil=True, cache=True)
def count_pairs(cells: Cells, label: NDArray[np.uint8], score: Counts) -> None:
    for i in range(len(cells)):
        score[1 if label[i] else 0, cells[i]] += 1


def fixed_point(outcomes: Outcomes) -> tuple[Counts, Counts, Counts]:
    """Residual and weight of each row, and the moments of all; each row is rounded by itself, so that order does not matter."""
    limit = 1.0 / (1.0 + np.exp(LOGIT_LIMIT))
    p = np.clip(np.nan_to_num(outcomes.probability, nan=0.5), limit, 1.0 - limit)
    y = (outcomes.label != 0).astype(np.float64)
    logit = np.log(p) - np.log1p(-p)
    residual, weight, loss = y - p, p * (1.0 - p), -np.where(y > 0, np.log(p), np.log1p(-p))
    terms = np.stack([residual, weight, residual * logit, weight * logit, weight * logit**2, loss, loss**2, loss * y])
    whole = np.rint(terms * ONE).astype(np.int64)  # (8, n)
    moments = np.concatenate([[len(p), int(y.sum())], whole.sum(axis=1)]).astype(np.int64)
    return whole[0], whole[1], moments
