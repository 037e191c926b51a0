"""The watchman: judges a shop's log window by window, and says what is held, what is advanced, and how much its silence says.

In: the log, and a folder of its own. Out: alarms. Every stream has a watch with a reference made once from the windows before it; a window is judged when
it is over. What was judged is in one file, replaced whole after every window, so that a watchman killed between any two steps goes on as if it had not been.

An alarm about data holds training when it is as large as a fault; a smaller one is real and goes to the digest: shops have seasons. The hold ends with a
person's word, or when the fault has been over for `monitoring.mended_after` windows.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from vernal.config import duration_s
from vernal.events.archive import appear
from vernal.events.history import History
from vernal.events.times import written
from vernal.monitoring.alarms import Action, Alarm
from vernal.monitoring.bins import Bins
from vernal.monitoring.causes import Change
from vernal.monitoring.drift import NEVER, StripDrift, alarm_drift, spent_of, stream_drift
from vernal.monitoring.drift import DriftReport as DriftReport
from vernal.monitoring.evidence import Evidence
from vernal.monitoring.keeping import Kept
from vernal.monitoring.ports import WatchedSpace
from vernal.monitoring.reference import ENOUGH, Reference, Window
from vernal.monitoring.schema import Schema, Stream
from vernal.monitoring.searches import SEARCHES
from vernal.monitoring.served import SERVED, Odds, Served, watched
from vernal.monitoring.summaries import N, Summary
from vernal.monitoring.usual import WEEK
from vernal.monitoring.watch import Incident, Watch
from vernal.monitoring.weighing import as_usual_again, named, silence, sized, weighed
from vernal.monitoring.windows import Reader, Seen, type_names
from vernal.terms import DAY_S, US_PER_S

LEAST_WINDOWS: Final = WEEK  # a shorter past says nothing of what is usual
EVENTS_SHARE: Final = 0.4  # of the promise
SEARCHES_SHARE: Final = 0.1  # the rest is that of slates and outcomes
STRIP: Final = 400  # windows whose evidence is kept
DAY_US: Final = DAY_S * US_PER_S
STATE: Final = "watchman.msgpack"
AHEAD: Final = "The clock had run ahead."
log = logging.getLogger("vernal.monitoring")


class Raised(msgspec.Struct):
    """An alarm, and what became of it."""

    stream: str
    alarm: Alarm
    acknowledged_at: int = 0  # UTC us
    acknowledged_by: str = ""
    note: str = ""
    well: int = 0  # windows in a row in which what it was about was as usual again

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

    reference: str = ""  # file
    labels: dict[str, list[str]] = {}  # names of the commonest categories, per column
    odds: Odds | None = None  # the frozen map of scores to outcomes
    named: bool = False  # outcomes are events that name a slate; where the reference has none, a user's own choice of the item
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
    restarts: dict[str, int] = {}  # of streams whose watch was given up when settings changed
    shape: str = ""  # of windows and columns


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
        self.mature = max(1, -(-duration_s(self.settings.mature_after, "monitoring.mature_after") * US_PER_S // self.length))  # windows
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / STATE
        self.state = msgspec.msgpack.decode(file.read_bytes(), type=State) if file.exists() else State()
        self.reshape()
        self.watches = {name: self.opened(kin) for name, kin in self.state.streams.items()}
        self.past: deque[Seen] = deque(maxlen=self.most)
        self.reader: Reader | None = None
        self.tried = -1  # window before which there was too little to begin with

    def reshape(self) -> None:
        """Begins anew where settings made other windows or columns; what was spent of the promise stays spent."""
        parts = self.length, self.settings.mature_after, type_names(self.space), self.space.settings.items.attributes, watched(self.space.plan)
        shape = hashlib.sha256(repr(parts).encode()).hexdigest()
        if self.state.shape != shape:
            spent = {name: self.opened(kin).restarts + 1 for name, kin in self.state.streams.items()}
            for raised in self.state.alarms:
                if raised.stands:
                    raised.acknowledged_at, raised.acknowledged_by = self.space.clock.now(), "a change of settings"
            self.state = State(alarms=self.state.alarms, files=self.state.files, restarts=self.state.restarts | spent, shape=shape)

    def opened(self, kin: Kin) -> Watch:
        reference = Reference.opened(Kept.from_bytes((self.folder / kin.reference).read_bytes()))
        return Watch.opened(reference, Kept.from_bytes(kin.watch))

    def window_of(self, at: int) -> int:
        """The number of the window that holds a moment (UTC us)."""
        return at // self.length

    def first_of(self, history: History) -> int:
        """The first whole window: a log seldom begins at midnight."""
        return self.window_of(int(history.received_at[0])) + 1 if len(history) else 0

    def new_reader(self) -> Reader:
        return Reader(self.space, self.length, duration_s(self.settings.mature_after) * US_PER_S)

    def step(self, now: int) -> list[Judged]:
        """Judges every window that was over before `now` (UTC us) and was not judged before.

        Cost: 3 us per event and 2 ms per window and stream; the first step of a process reads the log up to where it stands.
        """
        end, judged = self.window_of(now), list[Judged]()
        if self.state.next < 0 and (end == self.tried or not self.begun(end)):
            return []
        if self.state.next > end + 1:
            self.go_back(end)
        while self.state.next < end:
            judged += self.judge(self.standing())
        return judged

    def go_back(self, end: int) -> None:
        """Goes on after the window `end`, which is not over yet: a clock that ran ahead had judged it, and later ones, before they came.

        A reference that holds such windows is given up. So are alarms that they raised, but for streams in which something else stands.
        """
        log.warning("the clock had run ahead by %d windows: they are judged when they are over", self.state.next - end - 1)
        self.state.next, self.reader = end + 1, None
        for name, watch in list(self.watches.items()):
            kin = self.state.streams[name]
            kept = sum(strip.window <= end for strip in kin.strips)
            kin.recent, kin.strips = kin.recent[: max(len(kin.recent) - len(kin.strips) + kept, 0)], kin.strips[:kept]
            stood = [raised for raised in self.standing_alarms if raised.stream == name]
            if watch.reference.last >= end:
                del self.watches[name], self.state.streams[name]
                self.state.restarts[name] = watch.restarts + 1
                for raised in stood:
                    self.told(raised, "vernal", AHEAD)
                continue
            watch.forget(end)
            if stood and all(raised.alarm.window >= end for raised in stood):
                self.acknowledge("vernal", AHEAD, streams=[name])
        self.save()

    def begun(self, end: int) -> bool:
        """Makes the first references, if the log has enough windows before `end`."""
        reader = self.new_reader()
        whole = reader.until(end)
        if len(whole):
            newest = self.window_of(int(whole.received_at[-1]))
            last = end if newest >= end - self.most else newest  # a log that ended long ago is a data set: nobody waits for its next event
            first = max(last - self.most, self.first_of(whole))
            self.past = deque(reader.windows(whole, first, last), self.most)
            self.refer(reader)
        if self.watches:
            self.reader, self.state.next = reader, end
            self.save()
        self.tried = end
        return bool(self.watches)

    def standing(self) -> Reader:
        """The reader before the next window; after a restart it is brought there."""
        if self.reader is None:
            reader = self.new_reader()
            whole = reader.until(self.state.next)
            self.past.clear()
            for seen in reader.windows(whole, max(self.state.next - self.most, self.first_of(whole)), self.state.next):
                self.remember(seen)
            self.reader = reader
        return self.reader

    def remember(self, seen: Seen) -> None:
        """Keeps what a reference or outcomes may still need of a window, and lets go of the rest."""
        wanting = self.wanting()
        self.past.append(seen._replace(rows={name: rows for name, rows in seen.rows.items() if name in wanting}))
        late = len(self.past) - 1 - self.mature - 1
        if SERVED not in wanting and late >= 0:
            self.past[late] = self.past[late]._replace(shown=None)

    def wanting(self) -> list[str]:
        """Streams without a reference, or with a short one, unless its data is broken or its outcomes are not as usual."""
        stand = {raised.stream for raised in self.standing_alarms if raised.alarm.blocks_training or raised.alarm.action == Action.ADVANCE}
        names = [*type_names(self.space), SERVED, SEARCHES]
        return [name for name in names if name not in self.watches or (self.watches[name].reference.is_short and name not in stand)]

    def refer(self, reader: Reader) -> None:
        """Gives a reference to every stream that wants one and has had enough windows by now."""
        for name in self.wanting():
            windows = [seen for seen in self.past if seen.n(name) is not None]
            first = next((k for k, seen in enumerate(windows) if seen.n(name)), len(windows))
            before = self.watches.get(name)
            if len(windows) - first >= (ENOUGH if before else LEAST_WINDOWS):
                reference = self.reference_of(name, windows[first:], reader)  # a short one made no promise, so a long one replaces it freely
                self.watches[name] = Watch(
                    reference, self.settings.promise * share_of(name, self.space), before.restarts if before else self.state.restarts.get(name, 0)
                )
                for raised in self.standing_alarms:
                    if raised.stream == name:
                        self.told(raised, "vernal", "Three weeks say what is usual now.")

    def reference_of(self, name: str, windows: Sequence[Seen], reader: Reader) -> Reference:
        """The reference of these windows, kept in a file of its own before anything names it."""
        kin, known = Kin(), self.known_days()
        if name == SERVED:
            schema, bins, summaries = self.reference_of_served(kin, windows, reader.served)
        elif name == SEARCHES:
            asked = [seen.rows[name] for seen in windows]
            schema, bins = reader.searches.schema(), reader.searches.bins(asked)
            summaries, kin.labels = [found.summary(bins) for found in asked], reader.searches.labels(bins)
        else:
            events, rows = reader.events, [seen.rows[name] for seen in windows]
            schema, bins = events.schema(name), events.bins(rows)
            summaries = [found.summary(bins) for found in rows]
            kin.labels = events.labels(name, reader.arrivals.values(), bins)
        made = [Window(seen.number, summary, seen.number in known) for seen, summary in zip(windows, summaries, strict=True)]
        reference, kept = Reference.of(schema, bins, made), Kept()
        reference.put(kept)
        self.state.files += 1
        kin.reference = f"reference-{self.state.files:04d}.msgpack"
        appear(self.folder / kin.reference, kept.to_bytes())
        self.state.streams[name] = kin
        return reference

    def reference_of_served(self, kin: Kin, windows: Sequence[Seen], served: Served) -> tuple[Schema, Bins, list[Summary]]:
        """Schema, bins and summaries of slates; outcomes of the newest windows are not known yet, and are left out."""
        shown = [seen.shown for seen in windows if seen.shown is not None]
        kin.named = any(seen.chosen.named.any() for seen in windows)
        labels = [
            part.labels([seen.chosen for seen in windows[k : k + self.mature + 1]], served.within, named=kin.named) if k < len(shown) - self.mature else None
            for k, part in enumerate(shown)
        ]
        kin.odds = served.odds(list(zip(shown, labels, strict=True)))
        bins = Bins.frozen(np.concatenate([served.numeric(part, kin.odds) for part in shown]), np.empty((0, 0), np.int64))
        return served.schema(self.space.releases), bins, [served.summary(bins, part, kin.odds, label) for part, label in zip(shown, labels, strict=True)]

    def judge(self, reader: Reader) -> list[Judged]:
        """Judges the next window, and the outcomes of the one whose have matured with it."""
        number, judged = self.state.next, list[Judged]()
        [seen] = reader.windows(reader.until(number + 1), number, number + 1)
        self.remember(seen)
        for name, watch in self.watches.items():
            if name == SERVED:
                judged.append(self.judged_served(watch, seen, reader.served))
            else:
                judged.append(self.judged(name, watch, number, seen.rows[name].summary(watch.reference.bins)))
        self.state.next, self.state.firsts = number + 1, reader.firsts.tobytes()
        self.refer(reader)
        for name in self.mended():
            self.acknowledge("vernal", f"As usual again for {self.settings.mended_after} windows.", streams=[name])
        self.save()
        return judged

    def mended(self) -> list[str]:
        """Streams whose faults are all over."""
        held: dict[str, list[int]] = {}
        for raised in self.standing_alarms:
            if raised.alarm.blocks_training:
                held.setdefault(raised.stream, []).append(raised.well)
        return [name for name, well in held.items() if min(well) >= self.settings.mended_after > 0]

    def judged_served(self, watch: Watch, seen: Seen, served: Served) -> Judged:
        """This window's slates, then the outcomes of the window whose have matured by now."""
        kin, shown = self.state.streams[SERVED], seen.shown
        assert shown is not None
        found = self.judged(SERVED, watch, seen.number, served.summary(watch.reference.bins, shown, kin.odds, None))
        due = [each for each in self.past if seen.number - self.mature <= each.number]
        late = due[0].shown
        if due[0].number != seen.number - self.mature or due[0].number <= watch.last_outcome or late is None:
            return found
        summary = served.summary(watch.reference.bins, late, kin.odds, late.labels([each.chosen for each in due], served.within, named=kin.named))
        if not summary.moments[N]:
            return found
        window = Window(due[0].number, summary, due[0].number in self.known_days())
        verdict = watch.judge(window, changes=self.changes(), outcomes_only=True)
        self.state.alarms += [Raised(SERVED, alarm) for alarm in verdict.alarms]
        return msgspec.structs.replace(found, alarms=(*found.alarms, *verdict.alarms))

    def judged(self, name: str, watch: Watch, number: int, summary: Summary) -> Judged:
        """One window of one stream."""
        usual = watch.bank.mean[:, watch.reference.weekday(number)].copy()
        changes, known = self.changes(), number in self.known_days()
        verdict = watch.judge(Window(number, summary, known), changes=changes)
        silent = takewhile(lambda rows: not rows, [summary.rows, *(strip.rows for strip in reversed(self.state.streams[name].strips))])
        raised = [*verdict.alarms, *silence(watch, number, 0 if known else len(list(silent)), changes)]
        alarms = [weighed(named(sized(alarm, watch, summary, usual), name), importance_of(watch, alarm)) for alarm in raised]
        self.state.alarms += [Raised(name, alarm) for alarm in alarms]
        grown = list(self.grown(name, watch, number, changes))
        self.state.alarms += [Raised(name, alarm) for alarm in grown]
        if held := [raised for raised in self.standing_alarms if raised.stream == name and raised.alarm.blocks_training]:
            usual = watch.reference.bank().mean[:, watch.reference.weekday(number)]
            for each in held:
                each.well = each.well + 1 if as_usual_again(each.alarm, watch, summary, usual) else 0
        self.note(name, number, summary, watch, verdict.evidence)
        return Judged(number, number * self.length, name, summary.rows, (*alarms, *grown))

    def grown(self, name: str, watch: Watch, number: int, changes: Sequence[Change]) -> Iterator[Alarm]:
        """What was told in the digest once and has come to be as large as a fault."""
        held = {raised.alarm.column for raised in self.standing_alarms if raised.stream == name and raised.alarm.blocks_training}
        for j in np.flatnonzero(watch.alarmed).tolist():
            alarm = watch.alarm(number, [j], changes)
            alarm = weighed(named(alarm, name), importance_of(watch, alarm))
            if alarm.blocks_training and alarm.column not in held:
                held.add(alarm.column)
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
        """Alarms that block training and promotion until they are over or acknowledged."""
        return tuple(raised.alarm for raised in self.standing_alarms if raised.alarm.blocks_training)

    def reasons_to_hold(self) -> tuple[str, ...]:
        """`holds` as sentences."""
        return tuple(alarm.sentence(self.named) for alarm in self.holds)

    @property
    def advances(self) -> tuple[Alarm, ...]:
        """Alarms of outcomes: the world changed, and training is brought forward."""
        return tuple(raised.alarm for raised in self.standing_alarms if raised.alarm.action == Action.ADVANCE)

    def unanswered(self, trained: int) -> tuple[Alarm, ...]:
        """Of `advances`, those that no training has answered: the last one began, at UTC us `trained`, before the outcomes of their window had matured."""
        return tuple(alarm for alarm in self.advances if (alarm.window + 1 + self.mature) * self.length > trained)

    def unknown_share(self, now: int) -> float:
        """Share of the last window's events on items whose first event the release in charge did not see; 0 before there is one."""
        self.step(now)
        return self.unknown()

    def unknown(self) -> float:
        """The same as of the newest window judged."""
        champion, firsts = self.space.releases.champion(), np.frombuffer(self.state.firsts, np.int64)
        if champion is None or not len(firsts):
            return 0.0
        return float((firsts > self.space.releases.manifest(champion).lineage.log_to).mean())

    def report(self) -> DriftReport:
        """Everything there is to show, from what is kept; the log is not read. Cost: 20 ms."""
        state, stand = self.state, self.standing_alarms
        streams = [
            stream_drift(name, self.watches[name], [Summary.from_bytes(raw) for raw in kin.recent], kin.labels, [self.strip(s) for s in kin.strips], self.named)
            for name, kin in state.streams.items()
        ]
        caveats = [f"{s.name}: {s.caveat}" for s in streams if s.caveat] or (
            [] if streams else [f"Nothing is watched before {LEAST_WINDOWS} windows are over."]
        )
        return DriftReport(
            at=written(state.next * self.length) if state.next >= 0 else "",
            window_s=self.length // US_PER_S,
            promise=self.settings.promise,
            spent=spent_of(self.watches.values()),
            holds=list(self.reasons_to_hold()),
            advances=[alarm.sentence(self.named) for alarm in self.advances],
            alarms=[
                alarm_drift(raised.stream, raised.alarm, self.named, "" if raised.stands else f"{raised.acknowledged_by}: {raised.note}")
                for raised in sorted(state.alarms, key=lambda raised: (not raised.stands, raised.alarm.severity, -raised.alarm.window))
            ],
            quiet="" if stand else " ".join(s.quiet for s in streams),
            caveat=" ".join(caveats),
            unknown_share=self.unknown(),
            streams=streams,
        )

    def strip(self, kept: Strip) -> StripDrift:
        return StripDrift(self.named(kept.window), kept.window * self.length, kept.rows, {kind: max(value, NEVER) for kind, value in kept.log_e.items()})

    def acknowledge(self, by: str, note: str = "", *, usual: bool = False, streams: Sequence[str] = ()) -> int:
        """A person saw what stands and dealt with it, or a fault is over; returns how many alarms that were.

        Every stream that alarmed starts anew, with a share of what is left of the promise, on windows in which all was as usual.

        Parameters
        ----------
        usual : what changed is how it is meant to be from now on, so the windows since then are the new usual; otherwise they are left out as faulty
        streams : of which alone; none = of all
        """
        stood = [raised for raised in self.standing_alarms if not streams or raised.stream in streams]
        for raised in stood:
            self.told(raised, by, note)
        for name in {raised.stream for raised in stood}:
            alarms = [raised.alarm for raised in stood if raised.stream == name]
            self.restart(name, min(alarm.since.earliest for alarm in alarms), Incident(by, note), usual=usual)
        self.save()
        return len(stood)

    def told(self, raised: Raised, by: str, note: str) -> None:
        """An alarm that somebody has dealt with."""
        raised.acknowledged_at, raised.acknowledged_by, raised.note = self.space.clock.now(), by, note

    def restart(self, name: str, since: int, incident: Incident, *, usual: bool) -> None:
        """A new watch of one stream, on the windows before (or since) an incident."""
        reader, end = self.new_reader(), self.state.next
        last = end if usual else min(since, end - 1)
        first = since if usual else last - self.most
        whole = reader.until(end)
        windows = list(reader.windows(whole, max(first, self.first_of(whole)), last))[-self.most :]
        before = self.watches[name]
        reference = self.reference_of(name, windows, reader) if len(windows) >= LEAST_WINDOWS else before.reference
        self.watches[name] = before.restarted(reference, incident)


def importance_of(watch: Watch, alarm: Alarm) -> float:
    return next((column.importance for column in watch.reference.schema.columns if column.name == alarm.column), 0.0)


def share_of(stream: str, space: WatchedSpace) -> float:
    """A stream's share of the promise."""
    fixed = {SERVED: 1.0 - EVENTS_SHARE - SEARCHES_SHARE, SEARCHES: SEARCHES_SHARE}
    return fixed.get(stream, EVENTS_SHARE / len(type_names(space)))
