"""Tails: Student where shocks rule, normal where only sampling noise is left, and never lighter than the reference allows."""

import numpy as np
import pytest
from scipy import stats

from vernal.monitoring import tails


@pytest.mark.parametrize("degrees", [3.0, 5.0, 30.0])
def test_tails_are_those_of_student_shocks_without_noise_and_normal_without_shocks(degrees: float) -> None:
    place = tails.DEGREES.tolist().index(degrees)
    for sd in (1, 4, 10):
        tail = np.exp(tails.log_tables()[1][:, place, sd * tails.PER_SD])
        assert tail[-1] == pytest.approx(stats.t.sf(sd * np.sqrt(degrees / (degrees - 2)), degrees), rel=0.1)
        assert tail[0] == pytest.approx(stats.norm.sf(sd), rel=1e-6)


def test_a_table_ascends_and_is_never_above_the_error_itself() -> None:
    posterior = np.tile(tails.PRIOR / tails.PRIOR.sum(), (3, 1))
    table = tails.normal_tables(posterior, np.array([0.0, 0.5, 1.0]))
    assert (np.diff(table, axis=1) >= 0).all()
    sd = np.arange(tails.PLACES) / tails.PER_SD
    assert (table[:, 3 * tails.PER_SD :] <= sd[3 * tails.PER_SD :] + 1e-6).all()


def test_the_more_of_the_error_is_shock_the_more_ordinary_a_far_one_is() -> None:
    heavy = np.tile(tails.DEGREES == 5.0, (4, 1)).astype(float)
    at_seven = tails.normal_tables(heavy, np.array([0.0, 0.2, 0.6, 1.0]))[:, 7 * tails.PER_SD]
    assert (np.diff(at_seven) < 0).all()
