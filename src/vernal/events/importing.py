"""Files to the log: the catalogue, the users, then every event in order of arrival.

In: the files that vernal.toml names. Out: records in the log and a report of what was kept, dropped and why. An import that is killed is started again
with the same command and goes on where it was; files that are in the log already are passed over; a row that is there already (by its event id, or by
its content) is counted as a duplicate and never doubled.

Imported history arrives when it happened (or when `events.columns.received_at` says). The log only moves forward, so history older than what the log
already holds arrives at the log's newest arrival: import the past before going live.
"""

import hashlib
import time as stopwatch
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from vernal.clock import Clock, SystemClock
from vernal.config import Events, Settings
from vernal.errors import EventError, ItemError, VernalError, nearest
from vernal.events.archive import appear
from vernal.events.checking import REASON, Checked, check_events, text_column, wanted_columns
from vernal.events.deadletters import FILE, DeadLetters
from vernal.events.fields import Rejection, content_id
from vernal.events.files import CSV, LIST_SEPARATOR, ROW, Table, expand, read_table
from vernal.events.ports import EventLog
from vernal.events.schema import Event, Kind
from vernal.events.times import written
from vernal.events.wire import item_of, user_of
from vernal.terms import EVENT_ID, ITEM, RECEIVED_AT, SESSION, TIME, TYPE, USER, VALUE

CHUNK = 20_000  # rows per append: one transaction, one sync
LETTERS = 100  # dead letters per file and reason; the file itself keeps the rest
COLUMNS = [EVENT_ID, TYPE, USER, ITEM, TIME, VALUE, SESSION, RECEIVED_AT]

Progress = Callable[[str, int, int], None]  # what is going on, how much is done, of how much


class FileReport(msgspec.Struct, kw_only=True):
    """What became of one file."""

    file: str
    kind: str  # events, items, users
    rows: int = 0
    kept: int = 0
    dropped: dict[str, int] = {}  # reason -> rows
    examples: dict[str, list[int]] = {}  # reason -> first row numbers
    notes: list[str] = []
    skipped: bool = False  # in the log already


class ImportReport(msgspec.Struct, kw_only=True):
    """What an import did."""

    files: list[FileReport] = []
    appended: int = 0  # events
    duplicates: int = 0  # events that were in the log or in the files already
    items: int = 0
    users: int = 0
    first: str = ""  # time of the oldest imported event
    last: str = ""
    seconds: float = 0.0

    def lines(self) -> Iterator[str]:
        """The report as a person reads it."""
        for file in self.files:
            yield f"{file.file}: " + ("in the log already" if file.skipped else f"{file.kept:,} of {file.rows:,} {file.kind} kept")
            for reason, count in file.dropped.items():
                yield f"  dropped {count:,}: {reason} (rows {', '.join(map(str, file.examples[reason]))})"
            yield from (f"  {note}" for note in file.notes)
        yield f"{self.appended:,} events, {self.items:,} items, {self.users:,} users imported in {self.seconds:.1f} s" + (
            f"; {self.duplicates:,} duplicates left out" if self.duplicates else ""
        )
        if self.first:
            yield f"events from {self.first} to {self.last}"


class Done(msgspec.Struct, kw_only=True):
    """What `import.json` remembers."""

    files: dict[str, str] = {}  # path -> fingerprint of content and settings
    group: str = ""  # fingerprint of the events files being imported
    appended: int = 0  # how many of that group's rows, in order of arrival, are in the log


def import_events(settings: Settings, root: Path, log: EventLog, progress: Progress | None = None, clock: Clock | None = None) -> ImportReport:
    """Imports every file that vernal.toml names; see the module.

    Raises
    ------
    EventError, ItemError
        A file cannot be read or lacks a configured column; nothing of the events was appended then.
    DiskFull
        Start it again when there is room.

    Cost: about 10 us CPU per event.
    """
    return Importer(settings, root, log, progress or (lambda *_: None), clock or SystemClock()).run()


def check_files(settings: Settings, root: Path, clock: Clock | None = None) -> ImportReport:
    """What an import would keep and drop; the log is not touched."""
    now, report = (clock or SystemClock()).now(), ImportReport()
    for path in expand(root, settings.events.files, "events.files"):
        report.files.append(report_on(check_events(read_table(path, wanted_columns(settings.events)), settings.events, now)))
    return report


