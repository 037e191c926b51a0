from dataclasses import replace

import msgspec
import numpy as np
from grove import NOW_US, SETTINGS, history_of

from vernal.config import Training
from vernal.retrieval.ials import Hyper
from vernal.retrieval.tuner import grid, trials_within, tune


def with_budget(seconds: int):
    return msgspec.structs.replace(SETTINGS, training=Training(budget_s=seconds, window="5d"))


def test_without_budget_the_defaults_are_kept(history) -> None:
    assert tune(history, with_budget(0), NOW_US, 0) == (Hyper(), [])


def test_the_best_trial_is_chosen_and_the_choice_repeats(history) -> None:
    hyper, trials = tune(history, with_budget(5), NOW_US, 0)
    assert len(trials) > 3
    assert hyper == max(trials, key=lambda trial: trial.recall).hyper
    assert tune(history, with_budget(5), NOW_US, 0)[1] == trials


def test_nothing_after_as_of_is_looked_at(history) -> None:
    cut = NOW_US - 8 * 86_400_000_000
    assert tune(history, with_budget(3), cut, 0) == tune(history.before(cut), with_budget(3), cut, 0)


def test_a_history_without_positives_keeps_the_defaults() -> None:
    nothing = history_of(1).rows(slice(0, 0))
    assert tune(nothing, with_budget(5), NOW_US, 0)[0] == Hyper()


def test_a_larger_budget_tries_the_same_settings_first_and_then_more() -> None:
    few, many = list(grid(3)), list(grid(10))
    assert many[:3] == few
    assert few[0] == replace(Hyper(), alpha=0.1, reg=0.01)
    assert len({(hyper.alpha, hyper.reg) for hyper in grid(100)}) == 20


def test_trials_follow_the_size_of_the_history(models, history) -> None:
    from vernal.retrieval.positives import Positives, pairs

    matrix = pairs(Positives.of(history, SETTINGS.events), 1)
    assert trials_within(10, matrix, 16) > trials_within(10, matrix, 64) > trials_within(1, matrix, 64)
    assert np.isfinite(models.factors.reg)
