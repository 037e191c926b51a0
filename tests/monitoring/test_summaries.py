"""Laws of summaries: they add up, in any order, to the same bytes; what is saved is what is loaded."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stall import BINS, SCHEMA, Trouble, rows, summary

from vernal.errors import MonitoringError
from vernal.monitoring.bins import Bins
from vernal.monitoring.summaries import ONE, N, Outcomes, R, Summary, Y


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 300), max_size=8), st.randoms())
def test_shards_merged_in_any_order_give_the_same_bytes(seed: int, cuts: list[int], random) -> None:
    numeric, categorical, outcomes = rows(seed, 300)
    bounds = [0, *sorted(cuts), 300]
    shards = [
        Summary.of(BINS, numeric[a:b], categorical[a:b], Outcomes(outcomes.probability[a:b], outcomes.label[a:b]), SCHEMA.score_at)
        for a, b in itertools.pairwise(bounds)
    ]
    random.shuffle(shards)
    merged = Summary.empty(BINS)
    for shard in shards:
        merged = merged + shard
    assert merged.to_bytes() == Summary.of(BINS, numeric, categorical, outcomes, SCHEMA.score_at).to_bytes()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_the_order_of_rows_changes_no_byte(seed: int, labelled: bool) -> None:
    numeric, categorical, outcomes = rows(seed, 200)
    order = np.random.default_rng(seed).permutation(200)
    shuffled = Outcomes(outcomes.probability[order], outcomes.label[order])
    first = Summary.of(BINS, numeric, categorical, outcomes if labelled else None)
    assert first.to_bytes() == Summary.of(BINS, numeric[order], categorical[order], shuffled if labelled else None).to_bytes()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_rows_that_come_one_at_a_time_are_counted_as_those_that_come_at_once_with_or_without_labels(seed: int, n: int) -> None:
    numeric, categorical, outcomes = rows(seed, n, Trouble(missing=0.3, new=0.3))
    one_by_one = Summary.empty(BINS)
    for k in range(n):
        one_by_one.add(BINS, numeric[k : k + 1], categorical[k : k + 1])
    assert one_by_one == Summary.of(BINS, numeric, categorical)
    assert (one_by_one.counts == Summary.of(BINS, numeric, categorical, outcomes).counts).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 200))
def test_what_is_saved_is_what_is_loaded(seed: int, n: int) -> None:
    made = summary(seed, n)
    assert Summary.from_bytes(made.to_bytes()) == made


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_whole_without_a_segment_is_the_rest(a: int, b: int) -> None:
    segment, rest = summary(a, 100), summary(b, 150)
    assert segment + rest - segment == rest
    assert segment + rest == rest + segment


def test_every_row_is_in_one_cell_of_every_column() -> None:
    made = summary(3, 500)
    assert made.rows == 500
    assert (made.counts.sum(axis=1) == 500).all()


def test_residuals_of_cells_sum_to_the_moments() -> None:
    made = summary(4, 500)
    assert (made.residual.sum(axis=1) == made.moments[R]).all()
    assert made.moments[N] == made.score.sum() == 500
    assert made.moments[Y] == made.score[1].sum()
    numeric, _, outcomes = rows(4, 500)
    assert made.moments[R] / ONE == pytest.approx(float((outcomes.label - outcomes.probability).sum()), abs=1e-3)
    assert len(numeric) == 500


def test_probabilities_of_zero_one_and_nan_are_survived() -> None:
    numeric, categorical, _ = rows(5, 3)
    made = Summary.of(BINS, numeric, categorical, Outcomes(np.array([0.0, 1.0, np.nan]), np.array([1, 0, 1], np.uint8)))
    assert np.isfinite(made.moments).all()


def test_summaries_of_other_bins_do_not_add_up() -> None:
    other = Bins.frozen(np.arange(300.0).reshape(100, 3), np.zeros((100, 1), np.int64))
    with pytest.raises(MonitoringError, match="summaries of one reference"):
        summary(1) + Summary.empty(other)


def test_a_column_that_vanished_is_a_schema_error() -> None:
    numeric, categorical, _ = rows(1, 10)
    with pytest.raises(MonitoringError, match="a column came or went"):
        Summary.of(BINS, numeric[:, :2], categorical)


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-1], lambda raw: b"PICKLE00" + raw[8:], lambda raw: raw[:0]], ids=["cut", "foreign", "empty"])
def test_bytes_that_are_no_summary_are_refused(spoil) -> None:
    with pytest.raises(MonitoringError, match=r"Summary\.to_bytes"):
        Summary.from_bytes(spoil(summary(1, 10).to_bytes()))
