"""From scores to rates, and from rates and showings to what is believed of a fresh item."""

import numpy as np
import pytest
import small_shop as world
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.events.history import History
from vernal.features.definition import compile_plan
from vernal.features.walk import Walk
from vernal.ranking.exploring import LEAST_CLICKS, STRENGTH, UNRANKED, Rates, Showings, evidence
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request
from vernal.ranking.slate import FRESH
from vernal.terms import DAY_S, IMPRESSION_CODE

SETTINGS = world.settings()


@settings(max_examples=20, deadline=None)
@given(st.floats(0.4, 2.0), st.floats(-4.0, 0.0), st.integers(0, 99))
def test_fitted_rates_are_those_the_clicks_came_from(slope: float, offset: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    score = draw.normal(0, 1.5, 60_000).astype(np.float32)
    truth = Rates(slope, offset).of(score)
    found = Rates.fitted(score, (draw.random(len(score)) < truth).astype(np.float32), SETTINGS)
    assert np.abs(found.of(score) - truth).mean() < 0.1 * truth.mean()


def test_too_few_clicks_leave_what_the_thinning_of_negatives_says() -> None:
    labels = np.zeros(1_000, np.float32)
    labels[: LEAST_CLICKS - 1] = 1
    found = Rates.fitted(np.zeros(1_000, np.float32), labels, SETTINGS)
    assert found == Rates.unfitted(SETTINGS)
    assert found.of(np.zeros(1, np.float32))[0] == pytest.approx(1 / (1 + 300 / 20), rel=1e-6)


def test_a_score_that_is_no_number_stands_for_the_rate_of_the_unranked() -> None:
    assert Rates().of(np.array([np.nan], np.float32))[0] == UNRANKED


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-4, 0.9), st.floats(0, 500), st.floats(0, 500))
def test_evidence_is_never_empty_and_grows_by_what_was_seen(rate: float, shown: float, clicks: float) -> None:
    known = evidence(np.array([rate]), np.array([shown]), np.array([clicks]))[0]
    assert (known > 0).all()
    assert known.sum() == pytest.approx(STRENGTH + max(shown, clicks))


def test_showings_and_clicks_are_read_back_from_the_columns_of_the_live_table() -> None:
    names = ("item_shown.count.7d", "item_view_rate.rate.7d", "item_buy_rate.rate.7d")
    shown, views, buys = np.array([0.0, 40.0]), np.array([0.0, 6.0]), np.array([2.0, 1.0])
    values = np.column_stack([shown, *((clicks + 1.0) / (shown + 20.0) for clicks in (views, buys))]).astype(np.float32)
    found = Showings(names, SETTINGS).of(values)
    assert found[0].tolist() == pytest.approx(shown.tolist())
    assert found[1].tolist() == pytest.approx((views + buys).tolist(), abs=1e-4)
    assert [column.tolist() for column in Showings(("other",), SETTINGS).of(values)] == [[0, 0], [0, 0]]


def explored(until: float = 100, lasting: str = "60d") -> set[int]:
    """What exploring slots show in the small shop, where the first 40 items were each shown 200 times an hour ago."""
    chosen = world.settings(scenarios={"home": {"explore_share": 0.5, "explore_until": until, "explore_for": lasting, "repeats": True}})
    history, n = world.history(), 8_000
    then = np.full(n, world.NOW_US - 3_600_000_000)
    shown = History(
        history.users,
        np.concatenate([history.user, np.zeros(n, np.int32)]),
        np.concatenate([history.item, np.arange(n, dtype=np.int32) % 40]),
        np.concatenate([history.type, np.full(n, IMPRESSION_CODE, np.uint8)]),
        *(np.concatenate([times, then]) for times in (history.time, history.received_at)),
        np.zeros(len(history) + n, np.int32),
        np.arange(1, len(history) + n + 1),
        history.n_items,
    )
    walk = Walk(compile_plan(chosen), chosen, shown, world.catalogue())
    walk.to(world.NOW_US)
    recommender = Recommender(world.parts(chosen), walk.plan, chosen)
    slates = [recommender.recommend(Request(user="user0"), world.state(chosen), walk.live, world.NOW_US, seed) for seed in range(60)]
    return {int(number) for slate in slates for number in slate.numbers[slate.placed_by == FRESH]}


def test_an_item_that_was_shown_enough_is_not_explored() -> None:
    assert min(explored(until=100)) >= 40
    assert min(explored(until=1_000)) < 40


def test_an_item_is_explored_only_while_it_is_new() -> None:
    young = explored(lasting="4d")
    first = world.walk(SETTINGS).live.first_seen
    assert young < explored()
    assert (first[sorted(young)] > world.NOW_S - 4 * DAY_S).all()
