"""The ranker's trees as arrays, scored and explained by small kernels.

In: the JSON that CatBoost exports for a model of symmetric ("oblivious") trees on float features. Out: scores equal to CatBoost's own,
and exact Shapley values of every score. A symmetric tree asks the same `depth` questions of every row, so a row's leaf is a `depth`-bit
number: the kernel compares whole feature columns and gathers one leaf value per row and tree, with no branches.

Invariants: NaN and -inf answer every question with no (or NaN with yes, where CatBoost trained it so); a tree's Shapley values depend on a
row only through its leaf, so they are tabulated once per model and an explanation costs as little as a score.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.errors import ReleaseError

Doubles = NDArray[np.float64]
PASS = 2  # questions asked per sweep over the rows; depth is padded to a multiple
MAX_DEPTH = 8  # 256 leaves; the Shapley table grows with 4^depth


class Forest(NamedTuple):
    """t trees of padded depth d over f features."""

    feature: NDArray[np.int32]  # (t, d) column asked at each level; level i sets bit i of the leaf number
    border: NDArray[np.float32]  # (t, d) the question is `value > border`; +inf = padding, always no
    leaf: NDArray[np.float64]  # (t, 2^d)
    shapley: NDArray[np.float32]  # (t, 2^d, d) contribution of each level's feature to the tree's value in each leaf
    nan_yes: NDArray[np.uint8]  # (f,) 1 where NaN answers yes
    bias: NDArray[np.float64]  # (2,) score of no trees, expectation of the score over the training rows

    @property
    def n_features(self) -> int:
        return len(self.nan_yes)


def from_catboost(exported: Mapping[str, Any]) -> Forest:
    """The forest of a CatBoost model exported with `save_model(..., format="json")`.

    Raises
    ------
    ReleaseError
        Categorical or text splits, several outputs, non-symmetric trees, trees deeper than MAX_DEPTH.

    Source
    ------
    Prokhorenkova et al., "CatBoost: unbiased boosting with categorical features" (2018), section 4 on oblivious trees.
    """
    trees = exported.get("oblivious_trees")
    scale, shifts = exported["scale_and_bias"]
    if not trees or len(shifts) != 1:
        raise ReleaseError.unservable("ranker", f"{len(shifts)} outputs, {len(trees or [])} symmetric trees", "one output from symmetric trees")
    if (deepest := max(len(tree["splits"] or ()) for tree in trees)) > MAX_DEPTH:
        raise ReleaseError.unservable("ranker", f"trees of depth {deepest}", f"depth {MAX_DEPTH} or less")
    depth = max(PASS, -(-deepest // PASS) * PASS)
    feature, border = questions(trees, depth)
    leaf, cover = leaves(trees, depth)
    leaf *= scale
    shapley = shapley_table(feature, border, leaf, cover)
    weight = np.maximum(cover.sum(axis=1), 1e-300)
    expectation = shifts[0] + float(((leaf * cover).sum(axis=1) / weight).sum())
    return Forest(feature, border, leaf, shapley, nan_answers(exported), np.array([shifts[0], expectation]))


def questions(trees: list[Any], depth: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Feature and border of every level, (t, depth) each; levels a tree does not have always answer no."""
    feature = np.zeros((len(trees), depth), np.int32)
    border = np.full((len(trees), depth), np.inf, np.float32)
    for t, tree in enumerate(trees):
        for level, split in enumerate(tree["splits"] or ()):
            if split["split_type"] != "FloatFeature":
                raise ReleaseError.unservable("ranker", f"a split of type {split['split_type']}", "float features only")
            feature[t, level], border[t, level] = split["float_feature_index"], split["border"]
    return feature, border


