"""Intervals hold what they should, and are repeatable."""

import numpy as np

from vernal.evaluation.intervals import mean_interval, paired_coverage, paired_difference, paired_ratio


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 4_000)
    found = mean_interval(values, np.arange(4_000))
    assert abs(found.low - (values.mean() - 1.96 * values.std() / 4_000**0.5)) < 0.01
    assert found.low < found.value < found.high


def test_a_constant_gain_is_certain_and_no_gain_is_not_excluded() -> None:
    draw = np.random.default_rng(1)
    theirs, users = draw.random(500), np.arange(500)
    assert paired_difference(theirs + 0.1, theirs, users).excludes(0)
    assert not paired_difference(theirs, theirs, users).excludes(0)


def test_cases_of_one_user_count_as_one_when_they_repeat_each_other() -> None:
    values = np.random.default_rng(2).random(200)
    single = mean_interval(values, np.arange(200))
    repeated = mean_interval(np.repeat(values, 10), np.repeat(np.arange(200), 10))
    assert np.isclose(single.high - single.low, repeated.high - repeated.low)


def test_a_ratio_is_of_means_and_the_same_seed_gives_the_same_interval() -> None:
    draw = np.random.default_rng(3)
    theirs = draw.random(300)
    found = paired_ratio(2 * theirs, theirs, np.arange(300), seed=7)
    assert np.allclose(found, 2.0)
    assert found == paired_ratio(2 * theirs, theirs, np.arange(300), seed=7)


def lists_of(draw: np.random.Generator, users: int, items: int) -> list[np.ndarray]:
    return [draw.permutation(items)[:20].astype(np.int32) for _ in range(users)]


def test_coverage_of_the_same_lists_is_the_same_and_only_the_first_ten_count() -> None:
    theirs = lists_of(np.random.default_rng(4), 60, 900)
    assert paired_coverage(theirs, theirs, np.arange(60)) == (1.0, 1.0, 1.0)
    tails = [np.concatenate([items[:10], items[:10]]) for items in theirs]
    assert paired_coverage(tails, theirs, np.arange(60)) == (1.0, 1.0, 1.0)
    assert paired_coverage([], [], np.empty(0, np.int32)) == (1.0, 1.0, 1.0)


def test_a_half_that_a_few_users_make_is_uncertain_and_one_that_all_make_is_not() -> None:
    draw, users = np.random.default_rng(5), np.arange(200)
    same = [np.arange(10, dtype=np.int32)] * 200
    few = [*lists_of(draw, 3, 900), *same[3:]]
    found = paired_coverage(same, few, users)
    assert found.value < 0.5
    assert found.high == 1.0  # one draw in twenty misses all three
    all_ = paired_coverage(same, lists_of(draw, 200, 900), users)
    assert all_.high < 0.02
