"""A file of JSON lines that grows at its end: one record a line, durable when `append` returns; a line torn by a crash is passed over."""

import os
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

Record = TypeVar("Record", bound=msgspec.Struct)


class Lines(Generic[Record]):
    """Records of one kind, oldest first. One process appends, any number read.

    Example
    -------
    >>> import tempfile
    >>> class Note(msgspec.Struct):
    ...     text: str
    >>> notes = Lines(Path(tempfile.mkdtemp()) / "notes.jsonl", Note)
    >>> notes.append(Note("one")); _ = notes.path.open("a").write('{"text": "to'); notes.append(Note("two"))
    >>> [note.text for note in notes.all()]
    ['one', 'two']
    """

    def __init__(self, path: Path, kind: type[Record]) -> None:
        self.path, self.kind = path, kind
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, record: Record) -> None:
        with self.path.open("ab+") as file:
            if file.seek(0, os.SEEK_END) and not self.whole(file):
                file.write(b"\n")
            file.write(msgspec.json.encode(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def whole(file: Any) -> bool:
        """Whether the last line has its end."""
        file.seek(-1, os.SEEK_END)
        return bool(file.read(1) == b"\n")

    def all(self, most: int | None = None) -> list[Record]:
        """Every record, or the newest `most`."""
        text = self.path.read_bytes() if self.path.exists() else b""
        lines = text.split(b"\n")
        return [record for line in (lines if most is None else lines[-most - 2 :]) if (record := self.read(line)) is not None][-most if most else None :]

    def read(self, line: bytes) -> Record | None:
        try:
            return msgspec.json.decode(line, type=self.kind) if line else None
        except msgspec.DecodeError:
            return None
