"""Who is answered by what: the shares of the traffic, and the arm of every user.

In: one small file, `data/rollout/traffic.json`, replaced whole. Out: `Traffic`, and for everybody one arm. Nothing is stored of a user: an arm follows from a
hash of who asks, so it is the same in every worker and after every restart, and widening a share keeps those who were in. The holdout comes first, then
experiments, then the canary, each by a hash of its own, so that who was in one says nothing about who is in the next.
"""

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from vernal.config import Rollout
from vernal.errors import StateError
from vernal.release import sync

FILE: Final = Path("rollout") / "traffic.json"
CHAMPION: Final = "champion"  # everybody else
HOLDOUT: Final = "holdout"
CANARY: Final = "canary"
INTERLEAVED: Final = "interleaved"
WHOLE: Final = 2**64


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A release on trial. Times are UTC us."""

    release: str
    against: str  # the release in charge when it began
    share: float = 0.0  # of those outside holdout and experiments; 0 = shadow: answers nobody sees
    begun_at: int = 0
    step_at: int = 0  # since when the share is what it is
    since: int = 0  # newest log offset at step_at
    held: bool = False  # a person keeps the share where it is
    reason: str = ""  # why it was made


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One way to answer; without a release that of whichever is in charge."""

    name: str
    release: str = ""
    settings: dict[str, Any] = {}  # key of vernal.toml under `scenarios` -> value instead


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison of variants, the first of which is what the others are compared with."""

    name: str
    variants: tuple[Variant, ...]
    share: float = 0.5  # of those outside the holdout and the experiments that began before
    begun_at: int = 0  # UTC us
    since: int = 0  # newest log offset when it began
    interleaved: bool = False  # one slate of both variants, position by position, instead of one variant for each user
    by: str = ""

    @property
    def arms(self) -> list[str]:
        """Names of its arms: a variant each, or the one that mixes them."""
        return [f"{self.name}/{INTERLEAVED}"] if self.interleaved else [f"{self.name}/{variant.name}" for variant in self.variants]


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """How traffic is shared out; a change is a new one with the next number."""

    number: int = 0
    at: int = 0  # UTC us
    by: str = ""
    reason: str = ""
    salt: str = "vernal"  # another one draws everybody's arm anew
    holdout: float = 0.0  # share that the best non-personalised list answers
    canary: Canary | None = None
    experiments: tuple[Experiment, ...] = ()


class Range(NamedTuple):
    """Those of a hash from `low` to below `high`, and their arm."""

    key: bytes
    low: int
    high: int
    arm: str


class Split:
    """Traffic made ready to be asked for arms.

    Example
    -------
    >>> canary = Canary(release="r0002", against="r0001", share=0.5)
    >>> narrow, wide = (Split(Traffic(canary=msgspec.structs.replace(canary, share=share))) for share in (0.2, 0.5))
    >>> users = [f"u{n}" for n in range(1000)]
    >>> exposed = [{user for user in users if split.arm(user) == CANARY} for split in (narrow, wide)]
    >>> exposed[0] < exposed[1], 450 < len(exposed[1]) < 550
    (True, True)
    """

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.ranges = [found for found in ranges(traffic) if found.high > found.low]

    def arm(self, who: str) -> str:
        """The arm of a user, or of an anonymous request by its rec_id. Cost: 1 us for every part of the traffic looked at."""
        last, place = b"", 0
        for key, low, high, arm in self.ranges:
            if key is not last:
                last, place = key, int.from_bytes(blake2b(who.encode(), digest_size=8, key=key).digest(), "big")
            if low <= place < high:
                return arm
        return CHAMPION


def ranges(traffic: Traffic) -> Iterator[Range]:
    """Every part of the traffic in the order of precedence."""
    yield Range(keyed(traffic.salt, HOLDOUT), 0, part(traffic.holdout), HOLDOUT)
    for experiment in traffic.experiments:
        key, arms = keyed(traffic.salt, "experiment", experiment.name), experiment.arms
        edges = [part(experiment.share * place / len(arms)) for place in range(len(arms) + 1)]
        yield from (Range(key, low, high, arm) for low, high, arm in zip(edges, edges[1:], arms, strict=False))
    if traffic.canary is not None:
        yield Range(keyed(traffic.salt, CANARY, traffic.canary.release), 0, part(traffic.canary.share), CANARY)


def keyed(*words: str) -> bytes:
    """The key of one hash."""
    return blake2b("\0".join(words).encode(), digest_size=32).digest()


def part(share: float) -> int:
    return min(WHOLE, round(share * WHOLE))


def arm_of(traffic: Traffic, who: str) -> str:
    """The arm of one user; whoever asks for many makes one `Split`."""
    return Split(traffic).arm(who)


def releases_of(traffic: Traffic) -> Iterator[str]:
    """Releases that arms answer from."""
    if traffic.canary is not None:
        yield traffic.canary.release
    for experiment in traffic.experiments:
        yield from (variant.release for variant in experiment.variants if variant.release)


def read_traffic(data: Path, rollout: Rollout) -> Traffic:
    """How traffic is shared out now. The share of the holdout is that of the settings; where nobody judges a canary, there is none.

    Raises
    ------
    StateError
        The file is not one.
    """
    file = data / FILE
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Traffic)
    except FileNotFoundError:
        found = Traffic()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError.damaged(file, str(error)) from None
    return msgspec.structs.replace(found, holdout=rollout.holdout, canary=None if rollout.mode == "off" else found.canary)


def write_traffic(data: Path, traffic: Traffic) -> None:
    """Replaces the file whole and for good: after a crash there is the old one or the new one."""
    file = data / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}")
    with fresh.open("wb") as stream:
        stream.write(msgspec.json.encode(traffic))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(fresh, file)
    sync(file.parent)
