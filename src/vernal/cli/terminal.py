"""What a verb says and where: the result on stdout, everything else on stderr, plain when nobody watches.

Invariant: stdout holds the result and nothing else, so `vernal VERB --json | jq` always works.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self, TextIO

from tqdm import tqdm

from vernal.errors import VernalError

BOLD, DIM, RED, RESET = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"
LABEL_WIDTH = 10
Progress = Callable[[str, int, int], None]  # (stage, done, total)


class Answer(NamedTuple):
    """What a verb found: the same thing as plain values and as text, and the exit status."""

    value: Any
    text: str
    status: int = 0


class Stage:
    """One line to be: a verb, then what was counted."""

    def __init__(self, label: str) -> None:
        self.label, self.counted = label, ""

    def counts(self, text: str) -> None:
        self.counted = text


class Terminal:
    """Where a verb writes.

    Parameters
    ----------
    out, err : results; everything else
    colour : ANSI colour on stderr
    bars : progress bars on stderr
    """

    def __init__(self, out: TextIO, err: TextIO, *, colour: bool = False, bars: bool = False) -> None:
        self.out, self.err, self.colour, self.bars = out, err, colour, bars

    @classmethod
    def standard(cls, environment: Mapping[str, str]) -> Self:
        """The process's own streams; colour and bars only for a person at a terminal who did not set NO_COLOR."""
        watched = sys.stderr.isatty()
        return cls(sys.stdout, sys.stderr, colour=watched and not environment.get("NO_COLOR"), bars=watched)

    def write(self, text: str) -> None:
        if text:
            print(text, file=self.out, flush=True)

    def say(self, text: str) -> None:
        print(text, file=self.err, flush=True)

    def painted(self, text: str, paint: str) -> str:
        return f"{paint}{text}{RESET}" if self.colour else text

    def fail(self, error: VernalError, *, as_json: bool = False) -> None:
        """The error with its stable code, on stderr."""
        if as_json:
            self.say(json.dumps({"error": error.as_dict()}, ensure_ascii=False, default=str))
        else:
            self.say(f"{self.painted(error.code, RED)} {error.sentence()}")

    @contextmanager
    def stage(self, label: str) -> Iterator[Stage]:
        """Times a stage and says `label  counts  seconds` when it is done; a stage that failed says nothing."""
        stage, began = Stage(label), time.perf_counter()
        yield stage
        took = f"{time.perf_counter() - began:.1f} s"
        self.say(f"{self.painted(label.ljust(LABEL_WIDTH), BOLD)} {stage.counted}  {self.painted(took, DIM)}")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A callback (stage, done, total) that draws one bar at a time; it draws nothing when nobody watches."""
        bars = Bars(self.err, shown=self.bars)
        try:
            yield bars
        finally:
            bars.close()


class Bars:
    """One tqdm bar, replaced when the stage changes and wiped when it ends."""

    def __init__(self, err: TextIO, *, shown: bool) -> None:
        self.err, self.shown, self.stage = err, shown, ""
        self.bar: tqdm[None] | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if not self.shown:
            return
        if stage != self.stage or self.bar is None:
            self.close()
            self.stage = stage
            self.bar = tqdm(total=total or None, desc=stage, file=self.err, leave=False, unit_scale=True, dynamic_ncols=True)
        self.bar.total = total or None
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        self.bar = None


class VerbParser(argparse.ArgumentParser):
    """An argument parser that remembers its arguments, so that the reference can be written from them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.documented: list[argparse.Action] = []
        super().__init__(*args, **kwargs)

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        action = super().add_argument(*args, **kwargs)
        self.documented.append(action)
        return action


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns; numbers to the right.

    >>> print(table(["item", "score"], [["milk", 1.5], ["bread", 12]]))
    item   score
    milk     1.5
    bread     12
    """
    cells = [[str(heading) for heading in headings], *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(headings))]
    lines = ("  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)).rstrip() for row in cells)
    return "\n".join(lines)


def shown(cell: object) -> str:
    """A cell as a table shows it: floats short, whole numbers with thousands apart."""
    if isinstance(cell, float):
        return f"{cell + 0.0:.4g}"  # -0.0 becomes 0
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
