from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from oracle import Oracle
from worlds import settings

from vernal.config import duration_s
from vernal.features.definition import compile_plan
from vernal.features.weights import EVER, WINDOW, Weight, slot_of

SETTINGS = settings(horizon="20d")
PLAN = compile_plan(SETTINGS)


@limits(deadline=None, max_examples=300)
@given(hop=st.integers(5_000_000, 6_000_000), age=st.integers(0, 23 * 86_400))
def test_the_table_gives_every_event_the_weight_of_its_definition(hop: int, age: int) -> None:
    at = hop * 300
    time = at + 299 - age
    row = PLAN.weights(at)[slot_of(at, time, PLAN.n_slots)]
    names = {0: "window", 1: "half_life", 2: "ever"}
    for column, weight in enumerate(PLAN.functions):
        assert row[column] == Oracle(SETTINGS, []).weight(time, at, (names[weight.kind], weight.seconds)), weight


def test_an_event_beyond_the_horizon_weighs_nothing() -> None:
    at = 1_700_000_100
    assert not PLAN.weights(at)[slot_of(at, at - 22 * 86_400, PLAN.n_slots)].any()
    assert PLAN.weights(at)[slot_of(at, at - 20 * 86_400, PLAN.n_slots)][PLAN.functions.index(Weight(EVER, 0))] == 1


def test_a_window_moves_by_its_tile() -> None:
    column = PLAN.functions.index(Weight(WINDOW, duration_s("1h")))
    at = 1_699_999_200
    weights = [PLAN.weights(at)[slot_of(at, time, PLAN.n_slots)][column] for time in (at - 3_601, at - 3_600, at, at + 299)]
    assert weights == [0, 1, 1, 1]
