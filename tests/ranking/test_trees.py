"""The forest scores and explains exactly as its definition says."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.errors import ReleaseError
from vernal.ranking import trees


def sample(seed: int, rows: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, width)).astype(np.float32)
    features[rng.random(features.shape) < 0.2] = np.nan
    features[:, -1] = np.round(features[:, -1])
    return features


def model(features: np.ndarray, seed: int, **options: Any) -> catboost.CatBoost:
    first, last = np.nan_to_num(features[:, 0]), np.nan_to_num(features[:, -1])
    noise = np.random.default_rng(seed).normal(size=len(features))
    fixed = {"thread_count": 1, "logging_level": "Silent", "allow_writing_files": False, "random_seed": seed, "loss_function": "Logloss"}
    return catboost.CatBoost(fixed | options).fit(features, (first * last + first + noise > 0.3).astype(int))


def exported(fitted: catboost.CatBoost, folder: Path) -> dict[str, Any]:
    fitted.save_model(str(folder / "model.json"), format="json")
    return dict(json.loads((folder / "model.json").read_text()))


@pytest.mark.parametrize("depth", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("nan_mode", ["Min", "Max"])
def test_scores_equal_catboosts_own(depth: int, nan_mode: str, tmp_path: Path) -> None:
    features = sample(depth, 3_000, 9)
    fitted = model(features, depth, iterations=60, depth=depth, nan_mode=nan_mode)
    forest = trees.from_catboost(exported(fitted, tmp_path))
    fresh = sample(depth + 100, 500, 9)
    np.testing.assert_allclose(trees.score(forest, fresh), fitted.predict(fresh, prediction_type="RawFormulaVal"), atol=1e-5, rtol=0)


def test_scores_at_and_around_every_border_equal_catboosts_own(tmp_path: Path) -> None:
    features = sample(5, 2_000, 4)
    fitted = model(features, 5, iterations=40, depth=4)
    forest = trees.from_catboost(exported(fitted, tmp_path))
    borders = np.unique(forest.border[np.isfinite(forest.border)])
    inner = borders[np.abs(borders) < 1e38]  # CatBoost's own border between NaN and numbers is the largest float
    below, above = (np.nextafter(inner, np.float32(side)) for side in (-np.inf, np.inf))
    around = np.concatenate([borders, below, above, [np.inf, -np.inf, np.nan]])
    rows = np.random.default_rng(0).choice(around.astype(np.float32), size=(800, 4))
    np.testing.assert_allclose(trees.score(forest, rows), fitted.predict(rows, prediction_type="RawFormulaVal"), atol=1e-5, rtol=0)


def test_shapley_values_equal_catboosts_own_and_sum_to_score_minus_expectation(tmp_path: Path) -> None:
    features = sample(2, 3_000, 8)
    fitted = model(features, 2, iterations=50, depth=5)
    forest = trees.from_catboost(exported(fitted, tmp_path))
    values = trees.shap(forest, features[:200])
    theirs = fitted.get_feature_importance(catboost.Pool(features[:200]), type="ShapValues")
    np.testing.assert_allclose(values, theirs[:, :-1], atol=1e-5)
    assert trees.expectation(forest) == pytest.approx(theirs[0, -1], abs=1e-9)
    np.testing.assert_allclose(values.sum(axis=1) + trees.expectation(forest), trees.score(forest, features[:200]), atol=1e-5)


tree_st = st.integers(1, 4).flatmap(
    lambda depth: st.fixed_dictionaries(
        {
            "splits": st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 2)), min_size=depth, max_size=depth),
            "leaf_values": st.lists(st.integers(-8, 8), min_size=1 << depth, max_size=1 << depth),
            "leaf_weights": st.lists(st.integers(0, 5), min_size=1 << depth, max_size=1 << depth),
        }
    )
)


def as_export(drawn: list[dict[str, Any]]) -> dict[str, Any]:
    plain = [{**tree, "splits": [{"split_type": "FloatFeature", "float_feature_index": f, "border": b} for f, b in tree["splits"]]} for tree in drawn]
    names = [{"nan_value_treatment": "AsFalse"}] * 3
    return {"oblivious_trees": plain, "scale_and_bias": [1, [0.25]], "features_info": {"float_features": names}}


def descended(tree: dict[str, Any], row: list[float], known: set[int], level: int, prefix: int) -> tuple[float, float]:
    """(value, weight) of a node: the definition, by recursion from the root (the last split) down."""
    if level < 0:
        return tree["leaf_values"][prefix], tree["leaf_weights"][prefix]
    feature, border = tree["splits"][level]
    sides = [descended(tree, row, known, level - 1, prefix | side << level) for side in (0, 1)]
    weight = sides[0][1] + sides[1][1]
    if feature in known:
        return sides[int(row[feature] > border)][0], weight
    return (sum(v * w for v, w in sides) / weight if weight else 0.0), weight


def brute_force(drawn: list[dict[str, Any]], row: list[float]) -> list[float]:
    """Shapley values by the textbook sum over all coalitions of the three features."""

    def worth(known: tuple[int, ...]) -> float:
        return sum(descended(tree, row, set(known), len(tree["splits"]) - 1, 0)[0] for tree in drawn)

    def value(player: int) -> float:
        others = [p for p in range(3) if p != player]
        coalitions = [c for size in range(3) for c in itertools.combinations(others, size)]
        return sum(math.factorial(len(c)) * math.factorial(2 - len(c)) / 6 * (worth((*c, player)) - worth(c)) for c in coalitions)

    return [value(player) for player in range(3)]


@settings(max_examples=150, deadline=None)
@given(st.lists(tree_st, min_size=1, max_size=3), st.lists(st.sampled_from([-3.0, -1.0, 0.0, 1.0, 3.0, math.nan]), min_size=3, max_size=3))
def test_shapley_values_equal_brute_force_on_small_trees(drawn: list[dict[str, Any]], row: list[float]) -> None:
    forest = trees.from_catboost(as_export(drawn))
    values = trees.shap(forest, np.array([row], np.float32))[0]
    np.testing.assert_allclose(values, brute_force(drawn, row), atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(tree_st, min_size=1, max_size=4), st.lists(st.floats(width=32), min_size=3, max_size=3))
def test_any_floats_land_in_a_leaf(drawn: list[dict[str, Any]], row: list[float]) -> None:
    forest = trees.from_catboost(as_export(drawn))
    expected = 0.25 + sum(tree["leaf_values"][sum(int(row[f] > b) << i for i, (f, b) in enumerate(tree["splits"]))] for tree in drawn)
    assert trees.score(forest, np.array([row], np.float32))[0] == pytest.approx(expected)


def test_a_categorical_split_is_refused_by_name() -> None:
    export = as_export([{"splits": [(0, 0)], "leaf_values": [0, 1], "leaf_weights": [1, 1]}])
    export["oblivious_trees"][0]["splits"][0]["split_type"] = "OneHotFeature"
    with pytest.raises(ReleaseError, match="OneHotFeature"):
        trees.from_catboost(export)


def test_features_of_another_width_are_refused() -> None:
    forest = trees.from_catboost(as_export([{"splits": [(0, 0)], "leaf_values": [0, 1], "leaf_weights": [1, 1]}]))
    with pytest.raises(ReleaseError, match="features"):
        trees.score(forest, np.zeros((2, 5), np.float32))
