"""Claim cold_items: items without a single event are found through what they are.

Complete Journey: a fifth of the products with at least 30 purchases are hidden from training altogether; the models then rank exactly those for every
household, and its purchases of them over the whole year are the targets. Contestants see the same content (title, department, category, type, brand, maker).
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from claims import report
from logs import found, log_of

from vernal.config import parse
from vernal.evaluation.intervals import paired_difference
from vernal.evaluation.metrics import hit, mid_ranks, ndcg, recall
from vernal.retrieval.content import ContentMap, as_scipy, conjugate_gradient, describe, fit_map
from vernal.retrieval.ials import Factors, Hyper, fit_ials, fold_in
from vernal.retrieval.positives import Matrix, Positives, pairs

CONTENT = ["department", "category", "type", "brand", "manufacturer_id"]
LEAST = 30
HIDDEN_SHARE = 0.2
HYPER = Hyper()
SEEDS = (0, 1, 2)
SETTINGS = parse({"events": {"types": {"purchase": {}}, "repeats": True}})
Scores = NDArray[np.float64]


def user_vectors(factors: Factors, matrix: Matrix) -> NDArray[np.float32]:
    """(n_users, dim): every household folded in from all it bought."""
    out = np.zeros((matrix.n_rows, factors.dim), np.float32)
    for user in range(matrix.n_rows):
        row = slice(matrix.start[user], matrix.start[user + 1])
        items = matrix.column[row]
        fold_in(factors, factors.vectors[:0], items, matrix.value[row], len(items), out[user])
    return out


def predicted_popularity(content: Matrix, counts: NDArray[np.int64]) -> Scores:
    """(n_items,) ridge from content to log popularity."""
    rows = np.flatnonzero(counts > 0)
    x, target = as_scipy(content)[rows], np.log(counts[rows])
    mean = target.mean()
    return (as_scipy(content) @ conjugate_gradient(x, np.ones(len(rows)), (target - mean)[:, None], 1.0)).ravel() + mean


def contestants(matrix: Matrix, content: Matrix, hidden: NDArray[np.int64], seed: int) -> dict[str, Scores]:
    """(n_users, n_hidden) scores by contestant; `matrix` holds no pair with a hidden item."""
    counts = np.bincount(matrix.column, minlength=matrix.n_columns)
    factors = fit_ials(matrix, SETTINGS.retrieval.ials_dim, HYPER, seed)
    mapping: ContentMap = fit_map(content, factors.vectors, counts)
    tfidf, history = as_scipy(content), as_scipy(matrix)
    return {
        "content mapping": user_vectors(factors, matrix).astype(np.float64) @ mapping.vectors(content)[hidden].T,
        "content kNN": np.asarray((history @ (tfidf @ tfidf[hidden].T)).todense()),
        "predicted popularity": np.tile(predicted_popularity(content, counts)[hidden], (matrix.n_rows, 1)),
        "random": np.random.default_rng(seed).random((matrix.n_rows, len(hidden))),
    }


def judged(scores: Scores, targets: list[NDArray[np.int32]]) -> dict[str, NDArray[np.float64]]:
    """Metrics per household with a target; ties at mid-rank, all hidden items eligible."""
    everything = np.ones(scores.shape[1], bool)
    ranks = [mid_ranks(row, everything, wanted) for row, wanted in zip(scores, targets, strict=True) if len(wanted)]
    return {
        "recall@20": np.array([recall(r, 20) for r in ranks]),
        "ndcg@20": np.array([ndcg(r, 20) for r in ranks]),
        "hr@20": np.array([hit(r, 20) for r in ranks]),
    }


def hidden_and_targets(whole: Matrix, seed: int) -> tuple[NDArray[np.int64], Matrix, list[NDArray[np.int32]]]:
    """The hidden items, the matrix without them, and every household's hidden purchases as places among them."""
    random, items = np.random.default_rng(seed), np.unique(whole.column)
    hidden = np.sort(random.permutation(items)[: round(HIDDEN_SHARE * len(items))]).astype(np.int64)
    place = np.full(whole.n_columns, -1, np.int32)
    place[hidden] = np.arange(len(hidden))
    seen = place[whole.column] < 0
    row = np.repeat(np.arange(whole.n_rows), whole.lengths)
    start = np.concatenate([[0], np.cumsum(np.bincount(row[seen], minlength=whole.n_rows))]).astype(np.int64)
    targets = np.split(place[whole.column[~seen]], np.cumsum(np.bincount(row[~seen], minlength=whole.n_rows))[:-1])
    return hidden, Matrix(start, whole.column[seen], whole.value[seen], whole.n_columns), targets


def run() -> dict[str, Any]:
    if not found("completejourney"):
        return {"claim": "cold_items", "skipped": "needs ../shared/data/completejourney"}
    history, catalogue = log_of("completejourney", CONTENT)
    whole = pairs(Positives.of(history, SETTINGS.events), LEAST, cap=history.n_items)
    _, content = describe(catalogue, history.n_items)
    per: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    users: list[NDArray[np.int32]] = []
    for seed in SEEDS:
        hidden, matrix, targets = hidden_and_targets(whole, seed)
        users.append(np.flatnonzero([len(wanted) > 0 for wanted in targets]).astype(np.int32))
        for name, scores in contestants(matrix, content, hidden, seed).items():
            for metric, values in judged(scores, targets).items():
                per.setdefault(name, {}).setdefault(metric, []).append(values)
    joined = {name: {metric: np.concatenate(values) for metric, values in metrics.items()} for name, metrics in per.items()}
    means = {name: {metric: float(values.mean()) for metric, values in metrics.items()} for name, metrics in joined.items()}
    rivals = ("content kNN", "predicted popularity")
    margins = {name: paired_difference(joined["content mapping"]["recall@20"], joined[name]["recall@20"], np.concatenate(users)) for name in rivals}
    measured = means.pop("content mapping") | {f"recall@20 above {name}": [m.value, m.low, m.high] for name, m in margins.items()}
    report(
        "cold_items",
        bar="Recall@20 among items without events: content mapping above content kNN and above predicted popularity, both intervals above 0",
        measured=measured,
        unit="share",
        holds=all(margin.low > 0 for margin in margins.values()),
        baselines=means,
        seeds=list(SEEDS),
        notes=f"Complete Journey, {len(np.unique(whole.column))} products with at least {LEAST} purchases, a fifth hidden, three draws; "
        "every household ranks all hidden items; iALS at its defaults (untuned); intervals: paired bootstrap over households",
    )
    return measured


if __name__ == "__main__":
    run()
