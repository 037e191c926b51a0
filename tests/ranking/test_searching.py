import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.ranking.features import QUERY
from vernal.ranking.searching import LEAST_SLATES, Blend, query_columns
from vernal.retrieval.matching import Matches


def searches(n: int, relevance: float, taste: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """n searches of 8 items, one chosen of each by the true weights."""
    draw = np.random.default_rng(seed)
    shown, score = draw.random((n, 8)).astype(np.float32), draw.normal(0, 1.5, (n, 8)).astype(np.float32)
    odds = np.exp(relevance * shown + taste * score)
    chosen = np.array([draw.choice(8, p=row / row.sum()) for row in odds])
    labels = (np.arange(8) == chosen[:, None]).astype(np.float32)
    return shown.ravel(), score.ravel(), labels.ravel(), np.repeat(np.arange(n), 8)


def test_the_weights_are_those_by_which_people_chose() -> None:
    blend = Blend.fitted(*searches(2_000, relevance=3.0, taste=0.8))
    assert abs(blend.relevance - 3.0) < 0.4
    assert abs(blend.taste - 0.8) < 0.1
    assert blend.slates == 2_000


def test_taste_counts_for_nothing_where_it_decides_nothing() -> None:
    assert Blend.fitted(*searches(2_000, relevance=4.0, taste=0.0)).taste < 0.05


def test_few_searches_leave_the_defaults() -> None:
    assert Blend.fitted(*searches(LEAST_SLATES - 1, 1.0, 5.0)) == Blend()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-100, 100, width=32), min_size=60, max_size=60))
def test_the_order_within_a_search_is_all_that_counts(shift: list[float]) -> None:
    relevance, score, labels, groups = searches(60, 2.0, 1.0)
    moved = score + np.repeat(np.array(shift, np.float32), 8)
    one, other = Blend.fitted(relevance, score, labels, groups), Blend.fitted(relevance, moved, labels, groups)
    np.testing.assert_allclose([one.relevance, one.taste], [other.relevance, other.taste], rtol=1e-3)


def test_an_item_that_does_not_match_counts_as_not_relevant() -> None:
    utility = Blend(relevance=4.0, taste=1.0).relevant(np.array([1.0, np.nan], np.float32))
    np.testing.assert_array_equal(utility, [4.0, 0.0])


def test_columns_of_a_query_follow_the_items_asked_for() -> None:
    ones = np.array([0.5, 0.25], np.float32)
    matches = Matches(np.array([7, 3], np.int32), ones, ones, ones * 2, np.array([np.nan, 1], np.float32), words=2)
    columns = query_columns(matches, np.array([3, 5, 7], np.int32))
    np.testing.assert_array_equal(columns[:, QUERY.index("query.relevance")], [0.5, np.nan, 1.0])
    np.testing.assert_array_equal(columns[:, QUERY.index("query.words")], [2, 2, 2])
