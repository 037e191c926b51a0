"""Coordinates: each has the sampling variance it claims, and moves with the trouble it is named for."""

import numpy as np
import pytest
from stall import SCHEMA, Trouble, reference, summary

from vernal.monitoring.coordinates import Statistic, arcsine, area, orthonormal, share_of

REFERENCE = reference(21)


def read(trouble: Trouble = Trouble(), seed: int = 7, n: int = 2_000):  # noqa: B008
    return REFERENCE.yardstick.read(summary(seed, n, trouble), REFERENCE.coordinates)


def test_every_coordinate_has_the_sampling_variance_it_claims() -> None:
    readouts = [read(seed=s, n=1_000) for s in range(1_000, 1_200)]
    value, variance = np.array([r.value for r in readouts]), np.array([r.variance for r in readouts]).mean(axis=0)
    ratio = value.var(axis=0) / variance
    names = [(str(c.statistic), REFERENCE.name(c)) for c in REFERENCE.coordinates]
    odd = [(name, round(r, 2)) for name, r in zip(names, ratio, strict=True) if r > 1.45]
    assert odd == []
    sampled = ("location", "spread", "tilt", "bias", "slope", "residual", "auc", "rate", "entropy")
    common = [r for (name, _), r in zip(names, ratio, strict=True) if name in sampled]
    assert min(common) > 0.65


@pytest.mark.parametrize(
    ("trouble", "statistic", "column", "change"),
    [
        (Trouble(price=0.3), Statistic.LOCATION, "price", 0.3),
        (Trouble(base=0.4), Statistic.BIAS, "", 0.4),
        (Trouble(worth=0.5), Statistic.RESIDUAL, "price", -0.4),
    ],
)
def test_a_shift_is_read_in_units_people_know(trouble: Trouble, statistic: Statistic, column: str, change: float) -> None:
    at = REFERENCE.at(statistic, column)
    moved = read(trouble, n=20_000).value[at] - REFERENCE.means()[at]
    assert moved == pytest.approx(change, abs=0.08)


def test_shares_are_read_exactly() -> None:
    moved = read(Trouble(missing=0.1, new=0.05), n=20_000).value
    assert share_of(moved[REFERENCE.at(Statistic.MISSING, "price")]) == pytest.approx(0.1, abs=0.01)
    assert share_of(moved[REFERENCE.at(Statistic.UNSEEN, "country")]) == pytest.approx(0.05, abs=0.01)


def test_a_unit_change_leaves_the_known_range() -> None:
    assert share_of(read(Trouble(scale=1e4)).value[REFERENCE.at(Statistic.OUT_OF_RANGE, "price")]) > 0.5


def test_scores_are_orthonormal_in_the_reference() -> None:
    counts = np.array([5.0, 0.0, 20.0, 40.0, 30.0, 5.0])
    basis = np.concatenate([np.ones((1, 6)), orthonormal(np.arange(6.0), counts)])
    assert basis * (counts / 100) @ basis.T == pytest.approx(np.eye(4), abs=1e-9)


def test_a_column_of_two_values_has_one_direction() -> None:
    basis = orthonormal(np.array([0.0, 1.0]), np.array([3.0, 7.0]))
    assert np.any(basis[0])
    assert not np.any(basis[1:])


def test_the_area_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    score = np.zeros((2, 36))
    score[:, :34] = random.integers(0, 5, (2, 34))
    negative, positive = (np.repeat(np.arange(34), row[:34].astype(int)) for row in score)
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    assert area(score)[0] == pytest.approx(wins)


def test_the_arcsine_scale_goes_there_and_back() -> None:
    assert share_of(arcsine(np.array([300.0]), np.array([10_000.0]))[0])[0] == pytest.approx(0.03, abs=1e-4)


def test_a_window_of_few_rows_is_not_judged_except_for_its_volume() -> None:
    value = read(n=20).value
    assert np.isfinite(value[REFERENCE.at(Statistic.VOLUME)])
    assert np.isnan(np.delete(value, REFERENCE.at(Statistic.VOLUME))).all()


def test_without_labels_nothing_is_said_of_outcomes() -> None:
    unlabelled = REFERENCE.yardstick.read(summary(1, labelled=False), REFERENCE.coordinates).value
    assert np.isnan(unlabelled[REFERENCE.at(Statistic.BIAS)])
    assert np.isfinite(unlabelled[REFERENCE.at(Statistic.LOCATION, "price")])
    assert SCHEMA.score_at == 2
