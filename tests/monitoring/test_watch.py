"""The watch: silent while all is as usual, plain when it is not, and never fooled by a baseline that moves."""

import numpy as np
import pytest
from stall import BINS, HEALTHY, SCHEMA, Trouble, reference, rows, summary

from vernal.clock import ManualClock
from vernal.errors import MonitoringError
from vernal.monitoring.alarms import Harm, Severity
from vernal.monitoring.causes import Change
from vernal.monitoring.reference import Reference, Window
from vernal.monitoring.summaries import Summary
from vernal.monitoring.watch import Incident, Verdict, Watch
from vernal.release import Lineage, ReleaseStore

REFERENCE = reference(35)
SEGMENTS = {"device=android": summary(901), "device=web": summary(902)}


def after(trouble: Trouble, healthy: int = 4, broken: int = 3, **asked) -> tuple[Watch, list[Verdict]]:
    watch = Watch(REFERENCE)
    verdicts = [watch.judge(Window(35 + t, summary(5_000 + t))) for t in range(healthy)]
    start = 35 + healthy
    verdicts += [watch.judge(Window(start + t, summary(6_000 + t, 2_000, trouble)), **asked) for t in range(broken)]
    return watch, verdicts


def test_a_healthy_world_raises_nothing() -> None:
    watch, verdicts = after(HEALTHY, 60, 0)
    assert watch.alarms == []
    assert max(v.evidence.log_total for v in verdicts) < 0


def test_the_reference_against_itself_raises_no_alarm() -> None:
    watch = Watch(REFERENCE)
    for t in range(35):
        assert watch.judge(Window(35 + t, summary(100 + t))).alarms == ()


@pytest.mark.parametrize(
    ("trouble", "column", "statistic", "severity", "blocks"),
    [
        (Trouble(missing=0.08), "price", "missing", Severity.P1, True),
        (Trouble(new=0.03), "country", "unseen", Severity.P1, True),
        (Trouble(scale=1e4), "price", "out_of_range", Severity.P1, True),
        (Trouble(base=1.0), "", "bias", Severity.P1, False),
        (Trouble(worth=-1.0), "price", "residual", Severity.P1, False),
        (Trouble(price=0.5), "price", "location", Severity.P2, False),
    ],
)
def test_what_broke_is_named_and_weighed(trouble: Trouble, column: str, statistic: str, severity: Severity, blocks: bool) -> None:
    watch, _ = after(trouble)
    said = {(a.column, s): a for a in watch.alarms for s in (str(a.statistic), *a.also)}
    alarm = said[column, statistic]
    assert (alarm.severity, alarm.blocks_training) == (severity, blocks)
    assert alarm.pages == (severity == Severity.P1)
    assert alarm.since.first == 39


def test_drift_of_an_unimportant_feature_never_pages() -> None:
    watch = Watch(REFERENCE)
    whole = summary(1, 2_000)
    counts = whole.counts[1]
    counts[:] = np.roll(counts, 3)
    alarms = [a for t in range(2) for a in watch.judge(Window(35 + t, whole)).alarms if a.column == "weight" and not a.blocks_training]
    assert [a.severity for a in alarms if str(a.stream) == "feature"] == [Severity.P3] * len(alarms)
    assert alarms


def test_a_sentence_has_what_how_big_since_when_where_what_then_harm_and_action() -> None:
    broken = {"device=android": summary(6_000, 1_000, Trouble(missing=0.2)), "device=web": summary(7_000, 1_000)}
    watch = Watch(reference(35, **SEGMENTS))
    watch.judge(Window(35, summary(5_001)))
    whole = broken["device=android"] + broken["device=web"]
    alarms = watch.judge(Window(36, whole), broken, [Change(36, "app 9.2 was deployed"), Change(20, "long ago")]).alarms
    assert alarms[0].sentence().startswith("Since window 36")
    for part in ("the share of missing `price` rose from 2.", "carried by device=android", "app 9.2 was deployed", "training and promotion are held"):
        assert part in alarms[0].sentence()
    assert "long ago" not in alarms[0].sentence()
    assert alarms[0].size.before < alarms[0].size.after_low < alarms[0].size.after < alarms[0].size.after_high


def test_harm_is_said_only_when_outcomes_say_it() -> None:
    assert after(Trouble(worth=-1.0))[0].alarms[0].harm == Harm.HARMFUL
    watch = Watch(REFERENCE)
    rows_only = [watch.judge(Window(35 + t, summary(50 + t, 2_000, Trouble(missing=0.1), labelled=False))) for t in range(2)]
    assert rows_only[0].alarms[0].harm == Harm.UNKNOWN


def test_outcomes_may_come_later_than_rows() -> None:
    watch = Watch(REFERENCE)
    for t in range(3):
        watch.judge(Window(35 + t, summary(50 + t, labelled=False)))
    late = watch.judge(Window(35, summary(50, 2_000, Trouble(base=1.2))), outcomes_only=True)
    assert {str(a.statistic) for a in late.alarms} & {"bias", "rate", "excess_loss", "entropy"}
    with pytest.raises(MonitoringError, match="judged once"):
        watch.judge(Window(35, summary(50)), outcomes_only=True)


