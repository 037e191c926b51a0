"""Changes of how traffic is shared out: one at a time, each with who and why, kept for good beside what stands now."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from vernal.rollout.ports import RolloutSpace
from vernal.rollout.records import FOLDER, Lines
from vernal.serving.traffic import Traffic, read_traffic, write_traffic

Change = Callable[[Traffic], Traffic]


def traffic_of(space: RolloutSpace) -> Traffic:
    """How it stands, whatever the mode."""
    return read_traffic(space.data, replace(space.settings.rollout, mode="automatic"))


def changed(space: RolloutSpace, by: str, reason: str, change: Change) -> Traffic:
    """Changes the traffic; workers follow within a fifth of a second. What the change raises, it leaves undone."""
    with alone(space.data):
        stands = traffic_of(space)
        wanted = change(stands)
        if wanted == stands:
            return stands
        wanted = replace(wanted, number=stands.number + 1, at=space.clock.now(), by=by, reason=reason)
        changes_of(space.data).append(wanted)
        write_traffic(space.data, wanted)
        return wanted


def changes_of(data: Path) -> Lines[Traffic]:
    """Every change, oldest first."""
    return Lines(data / FOLDER / "traffic.jsonl", Traffic)


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """One change at a time, by whichever process."""
    (data / FOLDER).mkdir(parents=True, exist_ok=True)
    with (data / FOLDER / "traffic.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
