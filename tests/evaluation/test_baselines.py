"""Lists of the grid are what a loop over past events would count, at every moment."""

import numpy as np

from vernal.evaluation.baselines import Popularity, evaluate_lists, grid, replayed
from vernal.evaluation.splits import DAY_US, cases, positive_rows
from vernal.retrieval.positives import type_weights
from vernal.terms import US_PER_S
from vernal.testing.tiny import START_US, tiny_world


def test_every_list_orders_items_as_a_loop_over_what_was_known() -> None:
    config, history, _ = tiny_world()
    asked = cases(history, config.events, START_US + 4 * DAY_US, START_US + 12 * DAY_US)
    rows = np.flatnonzero(positive_rows(history, config.events))
    weight = type_weights(config.events)
    kinds = [Popularity("all", 0, False), Popularity("half", 86_400, True)]
    for case, (every, faded), _ in replayed(history, config.events, asked, np.ones(history.n_items, np.bool_), kinds):
        known = rows[history.received_at[rows] < asked.at[case]]
        counts = np.bincount(history.item[known], minlength=history.n_items)
        times = np.maximum.accumulate(history.time[known] // US_PER_S)
        age = (asked.at[case] // US_PER_S - times) / 86_400
        decayed = np.bincount(history.item[known], weight[history.type[known]] * 0.5**age, minlength=history.n_items)
        assert every.tolist() == counts.tolist()
        assert np.allclose(faded / faded.max(), decayed / decayed.max())


def test_a_window_forgets_what_left_it() -> None:
    config, history, _ = tiny_world()
    asked = cases(history, config.events, START_US + 4 * DAY_US, START_US + 12 * DAY_US)
    rows = np.flatnonzero(positive_rows(history, config.events))
    for case, (last,), _ in replayed(history, config.events, asked, np.ones(history.n_items, np.bool_), [Popularity("1d", 86_400, False)]):
        known = rows[history.received_at[rows] < asked.at[case]]
        times = np.maximum.accumulate(history.time[known] // US_PER_S)
        inside = known[times >= asked.at[case] // US_PER_S - 86_400]
        assert last.tolist() == np.bincount(history.item[inside], minlength=history.n_items).tolist()


def test_what_a_user_has_is_not_eligible_for_them_unless_repeats_are_allowed() -> None:
    config, history, _ = tiny_world()
    asked = cases(history, config.events, START_US + 10 * DAY_US, START_US + 12 * DAY_US)
    positive = positive_rows(history, config.events)
    for case, _, allowed in replayed(history, config.events, asked, np.ones(history.n_items, np.bool_), grid()[:1]):
        had = positive & (history.user == asked.user[case]) & (history.received_at < asked.at[case])
        assert set(np.flatnonzero(~allowed)) == set(history.item[had].tolist())


def test_the_best_list_is_named() -> None:
    config, history, _ = tiny_world()
    asked = cases(history, config.events, START_US + 10 * DAY_US, START_US + 15 * DAY_US)
    found = evaluate_lists(history, config.events, asked, np.ones(history.n_items, np.bool_))
    means = {name: per_case.means()["ndcg@10"] for name, per_case in found.by_name.items()}
    assert means[found.best] == max(means.values())
    assert len(means) == len(grid())