def test_a_window_without_rows_is_an_alarm_of_volume() -> None:
    watch = Watch(REFERENCE)
    watch.judge(Window(35, summary(1)))
    alarms = [a for t in (36, 37) for a in watch.judge(Window(t, summary(1, 0))).alarms]
    assert [(str(a.statistic), a.blocks_training) for a in alarms] == [("volume", True)]
    assert "the number of rows per window fell from 2" in alarms[0].sentence()


def test_windows_too_small_to_judge_are_judged_for_volume_only() -> None:
    windows = [Window(t, summary(t, 40)) for t in range(28)]
    watch = Watch(Reference.of(SCHEMA, BINS, windows))
    verdict = watch.judge(Window(28, summary(99, 40, Trouble(missing=1.0))))
    assert verdict.alarms == ()
    assert watch.bank.steps.sum() == 1


def test_a_column_that_turns_constant_is_an_alarm() -> None:
    numeric, categorical, outcomes = rows(3, 2_000)
    numeric[:, 1] = 0.3
    alarms = Watch(REFERENCE).judge(Window(35, Summary.of(BINS, numeric, categorical, outcomes, SCHEMA.score_at))).alarms
    assert "weight" in {a.column for a in alarms}


def test_an_alarm_is_raised_once() -> None:
    watch, _ = after(Trouble(missing=0.08), broken=8)
    assert len([a for a in watch.alarms if a.column == "price" and a.blocks_training]) == 1


def test_a_known_day_is_not_as_usual_and_no_alarm_unless_data_broke() -> None:
    watch = Watch(REFERENCE)
    assert watch.judge(Window(35, summary(1, 2_000, Trouble(price=1.0, base=0.5)), known_day=True)).alarms == ()
    assert watch.judge(Window(36, summary(2))).alarms == ()
    assert watch.judge(Window(37, summary(3, 2_000, Trouble(missing=0.2)), known_day=True)).blocks_training


def test_a_baseline_that_overlaps_what_is_judged_is_refused() -> None:
    with pytest.raises(MonitoringError, match="ends before"):
        Watch(REFERENCE).judge(Window(34, summary(1)))


def test_a_new_baseline_needs_an_acknowledged_incident_and_spends_the_promise() -> None:
    quiet, _ = after(HEALTHY)
    with pytest.raises(MonitoringError, match="acknowledge an incident"):
        quiet.restarted(REFERENCE)
    with pytest.raises(MonitoringError, match="nothing alarmed"):
        quiet.restarted(REFERENCE, Incident("ada"))
    alarmed, _ = after(Trouble(missing=0.08))
    again = alarmed.restarted(REFERENCE, Incident("ada", "the app was mended"))
    assert again.alarms == []
    assert alarmed.bound + again.bound < alarmed.promise


def test_a_window_is_judged_once_and_in_order() -> None:
    watch, _ = after(HEALTHY)
    with pytest.raises(MonitoringError, match="a window after"):
        watch.judge(Window(36, summary(1)))


def test_silence_says_what_it_would_have_seen() -> None:
    watch, _ = after(HEALTHY, 10, 0)
    quiet = watch.quiet()
    assert (quiet.windows, quiet.rows) == (10, 20_000)
    assert all(0.02 < shift < 0.5 for shift in quiet.smallest.values())
    assert "smallest lasting shift that would have been seen: 0." in quiet.sentence()


def test_a_short_reference_says_so_and_judges_only_quality_and_large_effects() -> None:
    watch = Watch(reference(10))
    assert "only schema, data quality and shifts of 0.5 or more" in watch.caveat()
    assert Watch(REFERENCE).caveat() == ""
    small = [watch.judge(Window(10 + t, summary(30 + t, 2_000, Trouble(price=0.3)))).alarms for t in range(4)]
    assert not any(small)
    assert watch.judge(Window(14, summary(40, 2_000, Trouble(missing=0.5)))).blocks_training


def test_a_short_reference_still_sees_a_large_effect() -> None:
    watch = Watch(reference(10))
    alarms = [a for t in range(4) for a in watch.judge(Window(10 + t, summary(30 + t, 2_000, Trouble(price=1.5)))).alarms]
    assert "price" in {a.column for a in alarms}


def test_a_watch_goes_on_after_a_restart_as_if_there_had_been_none(tmp_path) -> None:
    watch, _ = after(Trouble(missing=0.08), 4, 2)
    store = ReleaseStore(tmp_path, ManualClock())
    draft = store.draft()
    watch.put(draft)
    kept = store.open(store.commit(draft, Lineage(log_from=1, log_to=2, as_of=0, config="", plan="", code="", seed=0), {}).name)
    opened = Watch.opened(REFERENCE, kept)
    assert opened.alarms == watch.alarms
    for t in range(41, 45):
        first, second = (w.judge(Window(t, summary(t))) for w in (watch, opened))
        assert (first.evidence.log_e == second.evidence.log_e).all()
        assert first.named == second.named
