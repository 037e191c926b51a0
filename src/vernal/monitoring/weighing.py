"""How grave an alarm about a shop's data is: a fault holds training, a season goes to the digest.

Evidence says that something is not as usual, and a year of groceries has seasons enough that are not. What breaks data moves it far; what moves it less is
real, is told, and changes nothing.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from vernal.monitoring.alarms import Alarm, Severity, severity_of, size_of
from vernal.monitoring.causes import Change
from vernal.monitoring.coordinates import SHARES, Statistic
from vernal.monitoring.evidence import NORMAL_Z, start_weight
from vernal.monitoring.schema import Stream
from vernal.monitoring.served import OWN, SERVED
from vernal.monitoring.summaries import Summary
from vernal.monitoring.usual import Floats
from vernal.monitoring.watch import LARGE, Watch

FAULT: Final = 0.2  # shift of a share, on the arcsine scale, from which it is a fault rather than a season: 2 % -> 6 %
CAPPED: Final = 1.5  # times the size that evidence says


def silence(watch: Watch, number: int, n_silent: int, changes: Sequence[Change]) -> list[Alarm]:
    """An alarm when so many windows in a row without one row are less likely than the promise allows, by the counts of the reference: evidence is capped
    by the tails of a wobble, and a zero is not a wobble. Overdispersed counts are negative binomial; weekdays count as dispersion, which errs on the late side.
    """
    j = watch.reference.at(Statistic.VOLUME)
    counts = np.exp(watch.reference.readouts.value[:, j]) - 0.5
    mean, variance, steps = float(np.nanmean(counts)), float(np.nanvar(counts)), int(watch.bank.steps[j])
    if not n_silent or watch.alarmed[j] or not steps or np.nanmin(counts) < 0.5:
        return []
    size = mean**2 / max(variance - mean, 1e-9 * mean)
    if n_silent * size * math.log(size / (size + mean)) > math.log(watch.bound * start_weight(steps)):
        return []
    watch.alarmed[j] = True
    made = watch.alarm(number, [j], changes)
    watch.alarms.append(made)
    return [made]


def named(alarm: Alarm, stream: str) -> Alarm:
    """An alarm about all rows, with the stream's name."""
    return alarm if alarm.column else msgspec.structs.replace(alarm, column=f"{stream} slates" if stream == SERVED else f"{stream} events")


def sized(alarm: Alarm, watch: Watch, summary: Summary, usual: Floats) -> Alarm:
    """An alarm whose window moved much more than evidence, which is capped, can say, with the window's own distance from (n,) its weekday's usual."""
    j = watch.reference.at(alarm.statistic, alarm.column)
    value, variance = (float(part[0]) for part in watch.reference.yardstick.read(summary, [watch.reference.coordinates[j]]))
    shift, half = value - float(usual[j]), NORMAL_Z * math.sqrt(variance + float(watch.reference.usual.wobble[j]))
    if not abs(shift) > CAPPED * abs(alarm.size.shift):
        return alarm
    return msgspec.structs.replace(alarm, size=size_of(alarm.statistic, float(usual[j]), (shift, shift - half, shift + half)))


def weighed(alarm: Alarm, importance: float = 0.0) -> Alarm:
    """An alarm about data holds training when it is as large as a fault, and is told in the digest when it is not; others are as they are.

    A served feature far out of its range has drifted: it is made of a log whose own streams are watched, and broken is one that is missing or not finite.

    Parameters
    ----------
    importance : of the alarm's column for the ranker
    """
    if alarm.stream != Stream.QUALITY:
        return alarm
    if alarm.statistic == Statistic.OUT_OF_RANGE and is_feature(alarm.column):
        return msgspec.structs.replace(alarm, stream=Stream.FEATURE, severity=severity_of(Stream.FEATURE, importance))
    fault = FAULT if alarm.statistic in SHARES else LARGE
    if abs(alarm.size.shift) >= fault:
        return msgspec.structs.replace(alarm, severity=Severity.P1)
    return msgspec.structs.replace(alarm, stream=Stream.FEATURE, severity=Severity.P3)


def is_feature(column: str) -> bool:
    stream, _, name = column.partition(".")
    return stream == SERVED and name not in OWN
