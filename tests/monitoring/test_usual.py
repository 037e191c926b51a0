"""What is usual: free of the weekday means, whatever they are; lag and wobble are found again; tails are those of the shocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.monitoring import tails
from vernal.monitoring.usual import Usual, errors_of

NOISE = 1 / 5_000


def breathing(seed: int, windows: int, n: int, heavy: bool = False, lag: float = 0.6, sd: float = 0.03) -> np.ndarray:
    """(windows, n) weekday means, a wobble that remembers, sampling noise."""
    random = np.random.default_rng(seed)
    shocks = random.standard_t(5, (windows, n)) / np.sqrt(5 / 3) if heavy else random.standard_normal((windows, n))
    wobble = np.zeros((windows, n))
    for t in range(windows):
        wobble[t] = lag * wobble[t - 1] + np.sqrt(1 - lag**2) * sd * shocks[t] if t else sd * shocks[t]
    weekday = 0.03 * random.standard_normal((7, n))
    return weekday[np.arange(windows) % 7] + wobble + np.sqrt(NOISE) * random.standard_normal((windows, n))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.floats(-5, 5), min_size=7, max_size=7))
def test_the_weekday_means_change_no_error(seed: int, means: list[float]) -> None:
    value, weekday = breathing(seed, 30, 2), np.arange(30) % 7
    noise, lag, wobble = np.full(value.shape, NOISE), np.full(2, 0.6), np.full(2, 9e-4)
    plain, known, _ = errors_of(value, noise, weekday, lag, wobble)
    moved, _, _ = errors_of(value + np.array(means)[weekday][:, None], noise, weekday, lag, wobble)
    assert moved == pytest.approx(plain, abs=1e-3)
    assert known.sum(axis=0).tolist() == [23, 23]  # the first of each weekday tells only where its mean is


def test_errors_of_the_true_null_are_independent_and_of_unit_variance() -> None:
    value, n = breathing(1, 120, 200), 200
    errors, known, _ = errors_of(value, np.full(value.shape, NOISE), np.arange(120) % 7, np.full(n, 0.6), np.full(n, 9e-4))
    late = errors[20:]
    assert known[20:].all()
    assert late.std() == pytest.approx(1.0, abs=0.02)
    assert [round(float((late[k:] * late[:-k]).mean()), 1) for k in (1, 2, 7)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("lag", [0.0, 0.6, 0.9])
def test_lag_and_wobble_are_found_again(lag: float) -> None:
    value = breathing(2, 56, 60, lag=lag)
    usual = Usual.fitted(value, np.full(value.shape, NOISE), np.arange(56) % 7, ["location"] * 60)
    assert usual.lag[0] == pytest.approx(lag, abs=0.12)
    assert np.sqrt(usual.wobble.mean()) == pytest.approx(0.03, rel=0.25)


def test_a_small_family_takes_its_lag_from_what_all_families_say() -> None:
    value, names = breathing(7, 56, 66), ["location"] * 60 + ["overall"] * 6
    lags = []
    for seed in range(10):
        value[:, 60:] = breathing(100 + seed, 56, 6)
        lags.append(Usual.fitted(value, np.full(value.shape, NOISE), np.arange(56) % 7, names).lag[-1])
    assert lags == pytest.approx([0.6] * 10, abs=0.12)


def test_a_few_coordinates_that_lay_still_do_not_say_that_none_of_their_family_wobbles() -> None:
    value = np.sqrt(NOISE) * np.random.default_rng(3).standard_normal((56, 6))
    few, many = (Usual.fitted(v, np.full(v.shape, NOISE), np.arange(56) % 7, ["overall"] * v.shape[1]) for v in (value, np.tile(value, 10)))
    assert many.wobble.max() < few.wobble.min() < 0.5 * NOISE


def test_a_coordinate_that_only_samples_has_no_wobble() -> None:
    value = np.sqrt(NOISE) * np.random.default_rng(3).standard_normal((56, 40))
    usual = Usual.fitted(value, np.full(value.shape, NOISE), np.arange(56) % 7, ["missing"] * 40)
    assert usual.wobble.mean() < 0.2 * NOISE


def test_heavy_shocks_make_far_errors_ordinary() -> None:
    fitted = [
        Usual.fitted(value, np.full(value.shape, NOISE), np.arange(56) % 7, ["location"] * 60).table[:, 7 * tails.PER_SD].mean()
        for value in (breathing(4, 56, 60), breathing(4, 56, 60, heavy=True))
    ]
    assert fitted[0] > 5.8
    assert fitted[1] < 4.8
