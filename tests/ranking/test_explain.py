"""Sentences say what is true and nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vernal.ranking.explain import ALL_SOURCES, PLAIN, RELATED, sources_of, spoken, why

NAMES = ("retrieval.trending", "item_view.count.1d", "user_activity.count.window_7d", "context.hour")
masks = st.integers(0, 2 ** len(ALL_SOURCES) - 1)
parts = st.lists(st.floats(-5, 5), min_size=4, max_size=4).map(np.array)


@given(masks, st.integers(0, 2), parts, st.sampled_from(["", "A film"]))
def test_a_sentence_names_every_true_source_and_no_other(mask: int, placed_by: int, contributions: np.ndarray, like: str) -> None:
    told = why(mask, placed_by, NAMES, np.ones(4, np.float32), contributions, like).sentence
    phrases = PLAIN | RELATED
    assert {name for name in ALL_SOURCES if phrases[name] in told} == set(sources_of(mask))


@given(masks, parts)
def test_a_sentence_names_only_features_that_raised_the_score(mask: int, contributions: np.ndarray) -> None:
    reason = why(mask, 0, NAMES, np.ones(4, np.float32), contributions)
    named = {name for name in NAMES if spoken(name) in reason.sentence}
    assert named <= {name for name, part in zip(NAMES, contributions, strict=True) if part > 0}
    assert named <= {moved.feature for moved in reason.features}


@given(masks)
def test_without_a_ranker_no_feature_is_named(mask: int) -> None:
    reason = why(mask, 0, (), np.empty(0, np.float32), np.empty(0))
    assert reason.features == []
    assert "ranked up" not in reason.sentence


def test_an_unknown_value_is_shown_as_none() -> None:
    reason = why(1, 0, NAMES, np.full(4, np.nan, np.float32), np.array([1.0, 0, 0, 0]))
    assert [moved.value for moved in reason.features] == [None]
