"""Intervals of differences and ratios, by a paired bootstrap over users.

Cases of one user are not independent, so whole users are drawn; contestants are compared on the same draw. Seeded, so a report can be repeated.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
LEVEL = 0.95
BLOCK = 100  # draws at once, to bound memory


class Interval(NamedTuple):
    """A figure with the interval that holds it at `LEVEL`."""

    value: float
    low: float
    high: float

    def excludes(self, null: float) -> bool:
        return self.low > null or self.high < null


def paired_difference(ours: NDArray[np.float64], theirs: NDArray[np.float64], users: NDArray[np.int32], seed: int = 0) -> Interval:
    """Mean of ours minus mean of theirs, per case, resampling users.

    Parameters
    ----------
    ours, theirs : (n,) a metric per case, same cases
    users : (n,) whose case it is
    """
    means = resampled(np.stack([ours, theirs], axis=1), users, seed)
    return interval(float(ours.mean() - theirs.mean()), means[:, 0] - means[:, 1])


def paired_ratio(ours: NDArray[np.float64], theirs: NDArray[np.float64], users: NDArray[np.int32], seed: int = 0) -> Interval:
    """Mean of ours over mean of theirs, resampling users; infinite where theirs is 0, and 1 where both are."""
    return paired_ratios(ours[:, None], theirs[:, None], users, seed)[0]


def paired_ratios(ours: NDArray[np.float64], theirs: NDArray[np.float64], users: NDArray[np.int32], seed: int = 0, level: float = LEVEL) -> list[Interval]:
    """`paired_ratio` of several pairs on the same draws of users; (n, k) and (n, k) -> k intervals.

    Parameters
    ----------
    level : chance with which each interval is to hold its figure
    """
    k = ours.shape[1]
    values = np.hstack([ours, theirs])
    means = np.vstack([values.mean(axis=0), resampled(values, users, seed)])  # (1 + DRAWS, 2 k)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num(means[:, :k] / means[:, k:], nan=1.0, posinf=np.inf)
    return [interval(float(column[0]), column[1:], level) for column in ratios.T]


def mean_interval(values: NDArray[np.float64], users: NDArray[np.int32], seed: int = 0) -> Interval:
    """Mean of a metric over cases, resampling users."""
    return interval(float(values.mean()), resampled(values[:, None], users, seed)[:, 0])


def resampled(values: NDArray[np.float64], users: NDArray[np.int32], seed: int) -> NDArray[np.float64]:
    """(DRAWS, columns) means over cases, each draw taking as many users as there are, with replacement."""
    _, whose = np.unique(users, return_inverse=True)
    n = int(whose.max()) + 1
    sums = np.stack([np.bincount(whose, column, n) for column in values.T], axis=1)  # (n_users, columns)
    counts = np.bincount(whose, minlength=n)
    draw = np.random.default_rng(seed)
    parts = []
    for _ in range(DRAWS // BLOCK):
        times = draw.multinomial(n, np.full(n, 1.0 / n), BLOCK)  # (BLOCK, n_users)
        parts.append((times @ sums) / (times @ counts)[:, None])
    return np.concatenate(parts)


def interval(value: float, draws: NDArray[np.float64], level: float = LEVEL) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return Interval(value, float(low), float(high))
