"""The live item table: one flat buffer, written by one process and read by any number, in memory or in a shared file.

A sequence number in the header is odd while the writer publishes and moves by two for every publication, so a reader knows whether what it read
belongs together (`LiveItems.consistent`). Item values exist twice: the writer prepares a whole new hop in the idle half and then flips. Growth makes a
table in a new file; the old one is marked `moved`, and readers attach to the new one by themselves.

Stores are ordered on x86; on other machines the interpreter's own synchronisation between the few stores of a publication stands in for fences.
"""

import json
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.errors import StateError
from vernal.events.history import SLOTS
from vernal.features.popularity import LENGTH

FORMAT = 1
# Header fields, int64 each.
FORM, SEQUENCE, N, ACTIVE, HOP, OFFSET, MOVED, TEXT_BYTES, VOCABULARY_BYTES, CATALOGUE_VERSION, CAPACITY, VALUES, ATTRIBUTES, LISTS = range(14)
HEADER = 32
ALIGN = 64
CURRENT = "current"


@dataclass(frozen=True)
class Shape:
    """What decides the layout of a table."""

    capacity: int  # items there is room for; a power of two
    n_values: int
    n_attributes: int
    n_lists: int  # popularity lists and the list of the newest

    def fields(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Array name -> (shape, dtype), in file order."""
        n = self.capacity
        return {
            "header": ((HEADER,), np.int64),
            "top": ((self.n_lists, LENGTH), np.int32),
            "values": ((2, n, self.n_values), np.float32),
            "attributes": ((n, self.n_attributes, SLOTS), np.int32),
            "flags": ((n,), np.uint8),
            "first_seen": ((n,), np.uint32),  # UTC s of the first mention, 0 = none
            "text_at": ((n,), np.int64),  # where id and title stand in the text file
            "id_bytes": ((n,), np.uint16),
            "title_bytes": ((n,), np.uint16),
            "hashes": ((n,), np.uint32),  # crc32 of the id
            "index": ((2 * n,), np.int32),  # open addressing by hash: item number, -1 = free
        }

    def places(self) -> tuple[dict[str, int], int]:
        """(array name -> byte offset, total bytes)."""
        offsets, at = {}, 0
        for name, (shape, kind) in self.fields().items():
            offsets[name] = at
            at += (int(np.prod(shape)) * np.dtype(kind).itemsize + ALIGN - 1) // ALIGN * ALIGN
        return offsets, at


class Table:
    """The arrays of one buffer, as attributes named in `Shape.fields`."""

    header: NDArray[np.int64]
    top: NDArray[np.int32]
    values: NDArray[np.float32]
    attributes: NDArray[np.int32]
    flags: NDArray[np.uint8]
    first_seen: NDArray[np.uint32]
    text_at: NDArray[np.int64]
    id_bytes: NDArray[np.uint16]
    title_bytes: NDArray[np.uint16]
    hashes: NDArray[np.uint32]
    index: NDArray[np.int32]

    def __init__(self, buffer: Any, shape: Shape) -> None:
        self.shape = shape
        offsets, _ = shape.places()
        for name, (dimensions, kind) in shape.fields().items():
            array = np.frombuffer(buffer, kind, int(np.prod(dimensions)), offsets[name]).reshape(dimensions)
            setattr(self, name, array)
        self.halves = frozen(self.values[0]), frozen(self.values[1])
        self.frozen = {name: frozen(getattr(self, name)) for name in ("attributes", "flags", "first_seen", "top")}

    @classmethod
    def fresh(cls, shape: Shape, path: Path | None = None) -> "Table":
        """An empty table in memory, or in a new file of which only touched pages take room."""
        size = shape.places()[1]
        table = cls(np.zeros(size, np.uint8) if path is None else mapped(path, size), shape)
        table.header[[FORM, CAPACITY, VALUES, ATTRIBUTES, LISTS]] = FORMAT, shape.capacity, shape.n_values, shape.n_attributes, shape.n_lists
        table.top[:] = -1
        table.index[:] = -1
        return table

    @classmethod
    def attached(cls, path: Path) -> "Table":
        """A read-only view of a table file.

        Raises
        ------
        StateError
            The file is no table, shorter than its header says, or of a newer version.
        """
        with path.open("rb") as file:
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(buffer) < 8 * HEADER:
            raise StateError.damaged(path, "shorter than its header")
        header = np.frombuffer(buffer, np.int64, HEADER)
        if header[FORM] > FORMAT:
            raise StateError.newer(path, int(header[FORM]), FORMAT)
        shape = Shape(*(int(header[field]) for field in (CAPACITY, VALUES, ATTRIBUTES, LISTS)))
        if header[FORM] != FORMAT or len(buffer) != shape.places()[1]:
            raise StateError.damaged(path, "its size differs from its header")
        return cls(buffer, shape)

    def copy_into(self, other: "Table") -> None:
        """Copies everything to a larger table; the index is made anew."""
        n = int(self.header[N])
        keep = [field for field in range(HEADER) if field not in (CAPACITY, MOVED)]
        other.header[keep] = self.header[keep]
        other.top[:] = self.top
        other.values[:, :n] = self.values[:, :n]
        for name in ("attributes", "flags", "first_seen", "text_at", "id_bytes", "title_bytes", "hashes"):
            getattr(other, name)[:n] = getattr(self, name)[:n]
        index_items(other.index, other.hashes, 0, n)


Number = TypeVar("Number", bound=np.generic)


def frozen(array: NDArray[Number]) -> NDArray[Number]:
    """A read-only view, so that kernels see one kind of array whether the table is shared or not."""
    view = array.view()
    view.setflags(write=False)
    return view


def mapped(path: Path, size: int) -> mmap.mmap:
    """A new file of this size, mapped for writing."""
    with path.open("w+b") as file:
        file.truncate(size)
        return mmap.mmap(file.fileno(), size)


@njit(cache=True, nogil=True)
def index_items(index, hashes, first, last):  # type: ignore[no-untyped-def]
    """Enters items first..last-1, whose ids are distinct."""
    for item in range(first, last):
        spot = np.int64(hashes[item]) & (len(index) - 1)
        while index[spot] >= 0:
            spot = (spot + 1) & (len(index) - 1)
        index[spot] = item


class Texts:
    """Append-only bytes, read by place; in memory, or in a file that other processes read. An item's id and title lie next to each other."""

    def __init__(self, path: Path | None = None, *, writable: bool = True) -> None:
        self.path, self.kept = path, bytearray()
        self.file = None if path is None else os.open(path, (os.O_RDWR | os.O_CREAT | os.O_TRUNC) if writable else os.O_RDONLY, 0o644)
        self.end = 0
        self.view: mmap.mmap | None = None

    def append(self, content: bytes) -> int:
        """Adds content; returns where it begins."""
        at, self.end = self.end, self.end + len(content)
        if self.file is None:
            self.kept += content
        else:
            written = 0
            while written < len(content):
                written += os.pwrite(self.file, content[written:], at + written)
        return at

    def read(self, at: int, n_bytes: int) -> bytes:
        if self.file is None:
            return bytes(self.kept[at : at + n_bytes])
        if self.view is None or at + n_bytes > len(self.view):  # the file has grown
            size = os.fstat(self.file).st_size
            self.view = mmap.mmap(self.file, size, access=mmap.ACCESS_READ) if size else None
        return self.view[at : at + n_bytes] if self.view is not None else b""

    def close(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None


@dataclass(frozen=True)
class Place:
    """Where a table lives: `GENERATION.table`, and beside it the texts of its writer, `EPOCH.text` and `EPOCH.vocabulary`."""

    directory: Path
    generation: int
    epoch: int

    def file(self, kind: str) -> Path:
        return self.directory / f"{self.generation if kind == 'table' else self.epoch:06d}.{kind}"

    def grown(self) -> "Place":
        """The place of this writer's next, larger table."""
        return Place(self.directory, self.generation + 1, self.epoch)

    def make_current(self) -> None:
        """Points new readers here, atomically."""
        temporary = self.directory / f".{CURRENT}"
        temporary.write_text(json.dumps({"generation": self.generation, "epoch": self.epoch}), encoding="utf-8")
        os.replace(temporary, self.directory / CURRENT)

    def warn(self) -> None:
        """Tells readers attached here to look for a successor, which they do until there is one."""
        if self.file("table").exists():
            with self.file("table").open("r+b") as file:
                header = np.frombuffer(mmap.mmap(file.fileno(), 8 * HEADER), np.int64)
            header[MOVED] = 1

    def remove(self, successor: "Place") -> None:
        """Removes the files that the successor does not use; maps that are open stay valid."""
        for kind in ("table",) if successor.epoch == self.epoch else ("table", "text", "vocabulary"):
            self.file(kind).unlink(missing_ok=True)


def current(directory: Path) -> Place | None:
    """The place of the newest table of a directory; none before the first."""
    file = directory / CURRENT
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Place(directory, int(found["generation"]), int(found["epoch"]))
    except (ValueError, KeyError, TypeError):
        raise StateError.damaged(file, "unreadable") from None


def next_place(directory: Path) -> Place:
    """The place of a new writer: a generation and an epoch that nobody attached to."""
    directory.mkdir(parents=True, exist_ok=True)
    last = current(directory)
    return Place(directory, last.generation + 1, last.epoch + 1) if last else Place(directory, 1, 1)
