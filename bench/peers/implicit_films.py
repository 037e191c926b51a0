"""The `implicit` library as most people use it: ALS and BPR on user x item counts, a list per user from stored vectors.

In: pairs as arrays. Out: lists of items. Tuned: settings drawn at random, judged on a validation window, until the CPU seconds given are spent.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.recommender_base import ModelFitError
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

I32 = NDArray[np.int32]
SHOWN = 20


def matrix(user: I32, item: I32, shape: tuple[int, int]) -> Any:
    """(n_users, n_items) of ones."""
    pairs = sparse.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape)
    pairs.data[:] = 1
    return pairs


def model_of(kind: str, settings: dict[str, Any], seed: int) -> Any:
    made = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}[kind]
    return made(random_state=seed, num_threads=2, **settings)


def lists(kind: str, settings: dict[str, Any], train: Any, users: I32, seed: int) -> I32:
    """(n, SHOWN) items for each user, what they have left out."""
    model = model_of(kind, settings, seed)
    with threadpool_limits(1, "blas"):  # what the library itself asks for
        model.fit(train, show_progress=False)
    found, _ = model.recommend(users, train[users], N=SHOWN, filter_already_liked_items=True)
    return np.asarray(found, np.int32)


def drawn(kind: str, draw: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Settings without end: the library's defaults first, then random ones over the usual ranges."""
    yield {}
    while True:
        common = {"factors": int(draw.choice([16, 32, 64, 100, 128])), "regularization": float(10 ** draw.uniform(-3, 1))}
        if kind == "als":
            yield common | {"alpha": float(10 ** draw.uniform(-1, 2)), "iterations": int(draw.choice([10, 15, 30]))}
        else:
            yield common | {"learning_rate": float(10 ** draw.uniform(-2.5, -0.5)), "iterations": int(draw.choice([50, 100, 200]))}


def tuned(kind: str, known: tuple[I32, I32], later: dict[int, I32], shape: tuple[int, int], budget_cpu_s: float, seed: int) -> tuple[dict[str, Any], int]:
    """(best settings by NDCG@10 on the validation window, settings tried)."""
    train, users = matrix(*known, shape), np.array(sorted(later), np.int32)
    began, best, tried = time.process_time(), (-1.0, dict[str, Any]()), 0
    for settings in drawn(kind, np.random.default_rng(seed)):
        if tried and time.process_time() - began > budget_cpu_s:
            break
        tried += 1
        try:
            quality = mean_ndcg(lists(kind, settings, train, users, seed), users, later)
        except ModelFitError:  # these settings diverge
            continue
        best = max(best, (quality, settings), key=lambda pair: pair[0])
    return best[1], tried


def mean_ndcg(found: I32, users: I32, later: dict[int, I32], k: int = 10) -> float:
    """NDCG@k over users, ideal list cut at k."""
    discount = 1 / np.log2(2.0 + np.arange(k))
    each = zip(found, (later[int(user)] for user in users), strict=True)
    return float(np.mean([(np.isin(row[:k], chosen) * discount).sum() / discount[: len(chosen)].sum() for row, chosen in each]))
