"""The ranker: a forest with the names of its features, fitted on point-in-time examples.

In: examples as (n, f) float32 with labels 0..1 and the request each belongs to. Out: a `Ranker` that saves into a release and comes
back as the same bytes. Its score is a log-odds under Logloss, so boosts multiply odds and temperature is in natural units.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vernal.config import Training
from vernal.errors import ReleaseError, TrainingError
from vernal.ranking import trees
from vernal.ranking.trees import Forest
from vernal.release import Draft, Release

Loss = Literal["Logloss", "YetiRank"]

# Seen on one stretch of a film log that was looked at for every variant, so only the order of magnitude counts (NDCG@10 among candidates, half interval .015):
# Logloss .299 for 7 CPU s, QuerySoftMax .299 for 42, YetiRank .274-.281 for 26, Logloss at CatBoost's own rate .267. Logloss's score is a probability besides,
# which boosts, exploration and drift watch need; YetiRank stays a choice for those who have measured that it ranks their log better.
LOSS: Loss = "Logloss"
# Chosen on validation weeks of that log, mean of three seeds: depth 4 at rate 0.05 NDCG@10 .180, depth 6 at 0.03 .178, depth 8 .174.
RATE = 0.05
DEPTH = 4
# On three 14-day windows of that log, lists frozen at their beginning, NDCG@10 against 128 borders: 16 lose .005, 32 lose .002; what is popular needs
# fine steps at the upper end of its counts.
BORDERS = 128  # thresholds tried per feature
# Each tree sees half of the features and half of the weight of the rows, and its leaves take one Newton step instead of ten: half the CPU. On six weeks of that
# log before 2013-09-09, three seeds each, NDCG@10 among candidates differs by .0018 in the mean (-.0020 to .0050, half interval .002), log loss by .2 %.
THRIFT = {"rsm": 0.5, "bootstrap_type": "MVS", "subsample": 0.5, "leaf_estimation_iterations": 1}
THREADS = 2  # part of what makes a fit repeatable, so it does not follow the machine
PARTS = ("feature", "border", "leaf", "shapley", "nan_yes", "bias")


@dataclass(frozen=True)
class Ranker:
    """Scores candidates by their features.

    Parameters
    ----------
    names : the features in column order; serving refuses to score under other names
    forest : the trees
    facts : how it was fitted (loss, rows, positives, share of importance by feature), for people to read
    """

    names: tuple[str, ...]
    forest: Forest
    facts: Mapping[str, Any] = field(default_factory=dict)

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw scores (n,) float32 of (n, f) float32; NaN means unknown. Cost: 48 us at 300 rows x 57 features x 300 trees."""
        return trees.score(self.forest, features)

    def contributions(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """What each feature adds to each row's score, (n, f) float64: exact Shapley values. Cost: 2 us a row at 300 trees."""
        return trees.shap(self.forest, features)

    def save(self, draft: Draft) -> None:
        for part in PARTS:
            draft.put_array(f"ranker_{part}", getattr(self.forest, part))
        draft.put_json("ranker", {"names": list(self.names), "facts": dict(self.facts)})

    @classmethod
    def load(cls, release: Release) -> "Ranker | None":
        """The ranker of a release, held in memory (under 1 MB); none when the release was trained without one.

        Raises
        ------
        ReleaseError
            Arrays that do not fit each other: kernels do not check bounds, so this does.
        """
        if not release.has("ranker.json"):
            return None
        text = release.json("ranker")
        forest = Forest(*(np.array(release.array(f"ranker_{part}")) for part in PARTS))
        check_forest(forest, len(text["names"]), str(release.path))
        return cls(tuple(text["names"]), forest, text["facts"])


def check_forest(forest: Forest, n_features: int, where: str) -> None:
    """Raises when an index could leave its array."""
    n_trees, depth = forest.feature.shape
    shapes = (forest.border.shape, forest.leaf.shape, forest.shapley.shape, forest.nan_yes.shape, forest.bias.shape)
    if shapes != ((n_trees, depth), (n_trees, 1 << depth), (n_trees, 1 << depth, depth), (n_features,), (2,)) or depth % trees.PASS:
        raise ReleaseError.damaged(f"{where} ranker", f"shapes {shapes} do not belong together")
    if forest.feature.min() < 0 or forest.feature.max() >= n_features:
        raise ReleaseError.damaged(f"{where} ranker", "a split on a feature that does not exist")


def fit_ranker(
    features: NDArray[np.float32], labels: NDArray[np.float32], groups: NDArray[np.int64], settings: Training, names: Sequence[str] = (), loss: Loss = LOSS
) -> Ranker:
    """A ranker fitted on the examples; the same examples and seed give the same bytes.

    Parameters
    ----------
    features : (n, f) float32; NaN = unknown
    labels : (n,) 0 or 1
    groups : (n,) the request of each row; rows of one request stand together
    names : f feature names; default f0, f1, ...

    Raises
    ------
    TrainingError
        No positives, no negatives, or shapes that do not belong together.

    Cost: 2.2 CPU s for 55,000 rows x 51 features x 300 trees under Logloss.
    """
    names = tuple(names) or tuple(f"f{i}" for i in range(features.shape[1]))
    check_examples(features, labels, groups, names)
    model = fitted(finite(features), labels, groups, settings, loss)
    forest = trees.from_catboost(exported(model))
    facts = {"loss": loss, "rows": len(labels), "positives": int((labels > 0).sum()), "trees": len(forest.feature)}
    return Ranker(names, forest, facts | {"importance": importance(forest, features, names)})


def check_examples(features: NDArray[np.float32], labels: NDArray[np.float32], groups: NDArray[np.int64], names: Sequence[str]) -> None:
    if features.shape != (len(labels), len(names)) or len(groups) != len(labels):
        got = f"{features.shape} features, {len(labels)} labels, {len(groups)} groups, {len(names)} names"
        raise TrainingError.too_little("ranker examples", got, "shapes that belong together")
    positives = int((labels > 0).sum())
    if not 0 < positives < len(labels):
        raise TrainingError.too_little("ranker examples", f"{positives} positives in {len(labels)} rows", "both positives and negatives")


def finite(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The features with -inf as NaN and +inf as the largest number: the same answers in every tree, and borders that can be written down."""
    return np.where(np.isneginf(features), np.float32(np.nan), np.minimum(features, np.finfo(np.float32).max / 4)).astype(np.float32)


def fitted(features: NDArray[np.float32], labels: NDArray[np.float32], groups: NDArray[np.int64], settings: Training, loss: Loss) -> Any:
    """A fitted CatBoost model. The library is loaded here only, so that serving processes never carry it."""
    import catboost

    model = catboost.CatBoost(
        {
            "loss_function": loss,
            "iterations": settings.trees,
            "depth": DEPTH,
            "learning_rate": RATE,
            "border_count": BORDERS,
            **THRIFT,
            "random_seed": settings.seed,
            "thread_count": THREADS,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
    )
    ordered = catboost.Pool(features, (labels > 0).astype(np.float32), group_id=groups) if loss != "Logloss" else catboost.Pool(features, labels > 0)
    return model.fit(ordered)


def exported(model: Any) -> dict[str, Any]:
    """The model as CatBoost's JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        return dict(json.loads(path.read_text(encoding="utf-8")))


def importance(forest: Forest, features: NDArray[np.float32], names: Sequence[str], rows: int = 2_000) -> dict[str, float]:
    """Share of the mean absolute contribution by feature, over a strided sample of the examples; sums to 1."""
    sample = np.ascontiguousarray(features[:: max(1, len(features) // rows)])
    mean = np.abs(trees.shap(forest, sample)).mean(axis=0)
    total = float(mean.sum()) or 1.0
    return {name: round(float(value) / total, 6) for name, value in zip(names, mean, strict=True)}
