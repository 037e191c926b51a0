"""The search for the hyper-parameters of iALS on a validation window, inside a budget.

In: a history cut at `as_of`. The last stretch before it is held out: item vectors are fitted on what came before, users are folded in from their
events before the stretch, and their new items in it are ranked among all items that have a vector. The budget is counted in additions at a nominal
speed, not on a clock, so that the same history and seed always choose the same.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.config import Settings, duration_s
from vernal.events.history import History
from vernal.retrieval.ials import Factors, Hyper, dot, fit_ials, fold_in
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.positives import Matrix, Positives, pairs

NOMINAL_PER_S = 3e9  # multiply-adds a core does here in a second
TRIAL_SWEEPS = 3  # of a trial: settings keep their order long before they converge
TRIERS = 2  # trials side by side; what is chosen does not depend on it
USERS = 2_000  # validation users at most
SHARE = 0.2  # of the span, when the history is shorter than five windows
K = 20
ALPHAS = (0.1, 0.03, 0.3, 0.01, 0.003)
REGS = (0.01, 0.003, 0.03, 0.001)


@dataclass(frozen=True)
class Trial:
    """One setting and what it reached on the validation window."""

    hyper: Hyper
    recall: float  # Recall@20, mean over users

    def row(self) -> dict[str, float]:
        return asdict(self.hyper) | {"recall@20": self.recall}


def tune(history: History, settings: Settings, as_of: int, seed: int) -> tuple[Hyper, list[Trial]]:
    """The best hyper-parameters for a history as of `as_of` (UTC us), and every trial; the defaults without budget or without validation users."""
    positives = Positives.of(history.before(as_of), settings.events)
    cut = validation_cut(positives, duration_s(settings.training.window))
    known, later = positives.rows(positives.time < cut), positives.rows(positives.time >= cut)
    matrix = pairs(known, settings.retrieval.min_events)
    questions = asked(known, later, matrix, settings, cut, seed)
    if not len(questions.user):
        return Hyper(), []
    most = trials_within(settings.training.budget_s, matrix, settings.retrieval.ials_dim)
    if most < 2:  # one trial has nothing to be compared with
        return Hyper(), []
    with ThreadPoolExecutor(TRIERS) as pool:
        trials = list(pool.map(lambda hyper: tried(hyper, matrix, settings.retrieval.ials_dim, seed, questions), grid(most)))
    best = max(trials, key=lambda trial: trial.recall, default=Trial(Hyper(), math.nan))
    return best.hyper, trials


def tried(hyper: Hyper, matrix: Matrix, dim: int, seed: int, questions: "Questions") -> Trial:
    """One setting, fitted for a few sweeps and asked."""
    return Trial(hyper, quality(fit_ials(matrix, dim, replace(hyper, sweeps=TRIAL_SWEEPS), seed), questions))


def validation_cut(positives: Positives, window_s: int) -> int:
    """UTC s from which events are held out: the last window, or the last fifth of a short history."""
    if not len(positives):
        return 0
    first, last = int(positives.time.min()), int(positives.time.max())
    return last + 1 - min(window_s, max(1, round(SHARE * (last + 1 - first))))


def trials_within(budget_s: float, matrix: Matrix, dim: int) -> int:
    """How many fits the budget pays for at the nominal speed."""
    by_item = np.bincount(matrix.column, minlength=1)
    asking = USERS * ((by_item > 0).sum() + dim * dim) * dim
    whole = TRIAL_SWEEPS * (solving(matrix.lengths, dim) + solving(by_item, dim)) + asking
    return int(budget_s / max(1e-3, whole / NOMINAL_PER_S))


def solving(lengths: NDArray[np.int64], dim: int) -> float:
    """Multiply-adds of one sweep over rows of these lengths."""
    width = np.minimum(lengths, dim).astype(np.float64)
    return float((lengths * width * dim / 2 + width**3 / 6).sum())


def grid(most: int) -> Iterator[Hyper]:
    """Settings in the order in which they are worth trying: the plausible middle first, then outwards."""
    pairs_ = sorted(((a, r) for a in ALPHAS for r in REGS), key=lambda pair: ALPHAS.index(pair[0]) + REGS.index(pair[1]))
    for count, (alpha, reg) in enumerate(pairs_):
        if count >= most:
            return
        yield replace(Hyper(), alpha=alpha, reg=reg)


@dataclass(frozen=True)
class Questions:
    """Validation users: what was known of them and what they took next."""

    user: NDArray[np.int32]  # (n,) codes
    start: NDArray[np.int64]  # (n + 1,) into items and weights
    items: I32  # query items, newest first
    weights: F32
    target_start: NDArray[np.int64]  # (n + 1,)
    targets: I32
    known: Matrix  # pairs that are not new any more
    repeats: bool


def asked(known: Positives, later: Positives, matrix: Matrix, settings: Settings, cut: int, seed: int) -> Questions:
    """Up to USERS users with a query before the cut and a reachable target after it."""
    reachable = np.bincount(matrix.column, minlength=matrix.n_columns) > 0
    users = np.intersect1d(later.user[reachable[later.item]], known.user[reachable[known.item]])
    users = np.sort(np.random.default_rng(seed).permutation(users)[:USERS])
    half_life, recent = duration_s(settings.retrieval.recent_half_life), settings.retrieval.recent_events
    before, after = np.lexsort((-known.time, known.user)), np.argsort(later.user, kind="stable")
    queries, targets, kept = [], [], []
    for user in users:
        rows = before[slice(*np.searchsorted(known.user, [user, user + 1], sorter=before))]
        items, first = np.unique(known.item[rows], return_index=True)
        wanted = np.unique(later.item[after[slice(*np.searchsorted(later.user, [user, user + 1], sorter=after))]])
        wanted = wanted[reachable[wanted] & (settings.events.repeats | ~np.isin(wanted, items))]
        if len(wanted):
            kept.append(user)
            queries.append(rows[np.sort(first)][:recent])
            targets.append(wanted)
    asked_of = np.concatenate([*queries, np.empty(0, np.int64)]).astype(np.int64)
    weights = known.weight[asked_of] * np.exp2(-(cut - known.time[asked_of]) / half_life).astype(np.float32)
    wanted_items = np.concatenate([*targets, np.empty(0, np.int32)]).astype(np.int32)
    return Questions(np.array(kept, np.int32), bounds(queries), known.item[asked_of], weights, bounds(targets), wanted_items, matrix, settings.events.repeats)


def bounds(parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """(n + 1,) where each part begins once they stand in a row."""
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)


def quality(factors: Factors, questions: Questions) -> float:
    """Mean Recall@20 of fold-in over the questions, among all items with a vector, ties at mid-rank."""
    q, total = questions, 0.0
    live = np.bincount(q.known.column, minlength=q.known.n_columns) > 0
    place, vectors, scores = np.cumsum(live) - 1, factors.vectors[live], np.empty(int(live.sum()), np.float32)
    for n, user in enumerate(q.user):
        query, target = slice(q.start[n], q.start[n + 1]), slice(q.target_start[n], q.target_start[n + 1])
        score_all(factors, vectors, q.items[query], q.weights[query], scores)
        if not q.repeats:
            scores[place[q.known.column[q.known.start[user] : q.known.start[user + 1]]]] = -np.inf
        total += hits(scores, place[q.targets[target]]) / (target.stop - target.start)
    return total / max(1, len(q.user))


@njit(cache=True, nogil=True)
def score_all(factors: Factors, vectors: F32, items: I32, weights: F32, scores: F32) -> None:
    """Fills scores (n,) with the products of n vectors with the folded-in user."""
    dim = factors.vectors.shape[1]
    x = np.empty(dim, np.float32)
    fold_in(factors, factors.vectors[:0], items, weights, len(items), x)
    for item in range(vectors.shape[0]):
        scores[item] = dot(vectors[item], x, dim)


@njit(cache=True, nogil=True)
def hits(scores: F32, targets: NDArray[np.int64]) -> int:
    """Targets within the first K by mid-rank."""
    found = 0
    for target in targets:
        above, tied = 0, -1
        for item in range(scores.shape[0]):
            above += scores[item] > scores[target]
            tied += scores[item] == scores[target]
        found += 1 + above + tied / 2 <= K
    return found
