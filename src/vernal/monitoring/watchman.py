"""The watchman: judges a shop's log window by window, and says what is held, what is advanced, and how much its silence says.

In: the log, and a folder of its own. Out: alarms. Every stream has a watch with a reference made once from the windows before it; a window is judged when
it is over. What was judged is in one file, replaced whole after every window, so that a watchman killed between any two steps goes on as if it had not been.

An alarm about data holds training when it is as large as a fault; a smaller one is real and goes to the digest: shops have seasons.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from vernal.config import duration_s
from vernal.events.archive import appear
from vernal.events.history import History
from vernal.events.reading import type_codes
from vernal.monitoring.alarms import Action, Alarm, Severity, size_of
from vernal.monitoring.causes import Change
from vernal.monitoring.coordinates import QUALITY, Statistic
from vernal.monitoring.evidence import NORMAL_Z, Evidence
from vernal.monitoring.keeping import Kept
from vernal.monitoring.ports import WatchedSpace
from vernal.monitoring.reference import ENOUGH, RARE, Reference, Window
from vernal.monitoring.schema import Stream
from vernal.monitoring.streams import Arrivals, Events, Items, Rows
from vernal.monitoring.summaries import Summary
from vernal.monitoring.usual import WEEK, Floats
from vernal.monitoring.watch import LARGE, Incident, Watch
from vernal.terms import DAY_S, OTHER, US_PER_S

LEAST_WINDOWS: Final = WEEK  # a shorter past says nothing of what is usual
FAULT: Final = 0.2  # shift of a share, on the arcsine scale, from which it is a fault rather than a season: 2 % -> 6 %
CAPPED: Final = 1.5  # times the size that evidence says
EVENTS_SHARE: Final = 0.4  # of the promise; the rest is that of slates and outcomes
STRIP: Final = 400  # windows whose evidence is kept
DAY_US: Final = DAY_S * US_PER_S
STATE: Final = "watchman.msgpack"


class Raised(msgspec.Struct):
    """An alarm, and what became of it."""

    stream: str
    alarm: Alarm
    acknowledged_at: int = 0  # UTC us
    acknowledged_by: str = ""
    note: str = ""

    @property
    def stands(self) -> bool:
        return not self.acknowledged_at


class Strip(msgspec.Struct, frozen=True):
    """Evidence of one window: log odds per kind of column, as the promise weighs them."""

    window: int
    rows: int
    log_e: dict[str, float]


class Kin(msgspec.Struct):
    """One stream as it is kept."""

    share: float  # of the promise
    reference: str = ""  # file
    labels: dict[str, list[str]] = {}  # names of the commonest categories, per column
    watch: bytes = b""
    strips: list[Strip] = []
    recent: list[bytes] = []  # summaries of the newest windows, for the histogram of now


class State(msgspec.Struct):
    """All that is kept."""

    next: int = -1  # window to be judged next
    streams: dict[str, Kin] = {}
    alarms: list[Raised] = []
    firsts: bytes = b""  # of the newest window's events: offsets of the first event of their item
    files: int = 0  # references written so far


class Judged(msgspec.Struct, frozen=True):
    """What one window of one stream brought."""

    window: int
    begin: int  # UTC us
    stream: str
    rows: int
    alarms: tuple[Alarm, ...]


class Watchman:
    """Watches one shop.

    Parameters
    ----------
    folder : kept by the watchman alone; made when it is not there
    """

    def __init__(self, space: WatchedSpace, folder: Path) -> None:
        self.space, self.folder, self.settings = space, folder, space.settings.monitoring
        self.length = duration_s(self.settings.window, "monitoring.window") * US_PER_S
        self.most = max(LEAST_WINDOWS, duration_s(self.settings.reference, "monitoring.reference") * US_PER_S // self.length)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / STATE
        self.state = msgspec.msgpack.decode(file.read_bytes(), type=State) if file.exists() else State()
        self.watches = {name: self.opened(kin) for name, kin in self.state.streams.items()}
        self.past: deque[tuple[int, dict[str, Rows]]] = deque(maxlen=self.most)
        self.reader: Reader | None = None

    def opened(self, kin: Kin) -> Watch:
        reference = Reference.opened(Kept.from_bytes((self.folder / kin.reference).read_bytes()))
        return Watch.opened(reference, Kept.from_bytes(kin.watch))

    def window_of(self, at: int) -> int:
        """The number of the window that holds a moment (UTC us)."""
        return at // self.length

    def step(self, now: int) -> list[Judged]:
        """Judges every window that was over before `now` (UTC us) and was not judged before.

        Cost: 3 us per event and 2 ms per window and stream; the first step of a process reads the log up to where it stands.
        """
        end, judged = self.window_of(now), list[Judged]()
        if self.state.next < 0 and not self.begun(end):
            return []
        while self.state.next < end:
            self.stand()
            judged += self.judge()
        return judged

    def begun(self, end: int) -> bool:
        """Makes the first references, if the log has enough windows before `end`."""
        self.reader = Reader(self.space, self.length)
        whole = self.reader.until(end)
        if len(whole):
            newest = self.window_of(int(whole.received_at[-1]))
            last = end if newest >= end - self.most else newest  # a log that ended long ago is a data set: nobody waits for its next event
            first = max(last - self.most, self.window_of(int(whole.received_at[0])) + 1)  # the first window is seldom whole
            self.past = deque(self.reader.windows(whole, first, last), self.most)
            self.refer()
        if self.watches:
            self.state.next = end
            self.save()
        return bool(self.watches)

    def stand(self) -> None:
        """Brings the reader before the next window, after a restart."""
        if self.reader is None:
            self.reader = Reader(self.space, self.length)
            whole = self.reader.until(self.state.next)
            first = max(self.state.next - self.most, self.window_of(int(whole.received_at[0])) + 1)
            wanting = self.wanting()
            for number, rows in self.reader.windows(whole, first, self.state.next):
                self.past.append((number, {name: rows[name] for name in wanting}))

    def wanting(self) -> list[str]:
        """Streams without a reference, or with a short one that no alarm stands against."""
        stand = {raised.stream for raised in self.state.alarms if raised.stands}
        return [name for name in type_names(self.space) if name not in self.watches or (self.watches[name].reference.is_short and name not in stand)]

    def refer(self) -> None:
        """Gives a reference to every stream that wants one and has had enough windows by now."""
        for name in self.wanting():
            rows = [(number, found[name]) for number, found in self.past if name in found]
            first = next((k for k, (_, found) in enumerate(rows) if found.n), len(rows))
            if len(rows) - first >= (ENOUGH if name in self.watches else LEAST_WINDOWS):
                self.watch_from(name, rows[first:])

    def watch_from(self, name: str, rows: Sequence[tuple[int, Rows]]) -> None:
        """A watch on what these windows say is usual; a short reference made no promise, so a long one replaces it freely."""
        before = self.watches.get(name)
        self.state.streams[name] = Kin(share=EVENTS_SHARE / len(type_names(self.space)))
        reference = self.reference_of(name, rows)
        self.watches[name] = Watch(reference, self.settings.promise * self.state.streams[name].share, before.restarts if before else 0)

    def reference_of(self, name: str, rows: Sequence[tuple[int, Rows]]) -> Reference:
        """The reference of these windows, kept in a file of its own before anything names it."""
        assert self.reader is not None
        events, known = self.reader.events, self.known_days()
        bins = events.bins([found for _, found in rows])
        reference = Reference.of(events.schema(name), bins, [Window(number, found.summary(bins), number in known) for number, found in rows])
        kept = Kept()
        reference.put(kept)
        self.state.files += 1
        file = f"reference-{self.state.files:04d}-{name}.msgpack"
        appear(self.folder / file, kept.to_bytes())
        kin = self.state.streams[name]
        kin.reference, kin.labels, kin.recent = file, events.labels(name, self.reader.arrivals.values(), bins), []
        return reference

    def judge(self) -> list[Judged]:
        """Judges the next window."""
        assert self.reader is not None
        number, known, judged = self.state.next, self.known_days(), list[Judged]()
        [(_, rows)] = self.reader.windows(self.reader.until(number + 1), number, number + 1)
        changes = [change for change in self.changes() if change.window <= number]
        for name, watch in self.watches.items():
            summary = rows[name].summary(watch.reference.bins)
            usual = watch.bank.mean[:, watch.reference.weekday(number)].copy()
            verdict = watch.judge(Window(number, summary, number in known), changes=changes)
            raised = [*verdict.alarms, *silence(watch, number, summary, changes)]
            alarms = [weighed(named(sized(alarm, watch, summary, usual), name)) for alarm in raised]
            self.state.alarms += [Raised(name, alarm) for alarm in alarms]
            grown = list(self.grown(name, watch, number, changes))
            self.state.alarms += [Raised(name, alarm) for alarm in grown]
            self.note(name, number, summary, watch, verdict.evidence)
            judged.append(Judged(number, number * self.length, name, rows[name].n, (*alarms, *grown)))
        wanting = self.wanting()
        self.past.append((number, {name: rows[name] for name in wanting}))
        self.state.next = number + 1
        self.state.firsts = self.reader.firsts.tobytes()
        self.refer()
        self.save()
        return judged

    def grown(self, name: str, watch: Watch, number: int, changes: Sequence[Change]) -> Iterator[Alarm]:
        """What was told in the digest once and has come to be as large as a fault."""
        held = {(raised.alarm.column, raised.alarm.statistic) for raised in self.state.alarms if raised.stream == name and raised.alarm.blocks_training}
        for j in np.flatnonzero(watch.alarmed).tolist():
            alarm = weighed(named(watch.alarm(number, [j], changes), name))
            if alarm.blocks_training and (alarm.column, alarm.statistic) not in held:
                yield alarm

    def note(self, name: str, number: int, summary: Summary, watch: Watch, evidence: Evidence) -> None:
        """Keeps the strip and the newest summaries."""
        kin = self.state.streams[name]
        streams = np.array([c.stream for c in watch.reference.coordinates])
        weighted = evidence.log_e + np.log(evidence.weight)
        log_e = {str(stream): float(np.logaddexp.reduce(weighted[streams == stream])) for stream in Stream if (streams == stream).any()}
        kin.strips = [*kin.strips, Strip(number, summary.rows, log_e)][-STRIP:]
        kin.recent = [*kin.recent, summary.to_bytes()][-WEEK:]

    def save(self) -> None:
        for name, watch in self.watches.items():
            kept = Kept()
            watch.put(kept)
            self.state.streams[name].watch = kept.to_bytes()
        appear(self.folder / STATE, msgspec.msgpack.encode(self.state))

    def known_days(self) -> set[int]:
        """Windows that hold an instant of a day that is known not to be as usual."""
        days = [int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * US_PER_S for day in self.settings.known_days]
        return {number for day in days for number in range(day // self.length, (day + DAY_US - 1) // self.length + 1)}

    def changes(self) -> list[Change]:
        """Promotions on the clock of the windows."""
        return [Change(self.window_of(p.at), f"{p.release} was put in charge ({p.reason})") for p in self.space.releases.promotions()]

    def named(self, number: int) -> str:
        """A window as people name it: its date, with the hour where windows are shorter than days."""
        return datetime.fromtimestamp(number * self.length // US_PER_S, UTC).strftime("%Y-%m-%d" if self.length % DAY_US == 0 else "%Y-%m-%d %H:%MZ")

    @property
    def standing_alarms(self) -> list[Raised]:
        return [raised for raised in self.state.alarms if raised.stands]

    @property
    def holds(self) -> tuple[Alarm, ...]:
        """Alarms that block training and promotion until they are acknowledged."""
        return tuple(raised.alarm for raised in self.standing_alarms if raised.alarm.blocks_training)

    @property
    def advances(self) -> tuple[Alarm, ...]:
        """Alarms of outcomes: the world changed, and training is brought forward."""
        return tuple(raised.alarm for raised in self.standing_alarms if raised.alarm.action == Action.ADVANCE)

    def unknown_share(self, now: int) -> float:
        """Share of the last window's events on items whose first event the release in charge did not see; 0 before there is one."""
        self.step(now)
        champion, firsts = self.space.releases.champion(), np.frombuffer(self.state.firsts, np.int64)
        if champion is None or not len(firsts):
            return 0.0
        return float((firsts > self.space.releases.manifest(champion).lineage.log_to).mean())

    def acknowledge(self, by: str, note: str = "", *, usual: bool = False) -> int:
        """A person saw what stands and dealt with it; returns how many alarms that were.

        Every stream that alarmed starts anew, with a share of what is left of the promise, on windows in which all was as usual.

        Parameters
        ----------
        usual : what changed is how it is meant to be from now on, so the windows since then are the new usual; otherwise they are left out as faulty
        """
        stood = self.standing_alarms
        now = self.space.clock.now()
        for raised in stood:
            raised.acknowledged_at, raised.acknowledged_by, raised.note = now, by, note
        for name in {raised.stream for raised in stood}:
            alarms = [raised.alarm for raised in stood if raised.stream == name]
            self.restart(name, min(alarm.since.earliest for alarm in alarms), Incident(by, note), usual=usual)
        self.save()
        return len(stood)

    def restart(self, name: str, since: int, incident: Incident, *, usual: bool) -> None:
        """A new watch of one stream, on the windows before (or since) an incident."""
        reader, end = Reader(self.space, self.length), self.state.next
        last = end if usual else since
        first = since if usual else last - self.most
        whole = reader.until(end)
        begun = self.window_of(int(whole.received_at[0])) + 1
        rows = [(number, found[name]) for number, found in reader.windows(whole, max(first, begun), last)]
        before, self.reader = self.watches[name], reader
        reference = self.reference_of(name, rows[-self.most :]) if len(rows) >= LEAST_WINDOWS else before.reference
        self.watches[name] = before.restarted(reference, incident)