class Importer:
    """One import run."""

    def __init__(self, settings: Settings, root: Path, log: EventLog, progress: Progress, clock: Clock) -> None:
        self.settings, self.root, self.log, self.progress, self.clock = settings, root, log, progress, clock
        folder = root / settings.data.path
        self.note = folder / "import.json"
        self.letters = DeadLetters(folder / FILE, clock)
        self.report = ImportReport()
        self.done = Done()
        if self.note.exists() and log.end():  # without its log the note is about another one
            self.done = msgspec.json.decode(self.note.read_bytes(), type=Done)
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> ImportReport:
        started = stopwatch.monotonic()
        self.import_records("items", self.settings.items.files, Kind.ITEMS)
        self.import_records("users", self.settings.users.files, Kind.USERS)
        self.import_history()
        self.report.seconds = stopwatch.monotonic() - started
        return self.report

    def remember(self) -> None:
        appear(self.note, msgspec.json.encode(self.done))

    def new_files(self, kind: str, patterns: Sequence[str], section: Any) -> list[tuple[Path, str]]:
        """The files that are not in the log yet, with their fingerprints."""
        found = [(path, fingerprint(path, section)) for path in expand(self.root, patterns, f"{kind}.files")]
        for path, mark in found:
            if self.done.files.get(str(path)) == mark:
                self.report.files.append(FileReport(file=path.name, kind=kind, skipped=True))
        return [(path, mark) for path, mark in found if self.done.files.get(str(path)) != mark]

    def import_records(self, kind: str, patterns: Sequence[str], which: Kind) -> None:
        """Catalogue or user files: known since the log's first moment, so that the past can be learned from."""
        section = self.settings.items if which is Kind.ITEMS else self.settings.users
        for path, mark in self.new_files(kind, patterns, section):
            records, report = self.records(read_table(path), kind, which)
            for start in range(0, len(records), CHUNK):
                self.progress(f"import {path.name}", start, len(records))
                chunk = records[start : start + CHUNK]
                self.log.append(which, chunk, [0] * len(chunk))
            self.progress(f"import {path.name}", len(records), len(records))
            self.report.files.append(report)
            setattr(self.report, kind, getattr(self.report, kind) + len(records))
            self.done.files[str(path)] = mark
            self.remember()

    def records(self, table: Table, kind: str, which: Kind) -> tuple[list[Any], FileReport]:
        """Every row of a table as an `Item` or `User`; the rest are dead letters."""
        section = self.settings.items if which is Kind.ITEMS else self.settings.users
        if section.id not in table.columns:
            hint = nearest(section.id, table.columns) or f'set {kind}.id = "..." in vernal.toml'
            raise ItemError.invalid(str(table.path), f"the columns {', '.join(table.columns)}", f"a column {section.id!r} ({kind}.id)", hint)
        absent = [name for name in configured(section) if name not in (*table.columns, "hidden", "title")]
        notes = [*table.notes, f"configured columns that are not there: {', '.join(absent)}"] if absent else table.notes
        frame = table.frame.with_columns(text_column(table, section.id, section.id)).select(ROW, *[n for n in configured(section) if n in table.columns])
        records, bad = [], list(table.bad)
        make: Any = item_of if which is Kind.ITEMS else user_of
        for row in plain_frame(split_lists(table.path, frame, section.attributes)).iter_rows(named=True):
            number = row.pop(ROW)
            try:
                records.append(make(row, 0, section, f"{table.path.name}:{number} $"))
            except VernalError as error:
                bad.append(Rejection.of(number, error, row))
        self.letters.put(table.path.name, which, bad[:LETTERS])
        reasons = {"not a record": len(bad)} if bad else {}
        examples = {"not a record": [one.index for one in bad[:3]]} if bad else {}
        return records, FileReport(
            file=table.path.name, kind=kind, rows=frame.height + len(table.bad), kept=len(records), dropped=reasons, examples=examples, notes=notes
        )

    def import_history(self) -> None:
        """All new events files together, in order of arrival."""
        new = self.new_files("events", self.settings.events.files, self.settings.events)
        if not new:
            return
        frames = [self.check(path) for path, _ in new]
        frame = pl.concat(frames).sort(RECEIVED_AT, maintain_order=True)
        group = hashlib.sha256("".join(mark for _, mark in new).encode()).hexdigest()
        start = self.done.appended if self.done.group == group else 0
        self.done.group = group
        self.append(frame, start)
        self.done = Done(files=self.done.files | {str(path): mark for path, mark in new})
        self.remember()
        if frame.height:
            self.report.first, self.report.last = written(int(frame[TIME].min())), written(int(frame[TIME].max()))  # type: ignore[arg-type]

    def check(self, path: Path) -> pl.DataFrame:
        self.progress(f"check {path.name}", 0, 1)
        checked = check_events(read_table(path, wanted_columns(self.settings.events)), self.settings.events, self.clock.now())
        self.report.files.append(report_on(checked))
        self.letters.put(path.name, Kind.EVENTS, letters_of(checked, self.settings.events))
        self.progress(f"check {path.name}", 1, 1)
        return checked.frame.select(COLUMNS)

    def append(self, frame: pl.DataFrame, start: int) -> None:
        """Appends rows from `start` on, remembering after every chunk how far it came."""
        n = frame.height
        for begin in range(start, n, CHUNK):
            self.progress("import events", begin, n)
            part = frame.slice(begin, CHUNK)
            receipts = self.log.append(Kind.EVENTS, [event_of_row(*row) for row in part.select(COLUMNS[:-1]).iter_rows()], part[RECEIVED_AT].to_list())
            repeated = sum(receipt.duplicate for receipt in receipts)
            self.report.duplicates += repeated
            self.report.appended += len(receipts) - repeated
            self.done.appended = min(n, begin + CHUNK)
            self.remember()
        self.progress("import events", n, n)


