"""Frozen bins: every value has one cell, and it never changes."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.monitoring.bins import ABOVE, BELOW, MISSING, NOT_FINITE, OTHER, TOP, UNSEEN, Bins
from vernal.monitoring.schema import MISSING_KEY, keys_of

NO_KEYS, NO_NUMBERS = np.empty((0, 0), np.int64), np.empty((0, 0))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 50, 3_000]), st.sampled_from([0.0, 1.0, 1e6]))
def test_a_number_falls_as_many_edges_up_as_are_at_or_below_it(seed: int, n: int, rounded: float) -> None:
    random = np.random.default_rng(seed)
    sample = random.standard_normal((n, 2)) if rounded == 0 else np.floor(random.standard_normal((n, 2)) * rounded)
    bins = Bins.frozen(sample, np.empty((n, 0), np.int64))
    values = random.standard_normal((100, 2)) * 3 * max(rounded, 1.0)
    expected = np.stack([np.searchsorted(bins.edges[c, :33], values[:, c], side="right") for c in range(2)], axis=1)
    assert (bins.cells(values, np.empty((100, 0), np.int64)) == expected).all()


def test_missing_and_not_finite_and_far_out_have_cells_of_their_own() -> None:
    bins = Bins.frozen(np.arange(100.0)[:, None], np.empty((100, 0), np.int64))
    values = np.array([np.nan, np.inf, -np.inf, 1e9, -1e9, 50.0])[:, None]
    cells = bins.cells(values, np.empty((6, 0), np.int64)).ravel().tolist()
    assert cells[:5] == [MISSING, NOT_FINITE, NOT_FINITE, ABOVE, BELOW]
    assert BELOW < cells[5] < ABOVE


def test_the_reference_itself_is_never_far_out() -> None:
    sample = np.random.default_rng(0).standard_t(2, (5_000, 1))
    cells = Bins.frozen(sample, np.empty((5_000, 0), np.int64)).cells(sample, np.empty((5_000, 0), np.int64))
    assert cells.min() > BELOW
    assert cells.max() < ABOVE


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=200), st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_category_is_a_top_one_another_known_one_or_unseen(keys: list[int], other: int) -> None:
    column = np.array(keys, np.int64)[:, None]
    bins = Bins.frozen(np.empty((len(keys), 0)), column)
    cells = bins.cells(np.empty((len(keys), 0)), column).ravel()
    distinct = len(set(keys))
    assert set(cells.tolist()) == set(range(min(distinct, TOP + 1)))
    assert all(bins.category(0, int(cell)) == key for cell, key in zip(cells, keys, strict=True) if cell < OTHER)
    alone = int(bins.cells(np.empty((1, 0)), np.array([[other]], np.int64))[0, 0])
    assert (alone == UNSEEN) == (other not in keys)
    assert bins.cells(np.empty((1, 0)), np.array([[MISSING_KEY]], np.int64))[0, 0] == MISSING


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-3, 40), min_size=1, max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_keys_that_come_in_slices_give_the_bins_of_all_at_once(keys: list[int], cuts: list[int]) -> None:
    columns = np.array([keys, keys[::-1]], np.int64).T // np.array([1, 3])
    slices = (columns[a:b] for a, b in itertools.pairwise([0, *sorted(cuts), len(keys)]))
    whole, joined = Bins.frozen(np.empty((0, 0)), columns), Bins.frozen(np.empty((0, 0)), slices)
    assert (whole.known.tolist(), whole.fingerprint) == (joined.known.tolist(), joined.fingerprint)


def test_keys_of_strings_are_the_same_everywhere() -> None:
    keys = keys_of(["de", None, "fr", "de"])
    assert keys[0] == keys[3] != keys[2]
    assert keys[1] == MISSING_KEY
