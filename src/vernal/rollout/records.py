"""What the keeper writes down: decisions and trainings, one JSON line each, durable when `append` returns.

A file grows at its end; a line torn by a crash is passed over. One process appends, any number read.
"""

import os
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from vernal.rollout.policy import Decision

FOLDER: Final = "rollout"
Record = TypeVar("Record", bound=msgspec.Struct)


class Lines(Generic[Record]):
    """Records of one kind, oldest first.

    Example
    -------
    >>> import tempfile
    >>> class Note(msgspec.Struct):
    ...     text: str
    >>> notes = Lines(Path(tempfile.mkdtemp()) / "notes.jsonl", Note)
    >>> notes.append(Note("one"))
    >>> torn = notes.path.write_bytes(notes.path.read_bytes() + b'{"text": "to')
    >>> notes.append(Note("two"))
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


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """One training that the keeper began; written again with every step, the newest line of a beginning is what counts."""

    at: int  # UTC us, when it began
    reason: str
    outcome: Literal["running", "on trial", "promoted", "rolled back", "proposed", "refused", "failed"] = "running"
    ended_at: int = 0
    release: str = ""
    note: str = ""  # what the gate said, or why it failed
    judged: int = 0  # times its judgement began


def trainings(lines: Lines[Training]) -> list[Training]:
    """Every training as it stands, oldest first."""
    return list({training.at: training for training in lines.all()}.values())


def decisions_of(data: Path) -> Lines[Decision]:
    """The decisions of a data directory."""
    return Lines(data / FOLDER / "decisions.jsonl", Decision)


def trainings_of(data: Path) -> Lines[Training]:
    return Lines(data / FOLDER / "trainings.jsonl", Training)