def event_of_row(event_id: str | None, kind: str, user: str, item: str | None, time: int, value: float | None, session: str | None) -> Event:
    """One checked row as the event it would be on the wire, with the same identity."""
    item, session = item or "", session or ""
    identity = event_id or content_id((kind, user, item, value, session, "", -1, None, time))
    return Event(identity, kind, user, item, time, value, session)


def fingerprint(path: Path, section: Any) -> str:
    """What tells an imported file from a changed one: name, size, time of change, and the settings it was read with."""
    status = path.stat()
    parts = (str(path), status.st_size, status.st_mtime_ns, msgspec.json.encode(msgspec.structs.replace(section, files=[]), order="sorted"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def configured(section: Any) -> list[str]:
    """The columns a catalogue or user section names, and `hidden`, which has one name only."""
    names = [section.id, getattr(section, "title", ""), *getattr(section, "text", []), *section.attributes, "hidden"]
    return [name for name in dict.fromkeys(names) if name]


def plain_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns as JSON knows them: text, numbers, booleans and lists of those."""
    plain = (pl.String, pl.Boolean, pl.List)
    return frame.with_columns(pl.col(name).cast(pl.String) for name, kind in frame.schema.items() if not kind.is_numeric() and kind not in plain)


def split_lists(path: Path, frame: pl.DataFrame, attributes: Sequence[str]) -> pl.DataFrame:
    """Attribute fields of a CSV that hold several values, as lists."""
    texts = [name for name in attributes if path.suffix.lower() in CSV and name in frame.columns and frame[name].dtype == pl.String]
    return frame.with_columns(pl.col(name).str.split(LIST_SEPARATOR) for name in texts)


def report_on(checked: Checked) -> FileReport:
    table, dropped = checked.table, checked.dropped
    reasons = dict(dropped[REASON].value_counts(sort=True).rows())
    examples = {reason: dropped.filter(pl.col(REASON) == reason)[ROW].head(3).to_list() for reason in reasons}
    if table.bad:
        reasons["not JSON"], examples["not JSON"] = len(table.bad), [one.index for one in table.bad[:3]]
    rows = table.frame.height + len(table.bad)
    return FileReport(file=table.path.name, kind="events", rows=rows, kept=checked.frame.height, dropped=reasons, examples=examples, notes=checked.notes)


def letters_of(checked: Checked, events: Events) -> list[Rejection]:
    """Dead letters for dropped rows, written as native events so that a replay can take them: the first `LETTERS` of every reason."""
    table, first = checked.table, checked.dropped.group_by(REASON, maintain_order=True).head(LETTERS)
    columns = events.columns
    native = {columns.user: USER, columns.item: ITEM, columns.type: TYPE, columns.time: TIME, columns.value: VALUE}
    native |= {columns.event_id: EVENT_ID, columns.session: SESSION}
    rows = plain_frame(table.frame.join(first, on=ROW, how="inner"))
    out = list(table.bad[:LETTERS])
    for row in rows.iter_rows(named=True):
        number, reason = row.pop(ROW), row.pop(REASON)
        error = EventError.invalid(f"{table.path.name}:{number}", reason, "a row that passes the checks of `vernal import --check`")
        out.append(Rejection.of(number, error, {native[name]: value for name, value in row.items() if name in native and value is not None}))
    return out
