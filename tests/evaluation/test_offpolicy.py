"""Laws of off-policy estimates: they hold the truth where policies overlap, and say nothing where they do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.evaluation.offpolicy import Opinion, Shown, opinion

ITEMS = 12


def policy(score: np.ndarray, temperature: float) -> np.ndarray:
    """(contexts, items) chances of a softmax."""
    odds = np.exp((score - score.max(axis=1, keepdims=True)) / temperature)
    return odds / odds.sum(axis=1, keepdims=True)


def logged(seed: int, n: int = 20_000, temperature: float = 1.0, to: float = 0.5, users: int = 1_000) -> tuple[Shown, float]:
    """One item shown at a time, by a softmax; the other policy is the same with another temperature. And the true uplift."""
    rng = np.random.default_rng(seed)
    taste, kind, heat = rng.normal(0, 1, (8, ITEMS)), rng.integers(0, 8, users), rng.gamma(4, 0.25, users)
    rate, ours, theirs = 0.02 * np.exp(0.5 * taste), policy(taste, temperature), policy(taste, to)
    user = rng.integers(0, users, n)
    context = kind[user]
    item = (ours[context].cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    reward = (rng.random(n) < rate[context, item] * heat[user]).astype(float)
    features = np.stack([np.ones(n), rate[context, item]], axis=1)
    shift = np.stack([np.zeros(n), ((theirs - ours) * rate).sum(axis=1)[context]], axis=1)
    weight = np.bincount(kind, heat, 8)
    truth = float(weight @ (theirs * rate).sum(axis=1) / (weight @ (ours * rate).sum(axis=1))) - 1
    return Shown(user, reward, ours[context, item], theirs[context, item], np.zeros(n), features, shift), truth


def test_the_intervals_hold_the_truth_of_most_logs():
    found = [(opinion(shown), truth) for shown, truth in map(logged, range(60))]
    for name in ("inverse propensity", "self-normalised", "doubly robust"):
        held = [each.uplift[name].low <= truth <= each.uplift[name].high for each, truth in found]
        assert np.mean(held) >= 0.85, name


def test_the_model_of_rewards_lowers_the_noise_and_decides_nothing():
    shown, _ = logged(1)
    plain = opinion(shown).uplift
    without = opinion(shown._replace(features=np.zeros_like(shown.features), shift=np.zeros_like(shown.shift))).uplift
    assert without["doubly robust"] == pytest.approx(plain["inverse propensity"])
    assert plain["doubly robust"].high - plain["doubly robust"].low < plain["inverse propensity"].high - plain["inverse propensity"].low


def test_estimates_that_contradict_each_other_are_no_answer():
    shown, _ = logged(1)
    found = opinion(shown._replace(shift=shown.shift + 5.0))
    assert found.says == "cannot say"
    assert "differ by more than chance" in found.sentence


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000))
def test_the_policy_that_answered_has_an_uplift_of_nothing(seed):
    shown, _ = logged(seed, 5_000, to=1.0)
    for found in opinion(shown).uplift.values():
        assert found.value == pytest.approx(0, abs=1e-9)


def test_a_greedy_log_says_nothing_of_another_policy():
    shown, _ = logged(0, temperature=0.1, to=1.0)
    found = opinion(shown)
    assert found.says == "cannot say"
    assert found.sentence.startswith("cannot say, because")
    assert not found.uplift


def says(shown: Shown, **columns: np.ndarray) -> Opinion:
    return opinion(shown._replace(**columns))


def test_what_makes_weights_worthless_is_said():
    shown, _ = logged(3)
    n = len(shown.reward)
    for words, columns in {
        "rewards came back": {"reward": np.zeros(n)},
        "never going to be shown": {"outside": np.full(n, 0.05)},
        "one user carries": {"user": np.where(np.arange(n) < n / 10, 0, shown.user)},
        "not those of what answered": {"logging": shown.logging * 0.8},
    }.items():
        found = says(shown, **columns)
        assert found.says == "cannot say", words
        assert words in found.sentence


def test_impossible_chances_are_left_out_and_counted():
    shown, _ = logged(4)
    broken = shown.logging.copy()
    broken[:10], broken[10:30], broken[30:60] = np.nan, 0.0, 1.5
    found = opinion(shown._replace(logging=broken), {"searches": 3})
    assert found.left_out == {"searches": 3, "propensity missing": 10, "propensity not above 0": 20, "propensity above 1": 30}
    assert found.overlap.shown == len(broken) - 60
    assert found.says != "cannot say"


def test_nothing_logged_is_no_opinion():
    shown, _ = logged(5)
    assert opinion(shown.rows(np.zeros(len(shown.reward), bool))).says == "cannot say"
