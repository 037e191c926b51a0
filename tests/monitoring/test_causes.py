"""Who carries an effect, and what else happened then."""

import pytest
from stall import Trouble, reference, summary

from vernal.monitoring.alarms import Span
from vernal.monitoring.causes import Change, carrier, changes_within, effect
from vernal.monitoring.coordinates import Statistic, share_of

USUAL = reference(21, android=summary(901, 4_000), web=summary(902, 4_000))
MISSING = USUAL.at(Statistic.MISSING, "price")


def test_the_segment_that_moved_carries_the_effect() -> None:
    live = {"android": summary(1, 1_000, Trouble(missing=0.1)), "web": summary(2, 3_000)}
    name, share = carrier(USUAL, MISSING, [live])
    assert name == "android"
    assert share > 0.8


def test_nobody_is_named_when_all_moved_alike() -> None:
    live = {name: summary(k, 4_000, Trouble(missing=0.1)) for k, name in enumerate(("android", "web"))}
    assert carrier(USUAL, MISSING, [live]) == ("", 0.0)


def test_without_segments_nobody_is_named() -> None:
    assert carrier(USUAL, MISSING, []) == ("", 0.0)


def test_the_effects_of_segments_weighted_by_rows_sum_to_that_of_the_whole() -> None:
    parts = {"android": summary(1, 1_000, Trouble(missing=0.2)), "web": summary(2, 3_000)}
    whole = parts["android"] + parts["web"]
    past = USUAL.segments["android"] + USUAL.segments["web"]
    before, after = (share_of(USUAL.yardstick.read(s, USUAL.coordinates).value[MISSING]) for s in (past, whole))
    summed = sum(part.rows * effect(USUAL, MISSING, name, part) for name, part in parts.items()) / whole.rows
    assert summed == pytest.approx(after - before, abs=2e-3)


def test_changes_of_the_windows_in_question_are_told_and_others_are_not() -> None:
    changes = [Change(3, "early"), Change(6, "deploy"), Change(8, "job"), Change(9, "late")]
    assert changes_within(changes, Span(7, 7, 8)) == ("deploy", "job")
