"""An alarm's sentence: what, how big, since when, and how loud."""

import pytest

from vernal.monitoring.alarms import Action, Alarm, Harm, Severity, Span, severity_of, size_of
from vernal.monitoring.coordinates import Statistic
from vernal.monitoring.schema import Stream


def alarm(statistic: Statistic, before: float, shift: tuple[float, float, float], **given) -> Alarm:
    asked = {"column": "price", "stream": Stream.FEATURE, "severity": Severity.P3, "since": Span(7, 7, 7), "harm": Harm.UNKNOWN, **given}
    return Alarm(window=9, statistic=statistic, size=size_of(statistic, before, shift), log_e=20.0, **asked)


@pytest.mark.parametrize("statistic", list(Statistic))
def test_every_statistic_can_be_said_with_its_size_and_interval(statistic: Statistic) -> None:
    sentence = alarm(statistic, 0.6, (0.2, 0.1, 0.3)).sentence()
    assert sentence.startswith("Since window 7 ")
    assert sentence.count("..") == 1
    assert "{" not in sentence


def test_a_share_is_said_before_and_after() -> None:
    sentence = alarm(Statistic.MISSING, 0.2838, (0.2118, 0.19, 0.23), stream=Stream.QUALITY, severity=Severity.P1).sentence()
    assert "the share of missing `price` rose from 2.0 % to 6.0 %" in sentence
    assert sentence.endswith("not yet known whether it is harmful; training and promotion are held until this is over or acknowledged.")


def test_an_uncertain_start_is_said_as_a_span_in_the_callers_words() -> None:
    said = alarm(Statistic.LOCATION, 0.0, (-0.3, -0.4, -0.2), since=Span(7, 5, 8)).sentence("day {}".format)
    assert said.startswith("Since day 7 (between day 5 and day 8) `price` moved by -0.30 (-0.40..-0.20) sd")


@pytest.mark.parametrize(
    ("stream", "importance", "severity"),
    [
        (Stream.QUALITY, 0.0, Severity.P1),
        (Stream.OUTCOME, 0.0, Severity.P1),
        (Stream.PREDICTION, 0.0, Severity.P2),
        (Stream.FEATURE, 0.2, Severity.P2),
        (Stream.FEATURE, 0.01, Severity.P3),
        (Stream.EMBEDDING, 1.0, Severity.P3),
    ],
)
def test_only_quality_and_outcomes_page(stream: Stream, importance: float, severity: Severity) -> None:
    assert severity_of(stream, importance) == severity
    made = alarm(Statistic.LOCATION, 0.0, (1.0, 0.9, 1.1), stream=stream, severity=severity)
    assert made.pages == (stream in (Stream.QUALITY, Stream.OUTCOME))
    assert made.blocks_training == (stream == Stream.QUALITY)


def test_broken_data_holds_training_and_a_changed_outcome_advances_it() -> None:
    acts = [alarm(Statistic.RATE, 0.6, (0.2, 0.1, 0.3), stream=s).action for s in (Stream.QUALITY, Stream.OUTCOME, Stream.FEATURE)]
    assert acts == [Action.HOLD, Action.ADVANCE, Action.DIGEST]