class Reader:
    """The log read forward with what is known of users and items by then."""

    def __init__(self, space: WatchedSpace, length: int) -> None:
        self.length = length
        self.events = Events(type_codes(space.settings), Items(space.settings.items.attributes))
        self.arrivals = Arrivals(space.log, space.settings, self.events.items)
        self.firsts = np.empty(0, np.int64)

    def until(self, end: int) -> History:
        """What is not out yet and came before the window `end`."""
        return self.arrivals.before(end * self.length)

    def windows(self, history: History, first: int, last: int) -> Iterator[tuple[int, dict[str, Rows]]]:
        """Rows of the windows first..last - 1; what comes before and after only counts as seen."""
        starts = [history.available_before(number * self.length) for number in range(first, last + 1)]
        self.events.meet(history.rows(slice(0, starts[0])))
        for number, begin, end in zip(range(first, last), starts[:-1], starts[1:], strict=True):
            window = history.rows(slice(begin, end))
            yield number, self.events.rows(window, number)
            self.firsts = self.events.items.first[window.item[window.item >= 0]]
        self.events.meet(history.rows(slice(starts[-1], None)))


def type_names(space: WatchedSpace) -> list[str]:
    return [*type_codes(space.settings), OTHER]


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
    return alarm if alarm.column else msgspec.structs.replace(alarm, column=f"{stream} events")


def sized(alarm: Alarm, watch: Watch, summary: Summary, usual: Floats) -> Alarm:
    """An alarm whose window moved much more than evidence, which is capped, can say, with the window's own distance from (n,) its weekday's usual."""
    j = watch.reference.at(alarm.statistic, alarm.column)
    value, variance = (float(part[0]) for part in watch.reference.yardstick.read(summary, [watch.reference.coordinates[j]]))
    shift, half = value - float(usual[j]), NORMAL_Z * math.sqrt(variance + float(watch.reference.usual.wobble[j]))
    if not abs(shift) > CAPPED * abs(alarm.size.shift):
        return alarm
    return msgspec.structs.replace(alarm, size=size_of(alarm.statistic, float(usual[j]), (shift, shift - half, shift + half)))


def weighed(alarm: Alarm) -> Alarm:
    """An alarm about data holds training when it is as large as a fault, and is told in the digest when it is not."""
    fault = FAULT if alarm.statistic in QUALITY - {Statistic.VOLUME} else LARGE
    if abs(alarm.size.shift) >= fault:
        return msgspec.structs.replace(alarm, stream=Stream.QUALITY, severity=Severity.P1)
    return msgspec.structs.replace(alarm, stream=Stream.FEATURE, severity=Severity.P3)
