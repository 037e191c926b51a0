"""What is believed of the rates of clicks of fresh items: the ranker's word first, and what came of showing them since.

In: a release's `Rates` (from the ranker's score to the share of clicks among items shown), scores, the live table. Out: the evidence of `slate.Offer`,
two pseudo-counts per item. The ranker's word counts as much as `STRENGTH` showings; showings and clicks count half after a week, as the live table keeps
them. A click that followed from no slate counts as well: it says as much about the item.
"""

import math
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.features.defaults import RATE_PRIOR, RATE_PRIOR_MEAN, SHOWN_COLUMN, taken_column
from vernal.release import Draft, Release

NAME: Final = "rates"
STRENGTH: Final = 50.0  # showings
LEAST, MOST = 1e-4, 0.9  # rates that a score may stand for
UNRANKED: Final = 0.02  # the rate of what no ranker scored
LEAST_CLICKS = 50  # on logged slates, before they say more than the default
RIDGE = 1.0
STEPS = 20
Floats = NDArray[np.float64]


class Rates(msgspec.Struct, frozen=True):
    """rate = 1 / (1 + exp(-(slope x score + offset)))."""

    slope: float = 1.0
    offset: float = 0.0
    clicks: int = 0  # on the slates it was fitted on; 0 = the default

    def of(self, score: NDArray[np.float32]) -> Floats:
        """(n,) share of clicks that items with these scores get where they are shown."""
        rate = 1 / (1 + np.exp(-(self.slope * score.astype(np.float64) + self.offset)))
        return np.clip(np.nan_to_num(rate, nan=UNRANKED), LEAST, MOST)

    @classmethod
    def unfitted(cls, settings: Settings) -> Self:
        """What the thinning of the negatives makes of a score: of all candidates, so many were kept.

        Source: King and Zeng, "Logistic regression in rare events data" (2001).
        """
        return cls(offset=min(0.0, math.log(settings.training.negatives / settings.retrieval.candidates)))

    @classmethod
    def fitted(cls, score: NDArray[np.float32], labels: NDArray[np.float32], settings: Settings) -> Self:
        """By logistic regression on items that were shown, by a ranker that has not seen them; the default where too few were clicked.

        Parameters
        ----------
        score, labels : (n,) of every item of the slates, clicked or not
        """
        prior, clicks = cls.unfitted(settings), int(labels.sum())
        if clicks < LEAST_CLICKS:
            return prior
        x, w = np.column_stack([score.astype(np.float64), np.ones(len(score))]), np.array([prior.slope, prior.offset])
        w[1] += math.log(clicks / float(prior.of(score).sum()))  # near enough for Newton
        middle = w.copy()
        for _ in range(STEPS):
            p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
            hessian = (x * (p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(2)
            w = w + np.linalg.solve(hessian, x.T @ (labels - p) - RIDGE * (w - middle))
        return cls(max(float(w[0]), 0.0), float(w[1]), clicks)

    def save(self, draft: Draft) -> None:
        draft.put_json(NAME, msgspec.to_builtins(self))

    @classmethod
    def load(cls, release: Release) -> Self | None:
        """That of a release; none where it has none."""
        return msgspec.convert(release.json(NAME), cls) if release.has(f"{NAME}.json") else None


class Showings:
    """Where the live table has the showings and clicks of items; nowhere under a plan without the default views.

    Parameters
    ----------
    names : of the columns of the live table
    """

    def __init__(self, names: tuple[str, ...], settings: Settings) -> None:
        positive = [taken_column(name) for name, kind in settings.events.types.items() if kind.weight > 0]
        self.shown = names.index(SHOWN_COLUMN) if SHOWN_COLUMN in names else -1
        self.rates = [names.index(column) for column in positive if column in names] if self.shown >= 0 else []

    def of(self, values: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """(showings, clicks) of items, from their rows of the live table."""
        if self.shown < 0:
            return np.zeros(len(values)), np.zeros(len(values))
        shown = values[:, self.shown].astype(np.float64)
        taken = values[:, self.rates].astype(np.float64) * (shown + RATE_PRIOR)[:, None] - RATE_PRIOR * RATE_PRIOR_MEAN
        return shown, np.maximum(taken, 0.0).sum(axis=1)


def evidence(rate: Floats, shown: Floats, clicks: Floats) -> Floats:
    """(n, 2) clicks and other showings, as many as the ranker's word is worth and those since."""
    return np.column_stack([STRENGTH * rate + clicks, STRENGTH * (1 - rate) + np.maximum(shown - clicks, 0.0)])
