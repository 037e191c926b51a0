"""The archive: events and slates of the log as Hive Parquet, for DuckDB, Polars, Spark and training at scale.

Layout: `<root>/{events,slates}/day=YYYY-MM-DD/bucket=BB/part-FROM-TO.parquet`, where day is the UTC day of arrival (so the files of a closed
day never change), bucket is crc32(user) modulo the number of buckets (so one user's rows lie together and features need no shuffle) and
FROM-TO are log offsets.

Exactly once: before a range is written, `_archive.json` names it; a crash leaves that range named, the next sync writes the very same files over
whatever is there, and only then is the range counted as archived. Every file appears whole (temporary name, fsync, rename).
"""

import fcntl
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from vernal.errors import StateError
from vernal.events.ports import EventReader
from vernal.events.schema import Batch, Event, Kind, Slate
from vernal.release import sync
from vernal.terms import DAY_S, EVENT_ID, ITEM, OFFSET, POSITION, PROPERTIES, REC_ID, RECEIVED_AT, SESSION, TIME, TYPE, US_PER_S, USER, VALUE

FORMAT = 1
BUCKETS = 4
RANGE = 200_000  # log offsets in one part, at most
FOLDERS = {Kind.EVENTS: "events", Kind.SLATES: "slates"}

STAMP = pa.timestamp("us", tz="UTC")
EVENT_COLUMNS = pa.schema({
    OFFSET: pa.int64(), RECEIVED_AT: STAMP, TIME: STAMP, EVENT_ID: pa.string(), TYPE: pa.string(), USER: pa.string(), ITEM: pa.string(),
    VALUE: pa.float64(), SESSION: pa.string(), REC_ID: pa.string(), POSITION: pa.int32(), PROPERTIES: pa.string(),
})  # fmt: skip
SLATE_COLUMNS = pa.schema({
    OFFSET: pa.int64(), RECEIVED_AT: STAMP, TIME: STAMP, REC_ID: pa.string(), USER: pa.string(), "scenario": pa.string(), "arm": pa.string(),
    "release": pa.string(), "rung": pa.string(), "request": pa.string(), "seed": pa.int64(), "items": pa.list_(pa.string()),
    "item_numbers": pa.list_(pa.uint32()), "propensities": pa.list_(pa.float32()), "scores": pa.list_(pa.float32()), "took_us": pa.int64(),
})  # fmt: skip

Row = tuple[int, int, Any]  # offset, received_at, record
Partition = tuple[Kind, str, int]  # kind, day, bucket


class Progress(msgspec.Struct, frozen=True):
    """What `_archive.json` says."""

    format: int = FORMAT
    buckets: int = BUCKETS
    archived: int = 0  # every offset up to here is in the files, once
    writing: int = 0  # the range (archived, writing] is being written; 0 = none


