"""Ranking metrics over the full catalogue, one value per case.

In: the rank of every target (1 = first). Out: Recall@k, NDCG@k, HR@k per case; coverage and novelty of the lists. Ranks of scored catalogues count ties
at mid-rank, so a model that scores everything alike gets what chance would give it, not a perfect hit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

ABSENT = np.inf


@njit(cache=True, nogil=True)
def mid_ranks(scores: NDArray[np.float64], eligible: NDArray[np.bool_], targets: NDArray[np.int32]) -> NDArray[np.float64]:
    """(t,) rank of each target among the eligible items: 1 + items above it + half the items it ties with.

    Parameters
    ----------
    scores : (n_items,) float64; NaN ranks with the lowest
    eligible : (n_items,) bool; a target that is not eligible, or has no number below n_items, ranks at infinity

    Cost: t passes over the catalogue, 30 us each at 10^5 items.
    """
    out = np.full(len(targets), np.inf)
    for t in range(len(targets)):
        item = targets[t]
        if item >= len(scores) or not eligible[item]:
            continue
        mine = scores[item] if not np.isnan(scores[item]) else -np.inf
        above, tied = 0, -1
        for i in range(len(scores)):
            if eligible[i]:
                other = scores[i] if not np.isnan(scores[i]) else -np.inf
                above += other > mine
                tied += other == mine
        out[t] = 1.0 + above + tied / 2.0
    return out


def list_ranks(items: NDArray[np.int32], targets: NDArray[np.int32]) -> NDArray[np.float64]:
    """(t,) 1-based place of each target in a list; infinity when it is not there."""
    place = {int(item): rank for rank, item in reversed(list(enumerate(items, 1)))}
    return np.array([place.get(int(target), ABSENT) for target in targets], np.float64)


def recall(ranks: NDArray[np.float64], k: int) -> float:
    """Share of the targets among the first k."""
    return float(np.mean(ranks <= k)) if len(ranks) else 0.0


def hit(ranks: NDArray[np.float64], k: int) -> float:
    """1 when any target is among the first k."""
    return float(bool((ranks <= k).any()))


def ndcg(ranks: NDArray[np.float64], k: int) -> float:
    """Discounted gain of the targets among the first k over that of the best possible list of k.

    >>> ndcg(np.array([1.0, 2.0]), 10), round(ndcg(np.array([2.0]), 10), 4)
    (1.0, 0.6309)
    """
    if not len(ranks):
        return 0.0
    gained = np.sum(1.0 / np.log2(1.0 + ranks[ranks <= k]))
    best = np.sum(1.0 / np.log2(2.0 + np.arange(min(k, len(ranks)))))
    return float(gained / best)


@dataclass(frozen=True)
class PerCase:
    """The accuracy of one contestant on every case; n cases."""

    ndcg_10: NDArray[np.float64]  # (n,)
    recall_20: NDArray[np.float64]
    hit_20: NDArray[np.float64]

    @classmethod
    def of(cls, ranks: Sequence[NDArray[np.float64]]) -> "PerCase":
        """From the targets' ranks of each case."""
        return cls(
            np.array([ndcg(r, 10) for r in ranks]),
            np.array([recall(r, 20) for r in ranks]),
            np.array([hit(r, 20) for r in ranks]),
        )

    def by_metric(self) -> dict[str, NDArray[np.float64]]:
        """The values per case by metric name."""
        return {"ndcg@10": self.ndcg_10, "recall@20": self.recall_20, "hr@20": self.hit_20}

    def means(self) -> dict[str, float]:
        """Mean over cases by metric name; 0 for no cases."""
        return {name: float(values.mean()) if len(values) else 0.0 for name, values in self.by_metric().items()}

    def rows(self, kept: NDArray[np.int64] | NDArray[np.bool_]) -> "PerCase":
        """The accuracy on these cases."""
        return PerCase(self.ndcg_10[kept], self.recall_20[kept], self.hit_20[kept])


def coverage(lists: Sequence[NDArray[np.int32]], n_eligible: int, k: int = 10) -> float:
    """Share of the eligible catalogue that appears in the first k of any list."""
    shown = np.unique(np.concatenate([np.empty(0, np.int32), *(items[:k] for items in lists)]))
    return len(shown) / max(1, n_eligible)


def novelty(lists: Sequence[NDArray[np.int32]], counts: NDArray[np.int64], k: int = 10) -> float:
    """Mean surprise of the shown items in bits, -log2 of their share of past events; an item never seen counts as seen once."""
    shown = np.concatenate([np.empty(0, np.int32), *(items[:k] for items in lists)])
    if not len(shown):
        return 0.0
    share = np.maximum(counts[shown], 1) / max(1, int(counts.sum()))
    return float(-np.log2(share).mean())
