"""The watch: a reference, one promise, and a verdict after every window.

The promise covers all coordinates and all time until an incident is acknowledged: only then may a new reference start new evidence, with four fifths of what
was left of the promise, so that the sum over all restarts stays within it. A reference that is changed in any other way is refused: evidence against a
moving baseline means nothing (measured: 18 of 24 healthy worlds alarmed).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.errors import MonitoringError
from vernal.monitoring.alarms import Alarm, Harm, Span, severity_of, size_of
from vernal.monitoring.causes import Change, carrier, changes_within
from vernal.monitoring.coordinates import QUALITY, Statistic
from vernal.monitoring.evidence import RECENT, STATE, Bank, Evidence
from vernal.monitoring.reference import Drafted, Opened, Reference, Window
from vernal.monitoring.schema import Stream
from vernal.monitoring.summaries import N, Summary
from vernal.monitoring.usual import WEEK, Floats, Ints

NAME: Final = "watch"
PROMISE: Final = 0.01  # chance that a healthy world ever raises an alarm
NOMINAL: Final = 0.1  # of the promise is what evidence is held against: lag and wobble are estimated, so the e-processes are not exact
FIRST_SHARE: Final = 0.8  # of what is left of the promise, for one run
KEPT: Final = 128  # more than the windows a bet is held
LARGE: Final = 0.5  # with a short reference, the least shift that is spoken of, in units of the coordinate
UNITS_OF_SD: Final = (Statistic.LOCATION, Statistic.TILT)


class Quiet(NamedTuple):
    """Nothing to report, and how much that says."""

    since: int  # last window of the reference
    windows: int
    rows: int
    smallest: Mapping[Stream, float]  # median over the stream's locations: the least shift, in sd, that would have been seen after a week, with power 80 %

    def sentence(self) -> str:
        seen = ", ".join(f"{shift:.2f} sd ({stream})" for stream, shift in self.smallest.items()) or "not known before a week has passed"
        told = f"No change beyond usual since window {self.since}: {self.windows} windows, {self.rows:,} rows"
        return f"{told}; smallest lasting shift that would have been seen: {seen}."


class Verdict(NamedTuple):
    """What one window brought."""

    alarms: tuple[Alarm, ...]  # new ones, by severity, then strongest evidence first
    evidence: Evidence
    named: tuple[str, ...]  # what e-BH lists now: columns, strongest first, then statistics of all rows

    @property
    def blocks_training(self) -> bool:
        return any(alarm.blocks_training for alarm in self.alarms)


class Incident(NamedTuple):
    """A person's word that what the alarms said was seen and dealt with."""

    acknowledged_by: str
    note: str = ""