def leaves(trees: list[Any], depth: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Value and training weight of every leaf, (t, 2^depth) each; leaves a tree does not have are zero."""
    value, cover = np.zeros((2, len(trees), 1 << depth))
    for t, tree in enumerate(trees):
        value[t, : len(tree["leaf_values"])] = tree["leaf_values"]
        cover[t, : len(tree["leaf_weights"])] = tree["leaf_weights"]
    return value, cover


def nan_answers(exported: Mapping[str, Any]) -> NDArray[np.uint8]:
    return np.array([f["nan_value_treatment"] == "AsTrue" for f in exported["features_info"]["float_features"]], np.uint8)


def score(forest: Forest, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raw scores (log-odds under Logloss) of the rows of `features` (n, f) float32, as (n,) float32.

    Cost: 48 us at 300 rows x 57 features x 300 trees of depth 6 on one core.
    """
    check_width(forest, features)
    scores = np.empty(len(features), np.float32)  # filled and not returned: an array that a kernel makes costs 2 us of Python on its way out
    score_rows(forest.feature, forest.border, forest.leaf, forest.nan_yes, forest.bias[0], features, scores)
    return scores


def shap(forest: Forest, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shapley values (n, f) float64 of the rows: each row sums to its score minus `expectation(forest)`.

    The game is the tree's expectation given the known features, unknown ones averaged by training weight on the way down. Cost: 3 us a
    row at 300 trees.

    Source
    ------
    Lundberg et al., "From local explanations to global understanding with explainable AI for trees" (2020), path-dependent TreeSHAP; here
    tabulated by leaf, which only symmetric trees of bounded depth allow.
    """
    check_width(forest, features)
    return shap_rows(forest.feature, forest.border, forest.shapley, forest.nan_yes, features)


def expectation(forest: Forest) -> float:
    """The mean score over the training rows: what a row would score if nothing were known about it."""
    return float(forest.bias[1])


def check_width(forest: Forest, features: NDArray[np.float32]) -> None:
    if features.ndim != 2 or features.shape[1] != forest.n_features:
        raise ReleaseError.unservable("ranker features", f"shape {features.shape}", f"(n, {forest.n_features})")


@njit(nogil=True, cache=True)
def columns_of(features: NDArray[np.float32], nan_yes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Columns (f, n) with every NaN turned into the value that answers as trained."""
    n, width = features.shape
    columns = np.empty((width, n | 16), np.float32)  # an odd stride: a power of two would make the columns evict each other
    for f in range(width):
        for i in range(n):
            columns[f, i] = features[i, f]
        if nan_yes[f]:
            for i in range(n):
                if np.isnan(columns[f, i]):
                    columns[f, i] = np.inf
    return columns


@njit(nogil=True, cache=True)
def find_leaves_by_two(feature: NDArray[np.int32], border: NDArray[np.float32], columns: NDArray[np.float32], n: int, leaf: NDArray[np.int32]) -> None:
    """Leaf numbers of n rows in one tree, two questions a sweep."""
    leaf[:n] = 0
    for d in range(0, len(feature), 2):
        a, b, at, bt = columns[feature[d]], columns[feature[d + 1]], border[d], border[d + 1]
        for i in range(n):
            leaf[i] |= (np.int32(a[i] > at) | np.int32(b[i] > bt) << 1) << d


@njit(nogil=True, cache=True)
def score_rows(
    feature: NDArray[np.int32],
    border: NDArray[np.float32],
    leaf: NDArray[np.float64],
    nan_yes: NDArray[np.uint8],
    bias: float,
    features: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    n = features.shape[0]
    columns, index, total = columns_of(features, nan_yes), np.empty(n, np.int32), np.full(n, bias)
    for t in range(len(feature)):
        if feature.shape[1] == 4:
            add_tree_of_four(feature[t], border[t], leaf[t], columns, total)
        else:
            find_leaves_by_two(feature[t], border[t], columns, n, index)
            add_values(leaf[t], index, total)
    for i in range(n):
        scores[i] = total[i]


@njit(nogil=True, cache=True)
def add_tree_of_four(feature: NDArray[np.int32], border: NDArray[np.float32], leaf: NDArray[np.float64], columns: NDArray[np.float32], total: Doubles) -> None:
    """Adds a tree of the usual depth by choosing among its 16 values, which stay in registers: 48 us a request where gathering them takes 62."""
    a, b, c, d = columns[feature[0]], columns[feature[1]], columns[feature[2]], columns[feature[3]]
    at, bt, ct, dt = border[0], border[1], border[2], border[3]
    l0, l1, l2, l3, l4, l5, l6, l7 = leaf[0], leaf[1], leaf[2], leaf[3], leaf[4], leaf[5], leaf[6], leaf[7]
    m0, m1, m2, m3, m4, m5, m6, m7 = leaf[8], leaf[9], leaf[10], leaf[11], leaf[12], leaf[13], leaf[14], leaf[15]
    for i in range(len(total)):
        p, q, r = a[i] > at, b[i] > bt, c[i] > ct
        u0, u1, u2, u3 = l1 if p else l0, l3 if p else l2, l5 if p else l4, l7 if p else l6
        u4, u5, u6, u7 = m1 if p else m0, m3 if p else m2, m5 if p else m4, m7 if p else m6
        v0, v1, v2, v3 = u1 if q else u0, u3 if q else u2, u5 if q else u4, u7 if q else u6
        w0, w1 = v1 if r else v0, v3 if r else v2
        total[i] += w1 if d[i] > dt else w0


@njit(nogil=True, cache=True)
def add_values(values: NDArray[np.float64], index: NDArray[np.int32], total: NDArray[np.float64]) -> None:
    """A function of its own, since only so does the compiler gather 8 values at once."""
    for i in range(len(total)):
        total[i] += values[index[i]]


@njit(nogil=True, cache=True)
def shap_rows(
    feature: NDArray[np.int32], border: NDArray[np.float32], shapley: NDArray[np.float32], nan_yes: NDArray[np.uint8], features: NDArray[np.float32]
) -> NDArray[np.float64]:
    n, depth = features.shape[0], feature.shape[1]
    columns, index, out = columns_of(features, nan_yes), np.empty(n, np.int32), np.zeros(features.shape, np.float64)
    for t in range(len(feature)):
        find_leaves_by_two(feature[t], border[t], columns, n, index)
        for i in range(n):
            for d in range(depth):
                out[i, feature[t, d]] += shapley[t, index[i], d]
    return out


@njit(nogil=True, cache=True)
def shapley_table(feature: NDArray[np.int32], border: NDArray[np.float32], leaf: NDArray[np.float64], cover: NDArray[np.float64]) -> NDArray[np.float32]:
    """(t, 2^d, d) exact Shapley values of every leaf of every tree; a feature asked twice has its value at its first level.

    Cost: 0.3 s for 300 trees of depth 6, once per model.
    """
    n_trees, depth = feature.shape
    table = np.zeros((n_trees, 1 << depth, depth), np.float32)
    for t in range(n_trees):
        player, n_players = players_of(feature[t], border[t])
        share = coalition_weights(n_players)
        worth = np.empty(1 << n_players, np.float64)
        for x in range(1 << depth):
            for known in range(1 << n_players):
                worth[known] = expected(leaf[t], cover[t], x, levels_known(player, known))
            for d in range(depth):
                if player[d] >= 0 and first_level(player, d):
                    table[t, x, d] = contribution(worth, share, player[d], n_players)
    return table


@njit(nogil=True, cache=True)
def players_of(feature: NDArray[np.int32], border: NDArray[np.float32]) -> tuple[NDArray[np.int32], int]:
    """Number of the distinct feature asked at each level (-1 for padding), and how many there are."""
    player, n = np.full(len(feature), -1, np.int32), 0
    for d in range(len(feature)):
        if border[d] == np.inf:
            continue
        for e in range(d):
            if player[e] >= 0 and feature[e] == feature[d]:
                player[d] = player[e]
        if player[d] < 0:
            player[d] = n
            n += 1
    return player, n


@njit(nogil=True, cache=True)
def first_level(player: NDArray[np.int32], d: int) -> bool:
    """Whether level d is the first that asks its feature."""
    return not np.any(player[:d] == player[d])


@njit(nogil=True, cache=True)
def levels_known(player: NDArray[np.int32], known: int) -> int:
    """Bit mask of the levels whose feature is in the coalition; padding levels answer the same for everybody."""
    mask = 0
    for d in range(len(player)):
        if player[d] < 0 or known >> player[d] & 1:
            mask |= 1 << d
    return mask


@njit(nogil=True, cache=True)
def expected(leaf: NDArray[np.float64], cover: NDArray[np.float64], x: int, known: int) -> float:
    """The tree's value when the levels in `known` answer as leaf x does and the others are averaged by weight. The last level is the root."""
    depth = int(np.round(np.log2(len(leaf))))
    value, weight = leaf.copy(), cover.copy()
    for d in range(depth):  # level 0 is deepest: fold its two answers together first
        for node in range(1 << (depth - d - 1)):
            no, yes = 2 * node, 2 * node + 1
            if known >> d & 1:
                kept = value[yes] if x >> d & 1 else value[no]
            else:
                both = weight[no] + weight[yes]
                kept = (value[no] * weight[no] + value[yes] * weight[yes]) / both if both > 0 else 0.0
            value[node], weight[node] = kept, weight[no] + weight[yes]
    return value[0]


@njit(nogil=True, cache=True)
def coalition_weights(n: int) -> NDArray[np.float64]:
    """Shapley's weight s! (n - s - 1)! / n! of joining a coalition of s players."""
    share = np.empty(max(n, 1), np.float64)
    for s in range(n):
        weight = 1.0 / n
        for i in range(s):
            weight *= (i + 1) / (n - 1 - i)
        share[s] = weight
    return share


@njit(nogil=True, cache=True)
def contribution(worth: NDArray[np.float64], share: NDArray[np.float64], player: int, n_players: int) -> float:
    """A player's mean marginal contribution over all coalitions."""
    total = 0.0
    for coalition in range(1 << n_players):
        if not coalition >> player & 1:
            size = 0
            for p in range(n_players):
                size += coalition >> p & 1
            total += share[size] * (worth[coalition | 1 << player] - worth[coalition])
    return total
