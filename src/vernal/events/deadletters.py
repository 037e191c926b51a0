"""Dead letters: what was refused, with the reason, durably, until it is replayed or thrown away.

One JSON object per line in one file. A letter keeps what was sent, so that after a fix (a setting, a new version) `replay` can take it as if it
had just arrived; event ids make that safe to repeat. All processes of a server write to the same file.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from vernal.clock import Clock, SystemClock
from vernal.errors import DiskFull
from vernal.events.fields import Rejection
from vernal.events.ports import EventLog
from vernal.events.schema import Kind

FILE = "dead-letters.jsonl"  # its name in the data directory


class DeadLetter(msgspec.Struct, frozen=True):
    """One refused record."""

    at: int  # UTC us of the refusal
    source: str  # the route or file it came by
    kind: Kind
    rejection: Rejection


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did."""

    taken: int
    still_refused: int


Decode = Callable[[DeadLetter], Sequence[tuple[Kind, Any]]]  # the records in a letter by kind; a `Rejection` among them refuses it whole


class DeadLetters:
    """A file of letters.

    Parameters
    ----------
    path
        The file; made on the first letter.
    clock
        Gives the time of refusal; default: the machine's.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path, self.clock = path, clock or SystemClock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the file, among all threads and processes."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f"{self.path.name}.lock").open("a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def put(self, source: str, kind: Kind, rejections: Sequence[Rejection]) -> None:
        """Keeps refused records; durable when it returns.

        Raises
        ------
        DiskFull
            There is no room; the file is as it was.
        """
        if not rejections:
            return
        now = self.clock.now()
        text = b"".join(line_of(DeadLetter(now, source, kind, rejection)) for rejection in rejections)
        with self.locked(), self.path.open("ab") as file:
            size = file.seek(0, os.SEEK_END)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                os.ftruncate(file.fileno(), size)
                raise DiskFull.cannot_append(self.path, str(error)) from None

    def read(self) -> Iterator[DeadLetter]:
        """Every letter, oldest first; a torn last line (power loss) is passed over."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                letter = read_line(line)
                if letter is not None:
                    yield letter

    def __len__(self) -> int:
        return sum(1 for _ in self.read())

    def replay(self, decode: Decode, log: EventLog) -> Replayed:
        """Offers every letter to `decode` again: what it takes is appended and leaves the file, the rest stays with its new reason.

        A crash between the two leaves letters that were taken; their event ids make taking them again harmless.
        """
        with self.locked():
            kept, taken = [], 0
            for letter in self.read():
                made = decode(letter)
                refused = [record for _, record in made if isinstance(record, Rejection)]
                if refused:
                    kept.append(msgspec.structs.replace(letter, rejection=refused[0]))
                    continue
                for kind, record in made:
                    log.append(kind, [record])
                taken += 1
            self.rewrite(kept)
        return Replayed(taken, len(kept))

    def clear(self) -> int:
        """Throws every letter away; returns how many there were."""
        with self.locked():
            n = len(self)
            self.rewrite([])
        return n

    def rewrite(self, letters: Sequence[DeadLetter]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        with temporary.open("wb") as file:
            file.writelines(line_of(letter) for letter in letters)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)


def line_of(letter: DeadLetter) -> bytes:
    """A letter as one line; what JSON cannot hold (NaN, lone surrogates) is kept as text."""
    try:
        return msgspec.json.encode(letter) + b"\n"
    except (UnicodeEncodeError, TypeError):
        text = msgspec.structs.replace(
            letter.rejection, raw=repr(letter.rejection.raw), got=ascii(letter.rejection.got), message=ascii(letter.rejection.message)
        )
        return msgspec.json.encode(msgspec.structs.replace(letter, rejection=text)) + b"\n"


def read_line(line: bytes) -> DeadLetter | None:
    try:
        return msgspec.json.decode(line, type=DeadLetter)
    except msgspec.MsgspecError:
        return None
