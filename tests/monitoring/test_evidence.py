"""Laws of evidence: bets on all starts share one capital, the capital never grows in the mean while all is as usual, and the promise is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_usual import NOISE, breathing

from vernal.monitoring import tails
from vernal.monitoring.evidence import RAMPED, SLOTS, STEPS, Bank, Evidence, bet, normal_of, start_weight, summed
from vernal.monitoring.usual import Usual

REFERENCE = 56


def exact(n: int) -> Usual:
    """The true null of `breathing`."""
    normal = np.tile(tails.DEGREES[-1] == tails.DEGREES, (n, 1)).astype(float)
    return Usual(np.full(n, 0.6), np.full(n, 9e-4), np.full(n, 1e6), np.zeros(n), np.full(n, 1e3), tails.normal_tables(normal, np.zeros(n)))


def bank_of(value: np.ndarray, usual: Usual, side: int = 0) -> Bank:
    n = value.shape[1]
    bank = Bank(usual, np.full(n, 1 / n), np.full(n, 0.03), np.full(n, side, np.int8))
    for t in range(REFERENCE):
        bank.learn(value[t], np.full(n, NOISE), t % 7)
    return bank


def judged(bank: Bank, value: np.ndarray) -> list[Evidence]:
    return [bank.judge(row, np.full(len(row), NOISE), t % 7) for t, row in enumerate(value[REFERENCE:], REFERENCE)]


def test_all_bets_share_a_capital_of_one() -> None:
    assert sum(start_weight(k) for k in range(1, 20_000)) == pytest.approx(1.0, abs=1e-3)
    assert sum(start_weight(k) for k in range(1, 200_000)) <= 1.0
    bank, staked = bank_of(breathing(1, REFERENCE, 1), exact(1)), 0.0
    for t in range(400):
        bank.judge(np.zeros(1), np.full(1, NOISE), t % 7)
        staked += float(np.exp(bank.stake[0, bank.born[0] == bank.steps[0]]).sum())
    assert staked == pytest.approx(sum(start_weight(k) for k in range(1, 401)), rel=1e-9)


def test_a_slow_ramp_is_worth_more_to_the_bets_on_ramps_than_they_cost_and_its_size_by_now_is_told() -> None:
    value = breathing(14, REFERENCE + 21, 300)
    value[REFERENCE + 12 :] += 0.02 * np.arange(1, 10)[:, None]
    bank = bank_of(value, exact(300))
    log_e, steps_alone = judged(bank, value)[-1].log_e, []
    for j in range(300):
        stake = np.where(np.arange(SLOTS) < STEPS, bank.stake[j] - np.log(1 - RAMPED), -np.inf)
        steps_alone.append(summed(bank.born[j], bank.gain[j], bank.information[j], stake, 0))
    assert np.median(log_e) > np.median(steps_alone) + 1
    assert np.median([bank.size(j)[0] for j in range(300)]) == pytest.approx(0.18, abs=0.03)


def test_the_capital_never_grows_in_the_mean_while_all_is_as_usual() -> None:
    value = breathing(11, REFERENCE + 60, 2_000)
    evidence = judged(bank_of(value, exact(2_000)), value)
    for after in (1, 5, 20, 60):
        capital = np.minimum(np.exp(evidence[after - 1].log_e), 1e3)
        assert capital.mean() <= 1.0 + 3 * capital.std() / np.sqrt(len(capital))


def test_no_healthy_coordinate_crosses_more_often_than_promised() -> None:
    value = breathing(12, REFERENCE + 100, 1_500)
    evidence = judged(bank_of(value, exact(1_500)), value)
    top = np.max([e.log_e for e in evidence], axis=0)
    for promise in (0.2, 0.05, 0.01):
        assert (top >= -np.log(promise)).mean() <= promise + 3 * np.sqrt(promise / 1_500)


@pytest.mark.parametrize("heavy", [False, True])
def test_a_null_that_was_estimated_keeps_the_promise_too(heavy: bool) -> None:
    tops = []
    for seed in range(5):
        value = breathing(20 + seed, REFERENCE + 80, 100, heavy)
        usual = Usual.fitted(value[:REFERENCE], np.full((REFERENCE, 100), NOISE), np.arange(REFERENCE) % 7, ["location"] * 100)
        tops.append(max(e.log_total for e in judged(bank_of(value, usual), value)))
    assert max(tops) < -np.log(0.01)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([-0.3, 0.3]), st.integers(1, 30))
def test_a_large_shift_is_seen_at_once_and_its_start_and_size_are_told(seed: int, shift: float, after: int) -> None:
    value = breathing(seed, REFERENCE + after + 3, 3)
    value[REFERENCE + after - 1 :, 1] += shift
    bank = bank_of(value, exact(3))
    evidence = judged(bank, value)
    assert evidence[after - 1].log_e[1] > 12
    assert evidence[-1].listed()[0] == 1
    assert bank.since(1)[0] == after
    middle, low, high = bank.size(1)
    assert low < middle < high
    assert middle == pytest.approx(shift, abs=0.11)


def test_a_bet_on_one_side_never_wins_from_the_other() -> None:
    value = breathing(3, REFERENCE + 3, 2)
    value[REFERENCE:, 0] -= 0.4
    assert judged(bank_of(value, exact(2), side=1), value)[-1].log_e[0] < 0


def test_when_a_leader_is_far_out_it_speaks_alone() -> None:
    value = breathing(7, REFERENCE + 3, 2)
    value[REFERENCE:] += 0.4
    bank = Bank(exact(2), np.full(2, 0.5), np.full(2, 0.03), np.zeros(2, np.int8), np.array([-1, 0]))
    for t in range(REFERENCE):
        bank.learn(value[t], np.full(2, NOISE), t % 7)
    last = judged(bank, value)[-1]
    assert last.log_e[0] > 12
    assert bank.steps.tolist() == [3, 0]


def test_what_is_left_of_a_large_shock_is_followed_rather_than_taken_for_a_shift() -> None:
    value = breathing(13, REFERENCE + 6, 200, heavy=True)
    usual = Usual.fitted(value[:REFERENCE], np.full((REFERENCE, 200), NOISE), np.arange(REFERENCE) % 7, ["location"] * 200)
    value[REFERENCE:] += (0.25 * 0.6 ** np.arange(6))[:, None]
    bank = bank_of(value, usual)
    first, *later = judged(bank, value)
    assert np.median(later[-1].log_e) < np.median(first.log_e) + 2


def test_the_same_window_again_and_again_raises_nothing() -> None:
    same = np.tile(breathing(5, 7, 5), (40, 1))
    usual = Usual.fitted(same[:REFERENCE], np.full((REFERENCE, 5), NOISE), np.arange(REFERENCE) % 7, ["location"] * 5)
    assert max(e.log_total for e in judged(bank_of(same, usual), same)) < 0


def test_a_window_that_was_not_observed_leaves_the_evidence() -> None:
    value = breathing(6, REFERENCE + 2, 2)
    bank = bank_of(value, exact(2))
    before = bank.judge(value[REFERENCE], np.full(2, NOISE), 0).log_e
    after = bank.judge(np.full(2, np.nan), np.full(2, NOISE), 1).log_e
    assert (before == after).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.1, 0.3]))
def test_listing_all_coordinates_is_what_the_definition_says(seed: int, rate: float) -> None:
    random = np.random.default_rng(seed)
    log_e, weight = random.normal(2, 4, 30), random.dirichlet(np.ones(30))
    listed = Evidence(log_e, weight, 0.0).listed(rate)
    scaled = np.exp(log_e) * weight * 30
    most = max((k for k in range(1, 31) if np.sort(scaled)[-k] >= 30 / (rate * k)), default=0)
    assert set(listed.tolist()) == set(np.argsort(-scaled)[:most].tolist())


def test_at_most_the_stated_share_of_what_is_listed_is_wrong() -> None:
    random, wrong = np.random.default_rng(8), []
    for _ in range(400):
        z = random.standard_normal(40) + np.where(np.arange(40) < 8, 4.5, 0.0)
        listed = Evidence(np.array([bet(x, 1.0, 0) for x in z]), np.full(40, 1 / 40), 0.0).listed(0.1)
        wrong.append((listed >= 8).sum() / max(len(listed), 1))
    assert np.mean(wrong) <= 0.1


@pytest.mark.parametrize("degrees", [10.0, 49.0, 250.0])
def test_a_student_value_becomes_the_normal_one_of_the_same_probability(degrees: float) -> None:
    for t in (-6.0, -1.0, 0.5, 3.0, 8.0):
        assert normal_of(t, degrees) == pytest.approx(np.sign(t) * -stats.norm.ppf(stats.t.sf(abs(t), degrees)), abs=0.02)


def test_the_least_shift_that_would_have_been_seen_is_seen() -> None:
    value = breathing(9, REFERENCE + 20, 200)
    bank = bank_of(value, exact(200))
    judged(bank, value)
    least = bank.smallest_seen(0.01)
    value[REFERENCE + 13 :] += least
    found = judged(bank_of(value, exact(200)), value)[-1].alone(0.01)
    assert 0.65 < found.mean() <= 1.0
