"""Laws of looking for as long as one likes: a bet is fair at every look, users who click a lot are one user each, intervals hold at all looks together."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from vernal.evaluation.sequences import ABOVE, BELOW, FEW, Moments, dispersion, evidence, mismatch, ratio

laws = settings(deadline=None)
sums = st.builds(
    lambda m, share, users: Moments(users=users, clicks=int(m * share), impressions=m, clicks2=int(m * share), cross=0.0, impressions2=0.0),
    st.integers(1, 100_000), st.floats(0, 1), st.integers(FEW, 1_000),
)  # fmt: skip


def even(clicks: float, impressions: float) -> Moments:
    """Of users who clicked once each, out of many."""
    return Moments(users=10**9, clicks=clicks, impressions=impressions, clicks2=clicks)


def life(seed: int, share: float, users: int, looks: int, factor: float = 1.0, heavy: float = 1.0) -> list[tuple[Moments, Moments]]:
    """Two arms at every look, of users who come back, some more often than others, and click at rates of their own."""
    rng = np.random.default_rng(seed)
    canary = rng.random(users) < share
    coming, rate = rng.gamma(1, 0.3, users), 0.02 * rng.gamma(1 / heavy, heavy, users) * np.where(canary, factor, 1.0)
    shown, clicks, out = np.zeros(users), np.zeros(users), []
    for _ in range(looks):
        now = rng.poisson(coming) * 10
        shown += now
        clicks += rng.binomial(now, np.minimum(rate, 1.0))
        out.append(tuple(Moments.of(clicks[arm & (shown > 0)], shown[arm & (shown > 0)]) for arm in (canary, ~canary)))
    return out


@laws
@given(st.integers(1, 60), st.floats(0.005, 0.995), st.sampled_from([ABOVE, BELOW]), st.floats(0.2, 5))
def test_a_bet_is_fair_whatever_the_share_and_the_null(n, share, side, null):
    impressions, k = (1_000 * share / null, 1_000 * (1 - share)), np.arange(n + 1)
    bets = [math.exp(evidence(even(a, impressions[0]), even(n - a, impressions[1]), side, null)) for a in k]
    assert np.dot(binom.pmf(k, n, share), bets) == pytest.approx(1, abs=1e-6)


@laws
@given(st.integers(1, 60), st.floats(0.005, 0.995))
def test_a_bet_on_who_was_drawn_is_fair(n, share):
    k = np.arange(n + 1)
    assert np.dot(binom.pmf(k, n, share), [math.exp(mismatch(a, n - a, share)) for a in k]) == pytest.approx(1, abs=1e-6)


def test_the_arms_users_are_missed_when_a_hundredth_of_them_stay_away():
    assert mismatch(495_000, 500_000, 0.5) < math.log(1e6) < mismatch(485_000, 500_000, 0.5)


@pytest.mark.parametrize(("share", "users", "heavy"), [(0.5, 400, 1.0), (0.05, 2_000, 2.0), (0.01, 4_000, 1.0)])
def test_equal_arms_are_told_apart_at_any_look_no_more_often_than_promised(share, users, heavy):
    lives = [life(seed, share, users, 40, heavy=heavy) for seed in range(120)]
    for side in (ABOVE, BELOW):
        assert np.mean([max(evidence(*arms, side) for arms in seen) >= math.log(10) for seen in lives]) <= 0.1


def test_the_interval_holds_the_truth_at_all_looks_of_most_lives():
    lives = [life(seed, 0.3, 600, 30, factor=0.7) for seed in range(100)]
    held = [all(found.low <= -0.3 <= found.high for found in (ratio(*arms, 0.05) for arms in seen)) for seen in lives]
    assert np.mean(held) >= 0.9


@laws
@given(sums, sums)
def test_an_interval_holds_its_figure_and_turns_round_with_the_arms(ours, theirs):
    there, back = ratio(ours, theirs, 0.05), ratio(theirs, ours, 0.05)
    assert there.low <= there.value <= there.high
    if 0 < there.high < math.inf:
        assert (1 + there.high) * (1 + back.low) == pytest.approx(1, rel=1e-6)


@laws
@given(sums, sums, st.floats(0.2, 5), st.floats(1.01, 2))
def test_evidence_of_more_shrinks_as_more_is_claimed(ours, theirs, null, factor):
    assert evidence(ours, theirs, ABOVE, null * factor) <= evidence(ours, theirs, ABOVE, null) + 1e-9


@laws
@given(sums, sums, st.floats(0.01, 100))
def test_the_unit_of_the_base_does_not_matter(ours, theirs, unit):
    scaled = [Moments(users=each.users, clicks=each.clicks, impressions=each.impressions * unit, clicks2=each.clicks2) for each in (ours, theirs)]
    assert evidence(*scaled, BELOW) == pytest.approx(evidence(ours, theirs, BELOW), abs=1e-6)


def test_one_user_who_acts_like_thousands_is_evidence_of_nothing():
    many, crawler = np.full(500, 20.0), np.array([50_000.0])
    clicks = np.random.default_rng(0).poisson(0.4, 500).astype(float)
    usual = Moments.of(clicks, many)
    assert evidence(usual + Moments.of(np.zeros(1), crawler), usual, BELOW) < math.log(10)
    assert evidence(usual + Moments.of(np.array([400.0]), np.array([400.0])), usual, ABOVE) < math.log(10)


@laws
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50)), min_size=2, max_size=40), st.integers(1, 39))
def test_moments_of_two_halves_are_those_of_the_whole(users, at):
    clicks, shown = np.array(users, float).T
    both = Moments.of(clicks[:at], shown[:at]) + Moments.of(clicks[at:], shown[at:])
    assert both == Moments.of(clicks, shown)


def test_nothing_seen_is_no_evidence_and_no_bound():
    assert evidence(Moments(), Moments(), BELOW) == 0
    found = ratio(Moments(), Moments(), 0.05)
    assert (found.low, found.high) == (-1, math.inf)
    assert dispersion(Moments(), Moments()) == 1
