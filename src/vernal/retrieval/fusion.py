"""Words and meaning in one score: both legs' candidates, each with both scores, fused by a method and a weight that held-out judgements chose.

Weighted: either score over its best of the query, added up by weight. RRF: reciprocal ranks, added up by weight. Weight 0 is words alone, 1 meaning alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.retrieval.hits import Hits
from vernal.retrieval.linear import F32, I32

RANK_OFFSET = 60.0  # Cormack, Clarke, Buettcher 2009
WEIGHTS = tuple(round(0.1 * step, 1) for step in range(1, 11))
PULLS = (0.0, 0.3, 1.0, 3.0)
METHODS: tuple[Literal["weighted", "rrf"], ...] = ("weighted", "rrf")
FOLDS = 5
Z = 1.96  # standard errors by which a choice must better the usual fusion on queries it was not made on


class Fusion(msgspec.Struct, frozen=True):
    """How two scores become one."""

    weight: float  # of meaning, 0..1
    method: Literal["weighted", "rrf"] = "weighted"
    pull: float = 0.0  # of the best hits by words on the vector of the query, whose own weight is 1


WORDS_ALONE = Fusion(0.0)


class Legs(NamedTuple):
    """The candidates of both legs, by item number, with both scores."""

    item: I32  # (n,) distinct, ascending
    lexical: F32  # (n,) 0 = not found by words
    semantic: F32  # (n,)

    @classmethod
    def of(cls, lexical: Hits, semantic: Hits, scores: Callable[[I32], F32] | None = None) -> "Legs":
        """The union; `scores` gives the semantic score of any items, so that those found by words alone have theirs. Cost: 30 us for 2 x 200."""
        items = np.union1d(lexical.item, semantic.item).astype(np.int32)
        words, meaning = np.zeros(len(items), np.float32), np.zeros(len(items), np.float32)
        words[np.searchsorted(items, lexical.item)] = lexical.score
        meaning[np.searchsorted(items, semantic.item)] = semantic.score
        return cls(items, words, scores(items) if scores else meaning)


def fused(legs: Legs, fusion: Fusion) -> F32:
    """(n,) float32 in 0..1, larger = better. A leg that found nothing leaves the order to the other."""
    part = share if fusion.method == "weighted" else reciprocal
    words, meaning, weight = part(legs.lexical), part(legs.semantic), fusion.weight
    if not legs.lexical.any():
        weight = 1.0
    elif not legs.semantic.any():
        weight = 0.0
    return ((1 - weight) * words + weight * meaning).astype(np.float32)


def share(scores: F32) -> F32:
    """Scores over the best of them; what speaks against an item counts as nothing."""
    positive = np.maximum(scores, np.float32(0))
    return np.asarray(positive / max(float(positive.max(initial=0)), 1e-9), np.float32)


def reciprocal(scores: F32) -> F32:
    """Reciprocal ranks, 1 for the best; equal scores share the better rank, and items without a score have none."""
    ordered = np.sort(-scores)
    rank = np.searchsorted(ordered, -scores)  # (n,) items above it
    return np.where(scores > 0, RANK_OFFSET / (RANK_OFFSET + rank), 0).astype(np.float32)


def ranked(legs: Legs, fusion: Fusion, k: int) -> Hits:
    """The k best, equal scores by item number."""
    score = fused(legs, fusion)
    order = np.lexsort((legs.item, -score))[:k]
    return Hits(legs.item[order], score[order])


class Judged(NamedTuple):
    """One query whose answers somebody judged, or chose from."""

    legs: Mapping[float, Legs]  # by pull
    gain: Mapping[int, float]  # item number -> what it is worth; others are worth nothing
    best: float  # DCG@10 of the best possible list


class Tuned(NamedTuple):
    """A choice, and what it brings on queries it was not made on."""

    fusion: Fusion
    ndcg_10: float  # chosen without the query, mean over queries
    usual: float  # of the usual fusion
    error: float  # standard error of the mean difference


def tune(judged: Sequence[Judged], seed: int = 0, usual: Fusion = WORDS_ALONE) -> Tuned:
    """The pull, method and weight with the best mean nDCG@10; the usual ones unless held-out queries gain more than noise would give.

    Cost: 40 us per query and option, 2.5 CPU s for 1,000 queries.
    """
    pulls = sorted(judged[0].legs) if judged else []
    options = [usual, WORDS_ALONE, *(Fusion(weight, method, pull) for pull in pulls for method in METHODS for weight in WEIGHTS)]
    quality = np.array([[ndcg_10(query, option) for option in options] for query in judged]).reshape(len(judged), len(options))
    if len(judged) < 2 * FOLDS:
        return Tuned(usual, *(float(quality[:, 0].mean()) if len(judged) else 0.0,) * 2, 0.0)
    fold, held = np.random.default_rng(seed).permutation(len(judged)) % FOLDS, np.zeros(len(judged))
    for number in range(FOLDS):
        choice = int(np.argmax(quality[fold != number].mean(axis=0)))
        held[fold == number] = quality[fold == number, choice]
    gain = held - quality[:, 0]
    error = float(gain.std(ddof=1) / np.sqrt(len(judged)))
    best = options[int(np.argmax(quality.mean(axis=0)))] if gain.mean() > Z * error else usual
    return Tuned(best, float(held.mean()), float(quality[:, 0].mean()), error)


def ndcg_10(query: Judged, fusion: Fusion) -> float:
    """nDCG@10 of one query's fused list."""
    if query.best <= 0:
        return 0.0
    first = ranked(query.legs.get(fusion.pull) or next(iter(query.legs.values())), fusion, 10).item
    return dcg(np.array([query.gain.get(item, 0) for item in first.tolist()])) / query.best


def dcg(gains: NDArray[np.float64]) -> float:
    """Discounted gain of a list, as trec_eval counts it: gain / log2(1 + rank)."""
    return float(np.sum(gains / np.log2(2.0 + np.arange(len(gains)))))