class Archive:
    """Parquet files under one folder.

    Raises
    ------
    StateError
        The folder was written by a newer version.
    """

    def __init__(self, path: Path, buckets: int = BUCKETS) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.progress = self.load(Progress(buckets=buckets))

    def load(self, fresh: Progress) -> Progress:
        file = self.path / "_archive.json"
        if not file.exists():
            return fresh
        found = msgspec.json.decode(file.read_bytes(), type=Progress)
        if found.format > FORMAT:
            raise StateError.newer(self.path, found.format, FORMAT)
        return found

    def end(self) -> int:
        """The newest offset that is archived."""
        return self.progress.archived

    def sync(self, log: EventReader) -> int:
        """Archives what the log has and the files have not; returns how many records were written.

        Waits while another process writes. Cost: about 4 us per event and 5 ms per file.
        """
        written = 0
        with self.writer(wait=True):
            end = log.end()
            while self.progress.archived < end:
                start = self.progress.archived
                until = self.progress.writing or min(end, start + RANGE)
                self.note(writing=until)
                written += self.write_range(log, start, until)
                self.note(archived=until, writing=0)
        return written

    @contextmanager
    def writer(self, *, wait: bool) -> Iterator[bool]:
        """Holds the place of the one writer, with its progress as it now is; without `wait`, false when another holds it."""
        with (self.path / "_archive.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self.progress = self.load(self.progress)
            yield True

    def note(self, **changes: int) -> None:
        self.progress = msgspec.structs.replace(self.progress, **changes)
        appear(self.path / "_archive.json", msgspec.json.encode(self.progress))

    def write_range(self, log: EventReader, after: int, until: int) -> int:
        """Writes the parts of offsets (after, until]; the same input gives the same names."""
        parts: defaultdict[Partition, list[Row]] = defaultdict(list)
        for batch in self.read(log, after, until):
            day = day_of(batch.received_at)
            for offset, record in enumerate(batch.records, batch.first):
                if offset <= until:
                    parts[batch.kind, day, bucket_of(record.user, self.progress.buckets)].append((offset, batch.received_at, record))
        for partition, rows in parts.items():
            self.write_part(partition, f"part-{after + 1:012d}-{until:012d}.parquet", rows)
        return sum(len(rows) for rows in parts.values())

    @staticmethod
    def read(log: EventReader, after: int, until: int) -> Iterator[Batch]:
        while after < until:
            last = after
            for batch in log.read(after, kinds=frozenset(FOLDERS)):
                if batch.first > until:
                    return
                last = batch.last
                yield batch
            if last == after:
                return
            after = last

    def write_part(self, partition: Partition, name: str, rows: Sequence[Row]) -> None:
        kind, day, bucket = partition
        folder = self.path / FOLDERS[kind] / f"day={day}" / f"bucket={bucket:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        table = event_table(rows) if kind is Kind.EVENTS else slate_table(rows)
        write_parquet(folder / name, table)

    def erase(self, user: str) -> int | None:
        """Rewrites the files that hold rows of a user; returns how many rows went, none while another process writes (ask again)."""
        with self.writer(wait=False) as mine:
            return self.without(user) if mine else None

    def without(self, user: str) -> int:
        gone, bucket = 0, bucket_of(user, self.progress.buckets)
        for file in sorted(self.path.glob(f"*/day=*/bucket={bucket:02d}/part-*.parquet")):
            table = pq.ParquetFile(file).read()
            keep = np.array([found != user for found in table[USER].to_pylist()], dtype=bool)
            if not keep.all():
                gone += int((~keep).sum())
                write_parquet(file, table.filter(pa.array(keep)))
        return gone

    def events(self, columns: Sequence[str]) -> pl.DataFrame:
        """Archived events in order of offset; only these columns."""
        if not any(self.path.glob("events/day=*/bucket=*/part-*.parquet")):
            return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        scan = pl.scan_parquet(self.path / "events/**/part-*.parquet", hive_partitioning=False)
        return scan.filter(pl.col(OFFSET) <= self.progress.archived).sort(OFFSET).select(columns).collect()


def day_of(at: int) -> str:
    """UTC day of a time in us; times outside the calendar's years fall on its first or last day.

    >>> day_of(1_483_271_606_000_000)
    '2017-01-01'
    """
    seconds = min(max(at // US_PER_S, -62_135_596_800), 253_402_300_799)
    return datetime.fromtimestamp(seconds // DAY_S * DAY_S, UTC).strftime("%Y-%m-%d").zfill(10)


def bucket_of(user: str, buckets: int) -> int:
    return zlib.crc32(user.encode()) % buckets


def event_table(rows: Sequence[Row]) -> pa.Table:
    records: list[Event] = [row[2] for row in rows]
    columns = {
        OFFSET: [row[0] for row in rows],
        RECEIVED_AT: [row[1] for row in rows],
        **{name: [getattr(record, name) for record in records] for name in (TIME, EVENT_ID, TYPE, USER, ITEM, VALUE, SESSION, REC_ID, POSITION)},
        PROPERTIES: [msgspec.json.encode(record.properties).decode() if record.properties else None for record in records],
    }
    return pa.table({name: pa.array(columns[name], EVENT_COLUMNS.field(name).type) for name in EVENT_COLUMNS.names})


def slate_table(rows: Sequence[Row]) -> pa.Table:
    records: list[Slate] = [row[2] for row in rows]
    plain = (TIME, REC_ID, USER, "scenario", "arm", "release", "rung", "seed", "items", "took_us")
    arrays = {"item_numbers": np.uint32, "propensities": np.float32, "scores": np.float32}
    columns: dict[str, list[Any]] = {
        OFFSET: [row[0] for row in rows],
        RECEIVED_AT: [row[1] for row in rows],
        "request": [record.request.decode("utf-8", "replace") for record in records],
        **{name: [getattr(record, name) for record in records] for name in plain},
        **{name: [np.frombuffer(getattr(record, name), dtype) for record in records] for name, dtype in arrays.items()},
    }
    return pa.table({name: pa.array(columns[name], SLATE_COLUMNS.field(name).type) for name in SLATE_COLUMNS.names})


def write_parquet(file: Path, table: pa.Table) -> None:
    """A Parquet file that appears whole or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    settle(temporary, file)


def appear(file: Path, content: bytes) -> None:
    """Replaces a file's content whole and durably."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(content)
    settle(temporary, file)


def settle(temporary: Path, file: Path) -> None:
    """Gives a finished file its name, durably."""
    sync(temporary)
    os.replace(temporary, file)
    sync(file.parent)
