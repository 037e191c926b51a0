"""The embedded event log: one SQLite file in WAL mode, `synchronous=FULL`, any number of processes.

In: records of `events.schema`. Out: the same records with the offsets they got. An append is one transaction and has returned only after
fdatasync; it either happened whole or not at all. One row holds one batch, so a batch of 100 costs one insert.

Layout
------
batches   first offset, count, kind, received_at (us), arrivals (int64 per record where they differ), crc32, payload (msgpack list; nil = erased)
seen      16-byte key of every event id -> its offset: what makes appends idempotent
items     row i + 1 = item number i, in order of first mention

Writers of all processes queue on one `flock`, which the kernel hands over at once (SQLite's own waiting polls), and which dies with its holder.
"""

import fcntl
import hashlib
import heapq
import sqlite3
import threading
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from vernal.clock import Clock
from vernal.errors import DiskFull, LogError, StateError
from vernal.events.schema import Batch, Erasure, Event, Item, Kind, Receipt, Slate, User

FORMAT = 1
KNOWN_ITEMS = 200_000  # item ids a process remembers as numbered, so that it does not ask again
BUSY_MS = 30_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS batches(
  first INTEGER PRIMARY KEY, n INTEGER NOT NULL, kind INTEGER NOT NULL, received_at INTEGER NOT NULL, arrivals BLOB,
  crc INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS batches_by_kind ON batches(kind, first);
CREATE TABLE IF NOT EXISTS seen(key BLOB PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
"""
SETTINGS = ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "cache_size=-65536", "wal_autocheckpoint=16000", "journal_size_limit=67108864")
NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE}
END = "SELECT first + n - 1, received_at, arrivals FROM batches ORDER BY first DESC LIMIT 1"
READ = """SELECT first, n, kind, received_at, arrivals, crc, payload FROM batches
WHERE {kind} first >= (SELECT coalesce(max(first), 0) FROM batches WHERE first <= ?) AND first + n - 1 > ? ORDER BY first"""

encoder = msgspec.msgpack.Encoder()
STORED: dict[Kind, Any] = {
    Kind.EVENTS: list[Event | None],
    Kind.SLATES: list[Slate | None],
    Kind.ITEMS: list[Item | None],
    Kind.USERS: list[User | None],
    Kind.ERASURES: list[Erasure | None],
}
decoders = {kind: msgspec.msgpack.Decoder(stored) for kind, stored in STORED.items()}


class SqliteLog:
    """Implements `events.ports.EventLog` in one file.

    Parameters
    ----------
    path
        The database file; made when absent.
    clock
        Gives `received_at`.
    max_bytes
        Refuse to grow beyond this (0 = the disk decides).

    Raises
    ------
    StateError
        The file was made by a newer version.
    LogError
        The file is no log.

    Cost: about 5 us CPU per event in large batches, 11 us in batches of 100 (every event dirties a page of `seen`, and a commit writes each dirty page
    once), plus one fdatasync per append (bench/ingest_durable).
    """

    def __init__(self, path: Path, clock: Clock, max_bytes: int = 0) -> None:
        self.path, self.clock, self.max_bytes = path, clock, max_bytes
        self.local = threading.local()
        self.opened: list[sqlite3.Connection] = []
        self.writing = threading.Lock()
        self.known_items: set[str] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.gate = path.with_name(f"{path.name}.lock").open("a")
        try:
            with self.errors():
                self.prepare()
        except BaseException:
            self.close()
            raise

    def prepare(self) -> None:
        with self.queue():
            connection = self.connection
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found > FORMAT:
                raise StateError.newer(self.path, found, FORMAT)
            connection.executescript(SCHEMA)
            connection.execute(f"PRAGMA user_version={FORMAT}")

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        if not hasattr(self.local, "connection"):
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self.opened.append(connection)
            for setting in SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            if self.max_bytes:
                connection.execute(f"PRAGMA max_page_count={max(1, self.max_bytes // 4096)}")
            self.local.connection = connection
        found: sqlite3.Connection = self.local.connection
        return found

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translates SQLite's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            raise DiskFull.cannot_append(self.path, str(error)) if code in NO_ROOM else LogError.broken(self.path, str(error)) from error

    @contextmanager
    def queue(self) -> Iterator[None]:
        """Holds the place of the one writer among all threads and processes."""
        with self.writing:
            fcntl.flock(self.gate, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self.gate, fcntl.LOCK_UN)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A durable write, or nothing: rolled back on any error."""
        with self.queue(), self.errors():
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def append(self, kind: Kind, records: Sequence[Any], received_at: Sequence[int] | None = None) -> list[Receipt]:
        """Appends records of one kind; see `EventLog.append`."""
        return self.append_many([(kind, records)], received_at)[0]

    def append_many(self, groups: Sequence[tuple[Kind, Sequence[Any]]], received_at: Sequence[int] | None = None) -> list[list[Receipt]]:
        """Appends groups in one transaction with one fdatasync; see `EventLog.append_many`."""
        mentioned: set[str] = set()
        with self.transaction() as connection:
            writing = Appending(connection, self.clock.now(), mentioned, self.known_items)
            receipts = [writing.put(kind, records, received_at) for kind, records in groups]
        if len(self.known_items) + len(mentioned) > KNOWN_ITEMS:
            self.known_items.clear()
        self.known_items |= mentioned
        return receipts

    def read(self, after: int, limit: int = 10_000, kinds: frozenset[Kind] | None = None) -> Iterator[Batch]:
        """Batches above `after`; see `EventLog.read`. Holds no transaction while the caller works."""
        yielded = False
        while rows := self.rows(after, limit, kinds):
            for row in rows:
                for batch in self.batches(row, after):
                    yielded = True
                    yield batch
            if yielded:
                return
            after = rows[-1][0] + rows[-1][1] - 1  # everything here was erased: an empty page would look like the end

    def rows(self, after: int, limit: int, kinds: frozenset[Kind] | None) -> list[tuple[Any, ...]]:
        """Stored rows above `after` with about `limit` records; one cursor per kind, merged, so that none is sorted or skipped through."""
        filters = [""] if kinds is None else [f"kind = {int(kind)} AND" for kind in kinds]
        rows, n = [], 0
        with self.errors():
            cursors = [self.connection.execute(READ.format(kind=which), (after + 1, after)) for which in filters]
            for row in heapq.merge(*cursors, key=itemgetter(0)):
                rows.append(row)
                n += row[1]
                if n >= limit:
                    break
            for cursor in cursors:
                cursor.close()
        return rows

    def batches(self, row: tuple[Any, ...], after: int) -> Iterator[Batch]:
        """One stored row as batches: cut at `after`, where the arrival changes and around erased records."""
        first, n, kind, received_at, arrivals, crc, payload = row
        if zlib.crc32(payload) != crc:
            raise LogError.damaged(self.path, first, first + n - 1)
        records = decoders[Kind(kind)].decode(payload)
        start = max(0, after + 1 - first)
        if arrivals is None and not start and None not in records:
            yield Batch(first, received_at, Kind(kind), records)
            return
        yield from runs(first, Kind(kind), records, array("q", arrivals) if arrivals else array("q", [received_at]) * n, start)

    def end(self) -> int:
        with self.errors():
            row = self.connection.execute("SELECT first + n - 1 FROM batches ORDER BY first DESC LIMIT 1").fetchone()
        return row[0] if row else 0

    def items_after(self, number: int) -> list[str]:
        with self.errors():
            rows = self.connection.execute("SELECT id FROM items WHERE number > ? ORDER BY number", (number,)).fetchall()
        return [row[0] for row in rows]

    def erase(self, user: str) -> int:
        """Rewrites every batch without the user's records and wipes the freed pages; other offsets keep their numbers.

        Keys of erased event ids stay (one-way hashes), so a re-delivery does not bring an event back. Returns how many records went.
        Cost: one pass over the log.
        """
        gone, needle = 0, msgspec.msgpack.encode(user)
        with self.transaction() as connection:
            connection.execute("PRAGMA secure_delete=ON")
            firsts = connection.execute("SELECT first FROM batches WHERE instr(payload, ?) > 0", (needle,)).fetchall()
            for (first,) in firsts:
                gone += erase_in(connection, first, user)
        with self.queue(), self.errors():
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def close(self) -> None:
        for connection in self.opened:
            connection.close()
        self.opened.clear()
        self.gate.close()


class Appending:
    """One append transaction in progress."""

    def __init__(self, connection: sqlite3.Connection, now: int, mentioned: set[str], known: set[str]) -> None:
        self.cursor, self.mentioned, self.known = connection.cursor(), mentioned, known
        row = self.cursor.execute(END).fetchone()
        self.next = row[0] + 1 if row else 1
        self.newest = (array("q", row[2])[-1] if row[2] else row[1]) if row else 0
        self.now = max(now, self.newest)

    def put(self, kind: Kind, records: Sequence[Any], received_at: Sequence[int] | None) -> list[Receipt]:
        """Inserts one group as one row; events whose id is known are left out."""
        receipts = self.recognised(records) if kind is Kind.EVENTS else [Receipt(self.next + i) for i in range(len(records))]
        fresh = [i for i, receipt in enumerate(receipts) if not receipt.duplicate]
        if fresh:
            self.number([records[i].item for i in fresh] if kind in (Kind.EVENTS, Kind.ITEMS) else [])
            self.insert(kind, [records[i] for i in fresh], None if received_at is None else [received_at[i] for i in fresh])
        return receipts

    def recognised(self, records: Sequence[Event]) -> list[Receipt]:
        """A receipt per event: the next offset, or the offset of the one it repeats."""
        receipts, offset, execute = [], self.next, self.cursor.execute
        for record in records:
            key = hashlib.blake2b(record.event_id.encode(), digest_size=16).digest()
            if execute("INSERT OR IGNORE INTO seen VALUES(?, ?)", (key, offset)).rowcount:
                receipts.append(Receipt(offset))
                offset += 1
            else:
                receipts.append(Receipt(execute("SELECT offset FROM seen WHERE key = ?", (key,)).fetchone()[0], True))
        return receipts

    def number(self, ids: list[str]) -> None:
        """Numbers the items mentioned for the first time, in order."""
        new = [item for item in dict.fromkeys(ids) if item and item not in self.known and item not in self.mentioned]
        self.cursor.executemany("INSERT OR IGNORE INTO items(id) VALUES(?)", [(item,) for item in new])
        self.mentioned.update(new)

    def insert(self, kind: Kind, records: list[Any], received_at: list[int] | None) -> None:
        arrivals = ascending(received_at, self.newest) if received_at else None
        self.newest = arrivals[-1] if arrivals else self.now
        payload = encoder.encode(records)
        stored = arrivals.tobytes() if arrivals and arrivals[0] != arrivals[-1] else None
        first_arrival = arrivals[0] if arrivals else self.now
        self.cursor.execute(
            "INSERT INTO batches VALUES(?, ?, ?, ?, ?, ?, ?)", (self.next, len(records), int(kind), first_arrival, stored, zlib.crc32(payload), payload)
        )
        self.next += len(records)


def ascending(times: Sequence[int], floor: int) -> "array[int]":
    """Arrival times that never go back, neither among themselves nor behind the log's newest."""
    out = array("q")
    for time in times:
        floor = max(floor, time)
        out.append(floor)
    return out


def runs(first: int, kind: Kind, records: list[Any], arrivals: "array[int]", start: int) -> Iterator[Batch]:
    """Maximal runs of present records with one arrival time, from position `start` on."""
    run: list[Any] = []
    for position in range(start, len(records)):
        if run and (records[position] is None or arrivals[position] != arrivals[position - 1]):
            yield Batch(first + position - len(run), arrivals[position - 1], kind, run)
            run = []
        if records[position] is not None:
            run.append(records[position])
    if run:
        yield Batch(first + len(records) - len(run), arrivals[-1], kind, run)


def erase_in(connection: sqlite3.Connection, first: int, user: str) -> int:
    """Blanks one user's records in one batch; returns how many."""
    kind, payload = connection.execute("SELECT kind, payload FROM batches WHERE first = ?", (first,)).fetchone()
    records = decoders[Kind(kind)].decode(payload)
    kept = [None if record is not None and belongs(record, user) else record for record in records]
    rewritten = encoder.encode(kept)
    connection.execute("UPDATE batches SET payload = ?, crc = ? WHERE first = ?", (rewritten, zlib.crc32(rewritten), first))
    return kept.count(None) - records.count(None)


def belongs(record: Any, user: str) -> bool:
    return not isinstance(record, Item) and record.user == user
