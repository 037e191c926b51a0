"""The keeper and the trainer as processes of a server, behind everything else.

In: the data directory. Out: decisions, and releases that nobody has judged yet, each with one small file that says how its training ended. Both may be killed
at any step: what they write is whole or not there, a draft that a trainer leaves is swept away by the next one, and the lock it held is gone with it. Both end
with their supervisor, however that ends.
"""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

import msgspec

from vernal.config import duration_s
from vernal.errors import StateError, VernalError
from vernal.monitoring.carrying import carry
from vernal.rollout.gate import judge
from vernal.rollout.keeper import Ended, Keeper
from vernal.rollout.mirroring import MirrorSpace
from vernal.rollout.ports import RolloutSpace
from vernal.serving.children import Child, stand_last
from vernal.training.ports import Tracker
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

KEEPER: Final = "keeper"
TRAINER: Final = "trainer"
OFTEN_S: Final = 600.0  # who trains as often as this has a trainer standing by, with its libraries loaded
TRIAL_S: Final = 1.0  # between two looks at a release on trial
log = logging.getLogger("vernal.rollout")


class Place(MirrorSpace, Protocol):
    """A space whose roles are locked; `app.Workspace` is one."""

    @property
    def tracker(self) -> Tracker: ...

    def exclusive(self, role: str) -> AbstractContextManager[IO[str]]: ...


def keep(place: Place, child: Child, trainer: list[str]) -> None:
    """What the keeper's process does: a look, a pause, until its supervisor is gone.

    Parameters
    ----------
    trainer : the command line of a trainer, which must call `train_once`
    """
    stood_behind(place, child)
    pause = duration_s(place.settings.rollout.look)
    often = duration_s(place.settings.rollout.cadence) <= OFTEN_S
    with place.exclusive(KEEPER):
        hands = TrainerProcess(place, child, trainer)
        keeper = Keeper(place, hands, place.tracker, place)
        child.say_ready()
        while True:
            look(keeper)
            if often:
                hands.stand_by()
            until = time.monotonic() + pause
            while keeper.trying.running and time.monotonic() < until:
                child.orphaned(TRIAL_S)
                attend(keeper)
            child.orphaned(max(0.0, until - time.monotonic()), *hands.ends)


def look(keeper: Keeper) -> None:
    """One look; what cannot be done now is said, and tried again at the next."""
    try:
        decision = keeper.tick()
        log.info("%s: %s", decision.act, decision.reason)
    except (VernalError, OSError) as error:
        log.error("not looked: %s", error)


def attend(keeper: Keeper) -> None:
    """One look at the release on trial; what cannot be done now is said, and tried again at the next."""
    try:
        keeper.attend()
    except (VernalError, OSError) as error:
        log.error("trial not looked at: %s", error)


def train_once(place: Place, child: Child, rehearse: Callable[[], object]) -> None:
    """What the trainer's process does: waits for its order, which comes with the lock of its role, and trains.

    Parameters
    ----------
    rehearse : called while there is no order yet, to load what a training needs
    """
    stood_behind(place, child)
    line = socket.socket(fileno=child.bell_fd)
    if not select.select([line], [], [], 0)[0]:
        rehearse()
    _, lock, *_ = socket.recv_fds(line, 1, 1)
    if not lock:
        return  # whoever would have given it is gone
    place.releases.sweep()
    say(place, trained(place, judged=True))
    place.archive.sync(place.log)  # the next training reads the log's past from there


def stood_behind(place: Place, child: Child) -> None:
    """Ties this process to its supervisor and lets everybody else go first; the log is opened before, for that takes a lock others wait for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s {child.name} %(levelname)s %(message)s")
    child.end_with_supervisor()
    _ = place.log
    stand_last()


def trained(place: Place, *, judged: bool = False) -> Ended:
    """One training; what stops it is its problem, and nobody else's.

    Parameters
    ----------
    judged : have the gate judge the release too, while everything it asks for is at hand; what stops that is met again by the keeper, who judges then
    """
    try:
        snapshot = Snapshot.of(place)
        release, _ = train(place, promote=False, snapshot=snapshot, carry=carry)
    except (VernalError, OSError) as error:
        return Ended(problem=str(error).replace("\n", " "))
    if judged:
        try:
            judge(place, release.name, snapshot=snapshot)
        except (VernalError, OSError) as error:
            log.error("not judged: %s", error)
    return Ended(release=release.name)


def word_of(place: RolloutSpace) -> Path:
    """The file in which a trainer says how it ended."""
    return place.data / "rollout" / "trained.json"


def say(place: RolloutSpace, ended: Ended) -> None:
    """Leaves the word, whole or not at all."""
    word_of(place).parent.mkdir(exist_ok=True)
    temporary = word_of(place).with_suffix(f".{os.getpid()}")
    temporary.write_bytes(msgspec.json.encode(ended))
    temporary.replace(word_of(place))


class Trainer(NamedTuple):
    """A process that trains once."""

    process: subprocess.Popen[bytes]
    line: socket.socket  # by which it gets its order; has something to read once it has ended


class TrainerProcess:
    """Hands that train in another process, which ends with the same supervisor as this one.

    The trainer gets the lock with its order, so from that moment to its last nobody else trains, whether its keeper lives or not.
    """

    def __init__(self, place: Place, child: Child, command: list[str]) -> None:
        self.place, self.child, self.command = place, child, command
        self.waiting: Trainer | None = None
        self.training: Trainer | None = None

    @property
    def ends(self) -> tuple[int, ...]:
        """What has something to read once a training of ours has ended."""
        return () if self.training is None else (self.training.line.fileno(),)

    @property
    def running(self) -> bool:
        """Whether the lock is held: by our trainer, by that of a keeper that died, or by a person's `vernal train`."""
        if self.training is not None and self.training.process.poll() is not None:  # no zombie stays
            self.training.line.close()
            self.training = None
        try:
            with self.place.exclusive(TRAINER):
                return False
        except StateError:
            return True

    def stand_by(self) -> None:
        """Has a trainer ready for the next order, unless one trains."""
        if self.waiting is not None and self.waiting.process.poll() is not None:
            self.waiting.line.close()
            self.waiting = None
        if self.waiting is None and self.training is None:
            self.waiting = self.spawned()

    def spawned(self) -> Trainer:
        ours, theirs = socket.socketpair()
        child = msgspec.structs.replace(self.child, role=TRAINER, bell_fd=theirs.fileno())
        with theirs:
            return Trainer(subprocess.Popen(self.command, env=child.environment(), pass_fds=(self.child.life_fd, theirs.fileno())), ours)

    def start(self, reason: str) -> None:
        self.stand_by()
        trainer, self.waiting = self.waiting or self.spawned(), None
        with self.place.exclusive(TRAINER) as lock:
            word_of(self.place).unlink(missing_ok=True)
            socket.send_fds(trainer.line, [b"t"], [lock.fileno()])
        self.training = trainer
        log.info("training began in process %d: %s", trainer.process.pid, reason)

    def finished(self) -> Ended | None:
        try:
            return msgspec.json.decode(word_of(self.place).read_bytes(), type=Ended)
        except FileNotFoundError:
            return None
