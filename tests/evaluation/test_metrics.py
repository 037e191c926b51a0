"""Metrics agree with their definitions, ties and emptiness included."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vernal.evaluation import metrics
from vernal.evaluation.metrics import PerCase, coverage, list_ranks, mid_ranks, novelty


def naive_rank(scores: list[float], eligible: list[bool], target: int) -> float:
    """The mean place of the target over all orders of equal scores."""
    if not eligible[target]:
        return float("inf")
    above = sum(1 for item, score in enumerate(scores) if eligible[item] and score > scores[target])
    tied = sum(1 for item, score in enumerate(scores) if eligible[item] and score == scores[target])
    places = [order.index(0) + 1 for order in itertools.permutations(range(tied))]
    return above + sum(places) / len(places)


catalogues = st.lists(st.tuples(st.integers(0, 3).map(float), st.booleans()), min_size=1, max_size=7)


@given(catalogues, st.data())
def test_rank_is_the_mean_place_over_all_orders_of_ties(catalogue: list[tuple[float, bool]], data: st.DataObject) -> None:
    scores, eligible = [score for score, _ in catalogue], [flag for _, flag in catalogue]
    target = data.draw(st.integers(0, len(scores) - 1))
    found = mid_ranks(np.array(scores), np.array(eligible), np.array([target], np.int32))
    assert found[0] == naive_rank(scores, eligible, target)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8, unique=True), st.integers(1, 25))
def test_ndcg_recall_and_hit_agree_with_a_loop_over_places(places: list[int], k: int) -> None:
    ranks = np.array(places, np.float64)
    gain = sum(1 / np.log2(1 + place) for place in places if place <= k)
    best = sum(1 / np.log2(1 + place) for place in range(1, min(k, len(places)) + 1))
    assert np.isclose(metrics.ndcg(ranks, k), gain / best)
    assert metrics.recall(ranks, k) == sum(place <= k for place in places) / len(places)
    assert metrics.hit(ranks, k) == float(any(place <= k for place in places))


def test_a_model_that_scores_everything_alike_gets_what_chance_would() -> None:
    ranks = mid_ranks(np.zeros(1_001), np.ones(1_001, np.bool_), np.array([0, 1_000], np.int32))
    assert ranks.tolist() == [501.0, 501.0]
    assert metrics.ndcg(ranks, 10) == metrics.recall(ranks, 20) == 0.0


def test_a_target_beyond_the_catalogue_or_not_scored_is_never_a_hit() -> None:
    scores = np.array([np.nan, 1.0, 0.5])
    ranks = mid_ranks(scores, np.ones(3, np.bool_), np.array([0, 7], np.int32))
    assert ranks.tolist() == [3.0, np.inf]


def test_the_place_in_a_list_is_the_rank_and_absence_is_infinity() -> None:
    assert list_ranks(np.array([5, 3, 9], np.int32), np.array([9, 4], np.int32)).tolist() == [3.0, np.inf]


def test_no_cases_have_means_of_zero() -> None:
    assert PerCase.of([]).means() == {"ndcg@10": 0.0, "recall@20": 0.0, "hr@20": 0.0}


def test_coverage_counts_distinct_items_and_novelty_is_surprise_in_bits() -> None:
    lists = [np.array([0, 1], np.int32), np.array([1, 2], np.int32)]
    assert coverage(lists, 6) == 0.5
    assert novelty(lists, np.array([1, 1, 1, 1], np.int64)) == 2.0
