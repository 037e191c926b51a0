"""How grave an alarm about a shop's data is: a fault holds training, a season goes to the digest.

Evidence says that something is not as usual, and a year of groceries has seasons enough that are not. What breaks data moves it far; what moves it less is
real, is told, and changes nothing.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from vernal.monitoring.alarms import Alarm, Severity, Size, severity_of, size_of
from vernal.monitoring.causes import Change
from vernal.monitoring.coordinates import SHARES, Statistic
from vernal.monitoring.evidence import NORMAL_Z, start_weight
from vernal.monitoring.schema import Stream
from vernal.monitoring.served import OWN, SERVED
from vernal.monitoring.summaries import Summary
from vernal.monitoring.usual import Floats
from vernal.monitoring.watch import LARGE, Watch

FAULT: Final = 0.2  # shift of a share, on the arcsine scale, from which it is a fault rather than a season: 2 % -> 6 %
MENDED: Final = 0.5  # of a fault: a shift that is not for certain above it is none any more
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
    """An alarm with the window's own distance from (n,) its weekday's usual, where that is much more than evidence, which is capped, can say; and told by
    another statistic of its column where that one, for certain, is a fault and its own is not: a quarter of the clocks an hour late moves a mean little.
    """
    at = watch.reference.at(alarm.statistic, alarm.column)
    size = distance(at, watch, summary, usual)
    if abs(size.shift) > CAPPED * abs(alarm.size.shift):
        alarm = msgspec.structs.replace(alarm, size=size)
    if alarm.stream != Stream.QUALITY or not alarm.column or is_feature(alarm.column) or abs(alarm.size.shift) >= fault_of(alarm.statistic):
        return alarm
    others = [j for j, c in enumerate(watch.reference.coordinates) if c.column == watch.reference.coordinates[at].column and j != at]
    for j in others:
        statistic, size = watch.reference.coordinates[j].statistic, distance(j, watch, summary, usual)
        if size.low * size.high > 0 and min(abs(size.low), abs(size.high)) >= fault_of(statistic):
            also = (str(alarm.statistic), *(each for each in alarm.also if each != statistic))
            return msgspec.structs.replace(alarm, statistic=statistic, size=size, also=also)
    return alarm


def distance(j: int, watch: Watch, summary: Summary, usual: Floats) -> Size:
    """How far a coordinate is from (n,) its usual in this window, with its 95 % interval; NaN where there are too few rows."""
    coordinate = watch.reference.coordinates[j]
    value, variance = (float(part[0]) for part in watch.reference.yardstick.read(summary, [coordinate]))
    shift, half = value - float(usual[j]), NORMAL_Z * math.sqrt(variance + float(watch.reference.usual.wobble[j]))
    return size_of(coordinate.statistic, float(usual[j]), (shift, shift - half, shift + half))


def as_usual_again(alarm: Alarm, watch: Watch, summary: Summary, usual: Floats) -> bool:
    """Whether what an alarm was about is no fault in a window, and not for certain near one: chance alone moves a day's share by half a fault.

    Parameters
    ----------
    usual : (n,) of the reference alone, for the window's weekday: what the watch learnt since may be the fault
    """
    column = alarm.column if alarm.column in watch.reference.schema.names else ""
    places = [watch.reference.at(statistic, column) for statistic in (alarm.statistic, *map(Statistic, alarm.also))]
    sizes = [(watch.reference.coordinates[j].statistic, distance(j, watch, summary, usual)) for j in places]
    return all(subsided(size, fault_of(statistic)) for statistic, size in sizes)


def subsided(size: Size, fault: float) -> bool:
    """NaN, where there are too few rows, is not as usual."""
    return abs(size.shift) < fault and size.low < MENDED * fault and size.high > -MENDED * fault


def fault_of(statistic: Statistic) -> float:
    """The shift from which a statistic's move is a fault."""
    return FAULT if statistic in SHARES else LARGE


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
    if abs(alarm.size.shift) >= fault_of(alarm.statistic):
        return msgspec.structs.replace(alarm, severity=Severity.P1)
    return msgspec.structs.replace(alarm, stream=Stream.FEATURE, severity=Severity.P3)


def is_feature(column: str) -> bool:
    stream, _, name = column.partition(".")
    return stream == SERVED and name not in OWN
