"""How grave an alarm about a shop's data is: a fault holds training, a season goes to the digest.

Evidence says that something is not as usual, and a year of groceries has seasons enough that are not. What breaks data moves it far; what moves it less is
real, is told, and changes nothing.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from vernal.monitoring.alarms import Alarm, Severity, size_of
from vernal.monitoring.causes import Change
from vernal.monitoring.coordinates import QUALITY, Statistic
from vernal.monitoring.evidence import NORMAL_Z
from vernal.monitoring.reference import RARE
from vernal.monitoring.schema import Stream
from vernal.monitoring.served import SERVED
from vernal.monitoring.summaries import Summary
from vernal.monitoring.usual import Floats
from vernal.monitoring.watch import LARGE, Watch

FAULT: Final = 0.2  # shift of a share, on the arcsine scale, from which it is a fault rather than a season: 2 % -> 6 %
CAPPED: Final = 1.5  # times the size that evidence says


def silence(watch: Watch, number: int, summary: Summary, changes: Sequence[Change]) -> list[Alarm]:
    """An alarm at once when not one row came, and that never happened before; evidence would need a second window to be sure."""
    j = watch.reference.at(Statistic.VOLUME)
    least = float(np.nanmin(watch.reference.readouts.value[:, j]))
    if summary.rows or watch.alarmed[j] or not watch.bank.steps[j] or least < math.log(RARE):
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


def weighed(alarm: Alarm) -> Alarm:
    """An alarm about data holds training when it is as large as a fault, and is told in the digest when it is not; others are as they are."""
    if alarm.stream != Stream.QUALITY:
        return alarm
    fault = FAULT if alarm.statistic in QUALITY - {Statistic.VOLUME} else LARGE
    if abs(alarm.size.shift) >= fault:
        return msgspec.structs.replace(alarm, severity=Severity.P1)
    return msgspec.structs.replace(alarm, stream=Stream.FEATURE, severity=Severity.P3)