class Watch:
    """Judges windows one after another against a reference."""

    def __init__(self, reference: Reference, promise: float = PROMISE, restarts: int = 0) -> None:
        self.reference, self.promise, self.restarts = reference, promise, restarts
        self.bank: Bank = reference.bank()
        self.alarmed = np.zeros(len(reference.coordinates), np.bool_)
        self.when = np.zeros((len(reference.coordinates), KEPT), np.int64)  # window number of each coordinate's last counts, by count mod KEPT
        self.judged: list[list[int]] = [[], []]  # numbers of windows judged: rows, outcomes
        self.rows = 0
        self.alarms: list[Alarm] = []
        self.recent: deque[tuple[int, Mapping[str, Summary]]] = deque(maxlen=RECENT)
        self.is_outcome = np.array([c.stream == Stream.OUTCOME for c in reference.coordinates])
        self.is_quality = np.array([c.statistic in QUALITY - {Statistic.VOLUME} for c in reference.coordinates])

    @property
    def bound(self) -> float:
        """This run's share of the promise: four fifths, and after each restart four fifths of what is left."""
        return self.promise * NOMINAL * FIRST_SHARE * (1.0 - FIRST_SHARE) ** self.restarts

    def judge(self, window: Window, segments: Mapping[str, Summary] | None = None, changes: Sequence[Change] = (), *, outcomes_only: bool = False) -> Verdict:
        """The verdict on the next window.

        Parameters
        ----------
        segments : summaries that add up to the window's, to say who carries an effect
        changes : deploys and upstream events on the same clock
        outcomes_only : labels of a window whose rows were judged before

        Raises
        ------
        MonitoringError
            A window of the reference, or one that was judged before.
        """
        due = self.due(window, outcomes_only)
        value, variance = self.reference.yardstick.read(window.summary, self.reference.coordinates)
        if window.known_day:
            value = np.where(self.is_quality, value, np.nan)
        before = self.bank.steps.copy()
        evidence = self.bank.judge(value, variance, self.reference.weekday(window.number), due)
        counted = np.flatnonzero(self.bank.steps > before)
        self.when[counted, self.bank.steps[counted] % KEPT] = window.number
        self.rows += 0 if outcomes_only else window.summary.rows
        self.recent.append((window.number, segments or {}))
        alarms = sorted((self.alarm(window.number, group, changes) for group in self.raised(evidence)), key=lambda alarm: alarm.severity)
        self.alarms += alarms
        return Verdict(tuple(alarms), evidence, self.names(evidence.listed()))

    def due(self, window: Window, outcomes_only: bool) -> NDArray[np.bool_]:
        """Which coordinates this window is for; notes it as judged."""
        parts = [not outcomes_only, bool(window.summary.moments[N] > 0)]
        for part, numbers in zip(parts, self.judged, strict=True):
            last = numbers[-1] if numbers else self.reference.last
            if part and window.number <= last:
                raise MonitoringError.out_of_order(window.number, last) if numbers else MonitoringError.late_baseline(f"one up to window {last}")
        for part, numbers in zip(parts, self.judged, strict=True):
            if part:
                numbers.append(window.number)
        return np.where(self.is_outcome, parts[1], parts[0])

    @property
    def last_outcome(self) -> int:
        """The newest window whose outcomes need not be judged any more."""
        return self.judged[1][-1] if self.judged[1] else self.reference.last

    def forget(self, after: int) -> None:
        """Lets windows later than one be judged once more: a clock that ran ahead had judged them before they came. What they said stays evidence."""
        self.judged = [[number for number in numbers if number <= after] for numbers in self.judged]
        self.when = np.minimum(self.when, after)

    def raised(self, evidence: Evidence) -> list[list[int]]:
        """New alarms: the coordinates of each, strongest first."""
        crossed = evidence.alone(self.bound)
        if evidence.crosses(self.bound) and not self.alarmed.any() and not crossed.any():
            crossed[evidence.listed() if len(evidence.listed()) else [int(np.argmax(evidence.log_e + np.log(evidence.weight)))]] = True
        new: list[int] = np.flatnonzero(crossed & ~self.alarmed).tolist()
        if self.reference.is_short:
            new = [j for j in new if self.is_quality[j] or abs(self.bank.size(j)[0]) >= LARGE]
        self.alarmed[new] = True
        groups: dict[tuple[int, bool], list[int]] = {}
        for j in sorted(new, key=lambda j: -evidence.log_e[j]):
            column = self.reference.coordinates[j].column
            groups.setdefault((column if column >= 0 else -1 - j, bool(self.is_quality[j])), []).append(j)
        return list(groups.values())

    def alarm(self, number: int, group: list[int], changes: Sequence[Change]) -> Alarm:
        j, reference = group[0], self.reference
        c = reference.coordinates[j]
        since = self.span(j)
        segment, share = carrier(reference, j, [s for n, s in self.recent if n >= since.first])
        column = reference.schema.columns[c.column] if c.column >= 0 else None
        return Alarm(
            window=number, column=column.name if column else "", statistic=c.statistic, stream=c.stream,
            size=size_of(c.statistic, float(reference.means()[j]), self.bank.size(j)), since=since, log_e=float(self.bank.log_e[j]),
            severity=severity_of(c.stream, column.importance if column else 0.0), harm=self.harm(c.stream, since), segment=segment, segment_share=share,
            changes=changes_within(changes, since), also=tuple(str(reference.coordinates[k].statistic) for k in group[1:]),
        )  # fmt: skip

    def span(self, j: int) -> Span:
        """When a coordinate's shift began, in window numbers."""
        return Span(*(int(self.when[j, k % KEPT]) for k in self.bank.since(j)))

    def harm(self, stream: Stream, since: Span) -> Harm:
        """An outcome that changed with it, or after it, is harm."""
        changed = (self.span(int(j)).latest >= since.earliest - 1 for j in np.flatnonzero(self.alarmed & self.is_outcome))
        if stream == Stream.OUTCOME or any(changed):
            return Harm.HARMFUL
        return Harm.NONE_SEEN if self.judged[1] and self.judged[1][-1] >= since.first else Harm.UNKNOWN

    def names(self, listed: Ints) -> tuple[str, ...]:
        """Columns before statistics of all rows: a column can be a cause, a loss of calibration is a symptom."""
        found = [self.reference.coordinates[j] for j in listed]
        return tuple(dict.fromkeys(self.reference.name(c) for c in sorted(found, key=lambda c: c.column < 0)))

    def quiet(self) -> Quiet:
        """How much the silence says."""
        smallest: Floats = self.bank.smallest_seen(self.bound)
        by_stream: dict[Stream, float] = {}
        for stream in Stream:
            of = [smallest[j] for j, c in enumerate(self.reference.coordinates) if c.stream == stream and c.statistic in UNITS_OF_SD]
            if len(of) and np.isfinite(of).any():
                by_stream[stream] = float(np.nanmedian(of))
        return Quiet(self.reference.last, len(self.judged[0]), self.rows, by_stream)

    def caveat(self) -> str:
        """What a short reference cannot do; empty when it is long enough."""
        if not self.reference.is_short:
            return ""
        weeks = len(self.reference.numbers) / WEEK
        judged = f"only schema, data quality and shifts of {LARGE:g} or more are judged, without a promise"
        return f"The reference has {weeks:.1f} weeks of the 3 that are needed: {judged}."

    def restarted(self, reference: Reference, incident: Incident | None = None) -> "Watch":
        """A new watch on a new reference, after a person acknowledged what the old one said.

        Raises
        ------
        MonitoringError
            No incident was acknowledged, or nothing had alarmed.
        """
        if incident is None or not self.alarms:
            raise MonitoringError.late_baseline("a new one without an acknowledged incident" if incident is None else "a new one though nothing alarmed")
        return Watch(reference, self.promise, self.restarts + 1)

    def put(self, draft: Drafted) -> None:
        """Writes where the watch stands, so that it goes on after a restart as if there had been none."""
        about = {"promise": self.promise, "restarts": self.restarts, "judged": self.judged, "rows": self.rows}
        draft.put_json(NAME, about | {"alarms": msgspec.to_builtins(self.alarms)})
        draft.put_array(f"{NAME}_alarmed", self.alarmed)
        draft.put_array(f"{NAME}_when", self.when)
        for name in STATE:
            draft.put_array(f"{NAME}_{name}", getattr(self.bank, name))

    @classmethod
    def opened(cls, reference: Reference, kept: Opened) -> "Watch":
        """The watch that was put, on the reference it was put with; what segments did in the last windows is not kept."""
        about = kept.json(NAME)
        watch = cls(reference, about["promise"], about["restarts"])
        watch.judged, watch.rows = about["judged"], about["rows"]
        watch.alarms = msgspec.convert(about["alarms"], list[Alarm])
        watch.alarmed[:], watch.when[:] = kept.array(f"{NAME}_alarmed"), kept.array(f"{NAME}_when")
        for name in STATE:
            getattr(watch.bank, name)[:] = kept.array(f"{NAME}_{name}")
        return watch
