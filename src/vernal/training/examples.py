"""Ranking examples: past requests asked again, with what was known then and what was chosen next.

In: cases of one stretch, a walk that stands before it, item models fitted as of its beginning. Out: `Examples`, whose features come from the same
retrieval and the same gather that serve. A request whose outcome no retriever proposed teaches nothing about order and is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings, duration_s
from vernal.evaluation.splits import Cases
from vernal.features.definition import Plan
from vernal.features.walk import Walk
from vernal.ranking.features import Moment, assemble, feature_names
from vernal.release import Draft, Release
from vernal.retrieval.candidates import Query, retrieve
from vernal.retrieval.models import ItemModels
from vernal.terms import US_PER_S


@dataclass(frozen=True)
class Examples:
    """Rows for the ranker; rows of one request stand together."""

    features: NDArray[np.float32]  # (n, f) in feature_names(plan) order
    labels: NDArray[np.float32]  # (n,) 1 = chosen
    groups: NDArray[np.int64]  # (n,) request of each row, ascending

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def none(cls, n_features: int) -> "Examples":
        return cls(np.empty((0, n_features), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))

    def save(self, draft: Draft) -> None:
        for field in fields(self):
            draft.put_array(field.name, getattr(self, field.name))

    @classmethod
    def load(cls, release: Release) -> "Examples":
        return cls(*(np.array(release.array(field.name)) for field in fields(cls)))


def joined(parts: Sequence[Examples], n_features: int) -> Examples:
    """All examples, requests numbered anew."""
    parts = [Examples.none(n_features), *parts]
    lengths = [int(part.groups[-1]) + 1 if len(part) else 0 for part in parts]
    firsts = np.cumsum([0, *lengths[:-1]])
    groups = [part.groups + first for part, first in zip(parts, firsts, strict=True)]
    return Examples(np.concatenate([p.features for p in parts]), np.concatenate([p.labels for p in parts]), np.concatenate(groups))


def query(settings: Settings, at_us: int, recent_half_life_s: float) -> Query:
    """What a plain request for the home page asks of retrieval."""
    choice = settings.retrieval
    return Query(
        now_s=at_us // US_PER_S,
        recent_events=choice.recent_events,
        half_life=recent_half_life_s,
        repeats=settings.events.repeats,
        k=choice.candidates,
    )


def simulate(
    walk: Walk, models: ItemModels, plan: Plan, settings: Settings, asked: Cases, seed: int, each: Callable[[int], object] = lambda _: None
) -> Examples:
    """Examples of the cases, in order of moment.

    Parameters
    ----------
    walk : stands at or before the first case; it is moved
    models : fitted on what was received before the first case
    seed : which of the items not chosen are kept
    each : told every case once the walk stands at it

    Cost: 0.3 ms per request, and a read-out of all items for every 5 minutes that hold a request.
    """
    draw, half_life = np.random.default_rng(seed), float(duration_s(settings.retrieval.recent_half_life))
    parts: list[Examples] = []
    for case in range(len(asked)):
        at = int(asked.at[case])
        walk.to(at)
        each(case)
        user = walk.user(int(asked.user[case]), at)
        found = retrieve(models, user.ring, walk.live, query(settings, at, half_life), settings)
        labels = np.isin(found.item, asked.targets(case)).astype(np.float32)
        if labels.any() and not labels.all():
            features = assemble(plan, found, user, walk.live, Moment.at(at))
            kept = thinned(labels, settings.training.negatives, draw)
            parts.append(Examples(features[kept], labels[kept], np.zeros(len(kept), np.int64)))
    return joined(parts, len(feature_names(plan)))


def thinned(labels: NDArray[np.float32], negatives: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Places of all positives and of at most `negatives` others drawn at random, ascending."""
    others = np.flatnonzero(labels == 0)
    if len(others) > negatives:
        others = draw.choice(others, negatives, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(labels > 0), others]))
