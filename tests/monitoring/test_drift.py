"""The drift report: plain values that say what a person needs to know."""

from pathlib import Path

import msgspec
import numpy as np
from test_watchman import BROKEN, EVENTS, FAULTS, Village, broken, day, watched

from vernal.cli.drift import lines
from vernal.monitoring.drift import DriftReport


def reported(folder: Path, fault: str = "") -> DriftReport:
    report = watched(folder, broken(FAULTS[fault]) if fault else EVENTS).report()
    return msgspec.json.decode(msgspec.json.encode(report), type=DriftReport)


def test_silence_says_since_when_how_much_and_what_it_would_have_seen(tmp_path: Path) -> None:
    report = reported(tmp_path)
    assert report.alarms == report.holds == []
    assert "view: no change beyond usual since 2023-12-15 in 8 windows with 1," in report.quiet
    assert "smallest lasting shift that would have been seen: 0." in report.quiet
    assert 0 < report.spent < report.promise


def test_an_alarm_comes_with_its_size_its_window_and_what_it_holds(tmp_path: Path) -> None:
    report = reported(tmp_path, "users and items swapped")
    assert report.quiet == ""
    assert report.holds
    alarm = next(alarm for alarm in report.alarms if alarm.column == "view.user" and alarm.statistic == "unseen")
    assert alarm.before < 0.05 < 0.9 < alarm.after_low < alarm.after <= alarm.after_high
    assert (alarm.since, alarm.holds) == ("2023-12-19", True)
    assert alarm.sentence in report.holds


def test_histograms_of_now_and_of_the_reference_are_shares_with_names(tmp_path: Path) -> None:
    view = reported(tmp_path, "users and items swapped").streams[0]
    columns = {column.name: column for column in view.columns}
    for column in columns.values():
        assert len(column.labels) == len(column.reference) == len(column.now)
        assert all(np.isclose(sum(part), 1.0) for part in (column.reference, column.now) if part)
    user = columns["view.user"]
    assert user.now[user.labels.index("never seen before")] > 0.1  # one window of the last seven: the next day these users are known
    assert {"bread", "cheese", "wine"} <= set(columns["view.kind"].labels)


def test_evidence_over_time_is_a_strip_per_stream_in_units_of_what_rings(tmp_path: Path) -> None:
    stream = reported(tmp_path, "users and items swapped").streams[0]
    evidence = [max(strip.log_e.values()) for strip in stream.strip]
    assert next(strip.window for strip in stream.strip) == "2023-12-15"
    assert max(evidence[: BROKEN - 30]) < stream.threshold < max(evidence)


def test_the_terminal_shows_alarms_first_then_numbers_then_the_promise(tmp_path: Path) -> None:
    shown = lines(reported(tmp_path, "users and items swapped"), 3)
    assert shown[0].startswith("P1 Since 2023-12-")
    assert shown[-2].startswith("column")
    assert "1.00% ever to raise an alarm" in shown[-1]


def test_before_the_first_week_it_says_that_nothing_is_watched(tmp_path: Path) -> None:
    watchman = Village(tmp_path, EVENTS).watchman()
    watchman.step(day(3))
    report = watchman.report()
    assert (report.at, report.streams) == ("", [])
    assert "before 7 windows are over" in report.caveat
