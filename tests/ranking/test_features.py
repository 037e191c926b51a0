"""Rows the ranker sees: each column is what its name says, and unknown is NaN."""

import numpy as np
import small_shop as world

from vernal.features.definition import compile_plan
from vernal.features.pairs import pair_values
from vernal.ranking.features import Moment, assemble, feature_names
from vernal.retrieval.candidates import Candidates, score_names

SETTINGS = world.settings()
PLAN = compile_plan(SETTINGS)
LIVE = world.walk(SETTINGS).live
NAMES = feature_names(PLAN)
MOMENT = Moment.at(world.NOW_US)


def candidates(scores: np.ndarray | None = None) -> Candidates:
    item = np.array([7, 3, 110], np.int32)
    made = np.random.default_rng(0).random((3, len(score_names()))).astype(np.float32)
    return Candidates(item, np.ones(3, np.uint32), made if scores is None else scores)


def column(rows: np.ndarray, name: str) -> np.ndarray:
    return rows[:, NAMES.index(name)]


def test_names_are_distinct_and_one_per_column() -> None:
    rows = assemble(PLAN, candidates(), world.state(SETTINGS), LIVE, MOMENT)
    assert len(set(NAMES)) == len(NAMES) == rows.shape[1]
    assert rows.dtype == np.float32


def test_item_columns_are_the_live_tables_rows() -> None:
    rows = assemble(PLAN, candidates(), world.state(SETTINGS), LIVE, MOMENT)
    for place, name in enumerate(PLAN.item_names):
        np.testing.assert_array_equal(column(rows, name), LIVE.values[[7, 3, 110], place])


def test_user_columns_repeat_the_state_and_pair_columns_are_those_of_the_join() -> None:
    state = world.state(SETTINGS)
    rows, pairs = assemble(PLAN, candidates(), state, LIVE, MOMENT), np.empty((3, len(PLAN.pair_names)), np.float32)
    pair_values(PLAN, state.ring, MOMENT.hop, candidates().item, LIVE.attributes[: LIVE.n], pairs)
    np.testing.assert_array_equal(np.stack([column(rows, name) for name in PLAN.user_names]), np.repeat(state.values[:, None], 3, axis=1))
    np.testing.assert_array_equal(np.stack([column(rows, name) for name in PLAN.pair_names], axis=1), pairs)


def test_a_share_is_the_score_over_the_best_of_the_candidates() -> None:
    scores = np.zeros((3, len(score_names())), np.float32)
    scores[:, 0], scores[:, 1] = [1, 4, np.nan], [-1, 0, -2]
    rows = assemble(PLAN, candidates(scores), world.state(SETTINGS), LIVE, MOMENT)
    np.testing.assert_array_equal(column(rows, "retrieval.trending.share"), np.array([0.25, 1, np.nan], np.float32))
    np.testing.assert_array_equal(column(rows, "retrieval.history.share"), np.array([-1, 0, -2], np.float32))


def test_without_slow_features_user_and_pair_columns_are_unknown_and_the_rest_is_the_same() -> None:
    full = assemble(PLAN, candidates(), world.state(SETTINGS), LIVE, MOMENT)
    fast = assemble(PLAN, candidates(), world.state(SETTINGS), LIVE, MOMENT._replace(slow=False))
    slow = np.array([name in (*PLAN.user_names, *PLAN.pair_names, "context.ring") for name in NAMES])
    assert np.isnan(fast[:, slow]).all()
    np.testing.assert_array_equal(fast[:, ~slow], full[:, ~slow])


def test_the_context_is_that_of_the_hop() -> None:
    rows = assemble(PLAN, candidates(), world.state(SETTINGS), LIVE, MOMENT)  # 2023-11-14 22:15 UTC, a Tuesday
    assert (column(rows, "context.hour")[0], column(rows, "context.weekday")[0]) == (22, 1)
    assert column(rows, "context.ring")[0] == len(world.state(SETTINGS).ring.time)
