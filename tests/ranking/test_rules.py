"""Rules, bitmaps, boosts and fallback lists against their plain definitions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.events.history import DESCRIBED, HIDDEN
from vernal.ranking.fallback import best_permitted
from vernal.ranking.filters import bitmap
from vernal.ranking.rules import NO_BITMAP, Rules, add_boosts, permitted

N = 40
flags_st = st.lists(st.sampled_from([0, DESCRIBED, HIDDEN, DESCRIBED | HIDDEN]), min_size=N, max_size=N).map(lambda f: np.array(f, np.uint8))
items_st = st.lists(st.integers(-2, N + 3), max_size=60).map(lambda i: np.array(i, np.int32))
codes_st = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).integers(0, 5, (N, 2, 4)).astype(np.int32))
filter_st = st.lists(st.tuples(st.integers(0, 1), st.lists(st.integers(1, 6), max_size=3).map(tuple)), max_size=3).map(tuple)


@settings(deadline=None)
@given(codes_st, filter_st)
def test_a_bitmap_holds_the_items_with_any_value_of_every_clause(codes: np.ndarray, wanted: tuple) -> None:
    expected = [all(set(codes[i, column].tolist()) & set(values) for column, values in wanted) for i in range(N)]
    assert bitmap(wanted, codes, N).tolist() == [int(e) for e in expected]


@settings(deadline=None)
@given(items_st, flags_st, st.sampled_from([0, DESCRIBED]), st.booleans(), items_st)
def test_an_item_is_permitted_when_no_rule_forbids_it(items: np.ndarray, flags: np.ndarray, need: int, filtered: bool, forbidden: np.ndarray) -> None:
    passing = (np.arange(N) % 3 > 0).astype(np.uint8) if filtered else NO_BITMAP

    def fine(i: int) -> bool:
        return 0 <= i < N and not flags[i] & HIDDEN and flags[i] & need == need and i not in forbidden and (not filtered or bool(passing[i]))

    assert permitted(items, Rules(N, flags, need, passing, forbidden)).tolist() == [int(fine(i)) for i in items]


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan]), min_size=N, max_size=N), flags_st, st.integers(1, 50))
def test_the_rest_of_the_catalogue_comes_by_value_then_number(values: list[float], flags: np.ndarray, limit: int) -> None:
    out = np.empty(limit, np.int32)
    size = best_permitted(np.array(values, np.float32)[:, None], 0, N, flags, DESCRIBED, NO_BITMAP, out)
    ranked = sorted((i for i in range(N) if flags[i] == DESCRIBED), key=lambda i: (-np.nan_to_num(values[i]), i))
    assert out[:size].tolist() == ranked[:limit]


def test_boosts_add_their_logs_for_items_and_values_and_mark_what_they_raise() -> None:
    items, sources, utility = np.array([4, 5, 6], np.int32), np.zeros(3, np.uint32), np.zeros(3)
    codes = np.array([[[1, 2, 0, 0]], [[3, 0, 0, 0]], [[0, 0, 0, 0]]], np.int32)
    add_boosts(items, codes, np.array([5], np.int32), np.array([[0, 2], [0, 3]], np.int32), np.array([1.5, 0.5, -2.0]), 8, utility, sources)
    assert utility.tolist() == [0.5, -0.5, 0.0]
    assert sources.tolist() == [8, 0, 0]
