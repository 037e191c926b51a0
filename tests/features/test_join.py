import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Fact, Oracle, as_float32
from worlds import ATTRIBUTES, ITEMS, USERS, catalogue, facts, history_of, moments, random_facts, same
from worlds import settings as world

from vernal.errors import TrainingError
from vernal.features.definition import compile_plan
from vernal.features.join import point_in_time

SETTINGS = world()
PLAN = compile_plan(SETTINGS)
ORACLE = Oracle(SETTINGS, ATTRIBUTES)


def examples(known: list[Fact], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng, at = np.random.default_rng(seed), moments(known, seed)
    return rng.integers(-1, USERS, len(at)).astype(np.int32), rng.integers(-1, ITEMS, len(at)).astype(np.int32), at


@settings(max_examples=60, deadline=None)
@given(known=facts(), seed=st.integers(0, 10_000))
def test_every_value_equals_the_plain_definition_bit_for_bit(known: list[Fact], seed: int) -> None:
    user, item, at = examples(known, seed)
    got = point_in_time(PLAN, history_of(known), catalogue(), user, item, at)
    rows = zip(np.where(user < 0, 99, user).tolist(), np.where(item < 0, 99, item).tolist(), at.tolist(), strict=True)
    assert same(got, as_float32([ORACLE.row(known, *row) for row in rows]))


@settings(max_examples=60, deadline=None)
@given(known=facts(), seed=st.integers(0, 10_000))
def test_nothing_received_later_changes_a_value(known: list[Fact], seed: int) -> None:
    user, item, at = examples(known, seed)
    moment = int(np.median(at))
    past = [fact for fact in known if fact.received_at < moment]
    whole = point_in_time(PLAN, history_of(known), catalogue(), user, item, np.full_like(at, moment))
    alone = point_in_time(PLAN, history_of(past), catalogue(), user, item, np.full_like(at, moment))
    assert same(whole, alone)


def test_a_cut_freezes_what_is_known_while_time_goes_on() -> None:
    known = random_facts(300, 5)
    user, item, at = examples(known, 5)
    cut = int(np.median(history_of(known).received_at))
    past = [fact for fact in known if fact.received_at < cut]
    frozen = point_in_time(PLAN, history_of(known), catalogue(), user, item, at, cut=cut)
    assert same(frozen, point_in_time(PLAN, history_of(past), catalogue(), user, item, at))


def test_the_order_of_examples_does_not_matter() -> None:
    known = random_facts(300, 6)
    user, item, at = examples(known, 6)
    order = np.random.default_rng(0).permutation(len(at))
    got = point_in_time(PLAN, history_of(known), catalogue(), user, item, at)
    assert same(point_in_time(PLAN, history_of(known), catalogue(), user[order], item[order], at[order]), got[order])


def test_no_examples_give_no_rows() -> None:
    none = np.empty(0, np.int32)
    assert point_in_time(PLAN, history_of([]), catalogue(), none, none, none.astype(np.int64)).shape == (0, len(PLAN.names))


def test_a_history_out_of_order_is_refused() -> None:
    history = history_of(list(reversed(random_facts(50, 7))))
    with pytest.raises(TrainingError, match="order of arrival"):
        point_in_time(PLAN, history, catalogue(), np.zeros(1, np.int32), np.zeros(1, np.int32), np.full(1, 2**60))
