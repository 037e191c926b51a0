"""Counts that outlive their process: what was counted of a log, with the offset up to which, in one small file.

In: a `Counting`. Out: the file, replaced whole; and from it the same counting, which goes on where it was. Its first bytes are a digest of the rest: a file
that is damaged, counts something else or knows more than the log holds is as good as none, and everything is counted again from the log. Users and slates stand
in it as hashes; an erased user leaves no row.
"""

from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from vernal.rollout.counting import Counting, Given, LeftOut
from vernal.serving.upkeep import written

DIGEST = 16
COLUMNS = {"sums": np.float64, "arms": np.int16, "segment": np.int32, "seen": np.int64}  # a row per user
Slated = tuple[int, int, int, int, bytes, bytes, bytes]


class Kept(msgspec.Struct, array_like=True):
    """A counting at rest."""

    of: str  # what is counted
    since: int  # UTC us, from when on
    offset: int
    left_out: LeftOut
    users: dict[int, int]
    erased: int
    columns: dict[str, bytes]
    newest: bytes
    segments: list[str]
    given: list[Slated]  # key, row, scenario, at, items, rewarded, teams
    early: list[tuple[int, int, list[bytes]]]


def keep(file: Path, counting: Counting, of: str, since: int) -> None:
    """Replaces the file. Cost: 2 us for each slate that still waits for rewards, and 0.3 us a user."""
    kept = Kept(
        of=of,
        since=since,
        offset=counting.offset,
        left_out=counting.left_out,
        users=counting.users,
        erased=counting.erased,
        columns={name: getattr(counting, name)[: counting.n].tobytes() for name in COLUMNS},
        newest=counting.newest.tobytes(),
        segments=list(counting.segments),
        given=[
            (key, given.row, given.scenario, given.at, given.items, given.rewarded.to_bytes(len(given.items) // 32 + 1, "little"), given.teams)
            for key, given in counting.given.items()
        ],
        early=[(key, at, items) for key, (at, items) in counting.early.items()],
    )
    content = msgspec.msgpack.encode(kept)
    written(file, blake2b(content, digest_size=DIGEST).digest() + content)


def restored(file: Path, counting: Counting, of: str, until: int) -> int | None:
    """Brings a fresh counting to where the file has it, and says since when (UTC us) it counts; none where it cannot.

    Parameters
    ----------
    until : the end of the log
    """
    kept = read(file)
    if kept is None or kept.of != of or kept.offset > until:
        return None
    counting.offset, counting.left_out, counting.users, counting.erased = kept.offset, kept.left_out, kept.users, kept.erased
    counting.n = len(kept.columns["arms"]) // np.dtype(COLUMNS["arms"]).itemsize
    for name, kind in COLUMNS.items():
        held: Any = getattr(counting, name)
        rows = np.frombuffer(kept.columns[name], kind).reshape(counting.n, *held.shape[1:])
        setattr(counting, name, np.concatenate([rows, held]))
    counting.newest = np.frombuffer(kept.newest, np.int64).copy()
    counting.segments = {name: code for code, name in enumerate(kept.segments)}
    counting.given = {
        key: Given(row, scenario, at, items, int.from_bytes(rewarded, "little"), teams) for key, row, scenario, at, items, rewarded, teams in kept.given
    }
    counting.early = {key: (at, items) for key, at, items in kept.early}
    return kept.since


def read(file: Path) -> Kept | None:
    """What a file holds; none where there is none, or one byte of it is not as it was written."""
    try:
        whole = file.read_bytes()
        if blake2b(whole[DIGEST:], digest_size=DIGEST).digest() != whole[:DIGEST]:
            return None
        return msgspec.msgpack.decode(whole[DIGEST:], type=Kept)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
