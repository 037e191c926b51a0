"""How relevance and taste come together in the score of what was searched for.

In: what matches, with its relevance, and the ranker's score of each. Out: one utility on the scale of log-odds. The two weights are fitted on what was chosen
from logged searches; until enough of those are there, relevance leads and taste only decides among what is about as relevant.
"""

from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.ranking.features import QUERY
from vernal.release import Draft, Release
from vernal.retrieval.matching import Matches

NAME = "search"
LEAST_SLATES = 50  # searches with a choice that weights are fitted on
RIDGE = 1.0
STEPS = 20
Floats = NDArray[np.float32]


class Blend(msgspec.Struct, frozen=True):
    """utility = relevance x its weight + the ranker's score x its weight."""

    relevance: float = 6.0
    taste: float = 0.5
    slates: int = 0  # logged searches it was fitted on; 0 = the defaults

    def relevant(self, relevance: Floats) -> Floats:
        """(n,) float32 part of the utility; an item that does not match (NaN) counts as not relevant."""
        return (self.relevance * np.nan_to_num(relevance, nan=0.0)).astype(np.float32)

    def personal(self, score: Floats) -> Floats:
        """(n,) float32 part of the utility."""
        return (self.taste * score).astype(np.float32)

    def save(self, draft: Draft) -> None:
        draft.put_json(NAME, msgspec.to_builtins(self))

    @classmethod
    def load(cls, release: Release) -> Self:
        """That of a release; the defaults where it has none."""
        return msgspec.convert(release.json(NAME), cls) if release.has(f"{NAME}.json") else cls()

    @classmethod
    def fitted(cls, relevance: Floats, score: Floats, labels: Floats, groups: NDArray[np.int64]) -> Self:
        """By conditional logistic regression within each search, so that nothing but the order in it counts; never below 0.

        Parameters
        ----------
        relevance, score : (n,) of shown items; `score` by a ranker that has not seen these searches
        labels : (n,) 1 = chosen
        groups : (n,) the search of each row, ascending
        """
        slates = len(np.unique(groups[labels > 0])) if len(groups) else 0
        if slates < LEAST_SLATES:
            return cls()
        x = np.column_stack([np.nan_to_num(relevance, nan=0.0), score]).astype(np.float64)
        w = np.array([cls().relevance, cls().taste])
        start = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
        of = np.cumsum(np.diff(groups, prepend=groups[0]) != 0)  # (n,) place of each row's search
        chosen = np.add.reduceat(labels.astype(np.float64), start)
        prior = w.copy()
        for _ in range(STEPS):
            u = x @ w
            p = np.exp(u - np.maximum.reduceat(u, start)[of])
            p /= np.add.reduceat(p, start)[of]
            mean = np.column_stack([np.add.reduceat(p * x[:, k], start) for k in range(2)])
            gradient = x.T @ labels - (chosen[:, None] * mean).sum(0) - RIDGE * (w - prior)
            spread = x - mean[of]
            hessian = (spread * (p * chosen[of])[:, None]).T @ spread + RIDGE * np.eye(2)
            w = np.maximum(w + np.linalg.solve(hessian, gradient), 0.0)
        return cls(float(w[0]), float(w[1]), slates)


DEFAULTS = Blend()


def query_columns(matches: Matches, item: NDArray[np.int32]) -> Floats:
    """(n, len(QUERY)) float32 of items, in the order of `features.QUERY`; NaN where an item does not match."""
    at = matches.at(item)
    out = np.full((len(item), len(QUERY)), np.nan, np.float32)
    found = at >= 0
    for column, values in enumerate((matches.lexical, matches.semantic, matches.relevance, matches.clicks)):
        out[found, column] = values[at[found]]
    out[:, -1] = matches.words
    return out
