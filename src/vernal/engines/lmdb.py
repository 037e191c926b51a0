"""The embedded state store: LMDB, one writing process, any number of reading ones, no copy and no server between them.

A commit is one transaction: values, deletions and the applied offset appear together or not at all, also after kill -9 and after power loss (data is
synced with every commit; the page that names the newest commit follows with the next, so power loss may take back the last one, whose events are in the log).

One process may hold an LMDB file open only once, so stores of the same path share one environment.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from vernal.errors import DiskFull, StateError

OFFSET_KEY = b"!offset"
FORMAT_KEY = b"!format"
FORMAT = 1
MAX_READERS = 512
GIB = 2**30


class Shared:
    """One open environment of this process and how many stores use it."""

    opened: dict[Path, "Shared"] = {}  # noqa: RUF012

    def __init__(self, path: Path, map_bytes: int) -> None:
        self.path, self.map_bytes, self.users, self.readonly = path, map_bytes, 0, True
        if not (path / "data.mdb").exists():
            self.readonly = False
        self.environment = self.open()
        try:
            self.mark()
        except StateError:
            self.environment.close()
            raise

    def open(self) -> lmdb.Environment:
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            return lmdb.open(
                str(self.path),
                map_size=self.map_bytes,
                readonly=self.readonly,
                metasync=False,
                readahead=False,
                max_readers=MAX_READERS,
                max_spare_txns=8,
                create=True,
            )
        except lmdb.Error as error:
            raise StateError.damaged(self.path, str(error)) from None

    def mark(self) -> None:
        """Refuses a store of a newer format. Who may write stamps the format on a new one, and clears reader slots of processes that died."""
        if not self.readonly:
            self.environment.reader_check()
        with self.environment.begin(write=not self.readonly) as transaction:
            found = int(transaction.get(FORMAT_KEY, b"0"))
            if found > FORMAT:
                raise StateError.newer(self.path, found, FORMAT)
            if not found and not self.readonly:
                transaction.put(FORMAT_KEY, b"%d" % FORMAT)

    def make_writable(self) -> None:
        if self.readonly:
            self.environment.close()
            self.readonly = False
            self.environment = self.open()
            self.mark()

    @classmethod
    def take(cls, path: Path, map_bytes: int, *, readonly: bool) -> "Shared":
        path = path.resolve()
        shared = cls.opened.get(path) or cls(path, map_bytes)
        cls.opened[path] = shared
        shared.users += 1
        if not readonly:
            shared.make_writable()
        return shared

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.environment.close()
            del self.opened[self.path]


class LmdbState:
    """Implements `features.ports.StateStore`.

    Parameters
    ----------
    path : directory of the store; made when absent
    readonly : false in the one process that writes
    map_bytes : address space reserved; the file is sparse and grows as it fills

    Cost: get 2.5 us warm, 0.3 ms from a cold disk; commit 4-10 us per key and one fdatasync (bench/state_size).
    """

    def __init__(self, path: Path, *, readonly: bool = True, map_bytes: int = 64 * GIB) -> None:
        self.path, self.readonly = path, readonly
        self.shared: Shared | None = Shared.take(path, map_bytes, readonly=readonly)

    @property
    def environment(self) -> lmdb.Environment:
        if self.shared is None:
            raise StateError.damaged(self.path, "closed")
        return self.shared.environment

    def get(self, key: bytes) -> bytes | None:
        with self.environment.begin() as transaction:
            found: bytes | None = transaction.get(key)
        return found

    def get_with_offset(self, key: bytes) -> tuple[bytes | None, int]:
        with self.environment.begin() as transaction:
            return transaction.get(key), number(transaction.get(OFFSET_KEY))

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        with self.environment.begin() as transaction:
            return [transaction.get(key) for key in keys]

    def commit(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], offset: int) -> None:
        with self.writing() as transaction:
            for key in deletes:
                transaction.delete(key)
            for key, value in puts:
                transaction.put(key, value)
            transaction.put(OFFSET_KEY, offset.to_bytes(8, "little"))

    def offset(self) -> int:
        return number(self.get(OFFSET_KEY))

    def drop(self) -> None:
        with self.writing() as transaction:
            transaction.drop(self.environment.open_db(None, transaction), delete=False)
            transaction.put(FORMAT_KEY, b"%d" % FORMAT)

    def close(self) -> None:
        if self.shared is not None:
            self.shared.release()
            self.shared = None

    @contextmanager
    def writing(self) -> Iterator[lmdb.Transaction]:
        """A transaction that is committed whole, or not at all."""
        try:
            with self.environment.begin(write=True) as transaction:
                yield transaction
        except lmdb.MapFullError:
            raise StateError.full(self.path) from None
        except (lmdb.DiskError, OSError) as error:
            raise DiskFull.cannot_append(self.path, str(error)) from None
        except lmdb.ReadonlyError as error:
            raise StateError.damaged(self.path, str(error)) from None


def number(stored: bytes | None) -> int:
    return int.from_bytes(stored, "little") if stored else 0
