"""A reference: made once, carried in a release, the same afterwards."""

import numpy as np
import pytest
from stall import BINS, SCHEMA, reference, summary

from vernal.clock import ManualClock
from vernal.errors import MonitoringError
from vernal.monitoring.reference import Reference, Window
from vernal.monitoring.schema import BUDGET, Column, Schema, Stream
from vernal.release import Lineage, ReleaseStore


def test_a_reference_travels_in_a_release_and_comes_out_the_same(tmp_path) -> None:
    made = reference(28, mobile=summary(1), desk=summary(2))
    store = ReleaseStore(tmp_path, ManualClock())
    draft = store.draft()
    made.put(draft)
    lineage = Lineage(log_from=1, log_to=2, as_of=0, config="", plan="", code="", seed=0)
    opened = Reference.opened(store.open(store.commit(draft, lineage, {}).name))
    assert opened.schema == made.schema
    assert opened.bins.fingerprint == made.bins.fingerprint
    assert (opened.total, dict(opened.segments)) == (made.total, dict(made.segments))
    for before, after in zip((*made.usual, *made.readouts), (*opened.usual, *opened.readouts), strict=True):
        assert np.array_equal(before, after, equal_nan=True)
    numeric, categorical = np.array([[1.0, 2.0, 3.0]]), np.array([[4]])
    assert (opened.bins.cells(numeric, categorical) == made.bins.cells(numeric, categorical)).all()


def test_the_shares_of_the_promise_are_the_streams_budgets_and_sum_to_one() -> None:
    made = reference(21)
    weight, streams = made.weights(), np.array([c.stream for c in made.coordinates])
    assert weight.sum() == pytest.approx(1.0)
    present = sum(BUDGET[s] for s in Stream if s in streams)
    for stream in set(streams):
        assert weight[streams == stream].sum() == pytest.approx(BUDGET[stream] / present)


def test_quality_outcomes_predictions_and_features_are_all_watched() -> None:
    assert {c.stream for c in reference(21).coordinates} == {Stream.QUALITY, Stream.OUTCOME, Stream.PREDICTION, Stream.FEATURE}


def test_values_never_seen_are_bet_on_upwards_only() -> None:
    made = reference(21)
    side = made.sides()
    assert side[[str(c.statistic) in ("unseen", "out_of_range", "not_finite") for c in made.coordinates]].tolist() == [1] * 7
    assert side[[str(c.statistic) in ("location", "tilt", "bias") for c in made.coordinates]].tolist() == [0] * 5


def test_no_past_is_no_reference() -> None:
    with pytest.raises(MonitoringError, match="at least one past window"):
        Reference.of(SCHEMA, BINS, [])


def test_windows_out_of_order_are_refused() -> None:
    with pytest.raises(MonitoringError, match="ascend"):
        Reference.of(SCHEMA, BINS, [Window(3, summary(1)), Window(2, summary(2))])


def test_a_column_named_twice_and_a_score_that_is_no_column_are_refused() -> None:
    with pytest.raises(MonitoringError, match="named once"):
        Schema.of([Column("a"), Column("a")])
    with pytest.raises(MonitoringError, match="numeric column"):
        Schema.of([Column("a")], score="b")
