"""Starts the processes of a server and keeps them alive: N API workers that share a port, one stream worker, and the keeper behind them.

In: a command line per role. Out: a server that answers while any worker lives. A process that dies is started again (with a growing
pause when it dies young); a stop drains the workers first and the stream worker last, so what was acknowledged is folded.
The keeper, which watches and trains, is started when everybody else answers, and nobody waits for it.
Processes are started fresh, never forked from one that holds models, and nothing but the sentence of an error is shared.
"""

import errno
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from vernal.config import duration_s
from vernal.errors import EnvironmentProblem
from vernal.serving.children import Child, Role
from vernal.serving.keys import SCOPES, Keys
from vernal.serving.ports import Workspace

Command = Callable[[Role, int], list[str]]
Say = Callable[[str], None]
DRAIN_S = 15.0
YOUNG_S = 10.0
LONGEST_PAUSE_S = 5.0
TICK_S = 0.05
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class Member:
    """One place in the server and the process that fills it now."""

    role: Role
    index: int
    process: subprocess.Popen[bytes] | None = None
    ready_fd: int = -1
    ready: bool = False
    started: float = 0.0  # time.monotonic()
    deaths: int = 0  # in a row, each within YOUNG_S
    not_before: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.role}-{self.index}"


@dataclass
class Supervisor:
    """The processes of one server.

    Parameters
    ----------
    workspace : settings and places; its `server` lock is held while running
    command : role and index -> command line of that child, which must call `worker.run_child`
    host, port, workers : override the settings; port 0 = any free port
    say : gets one line per event (started, ready, died, stopped)
    """

    workspace: Workspace
    command: Command
    host: str
    port: int
    workers: int
    say: Say
    members: list[Member] = field(default_factory=list)
    stopping: bool = False
    folded: bool = False  # whether the stream worker was ready once: what API workers read exists from then on

    @property
    def require_keys(self) -> bool:
        asked = self.workspace.settings.serving.require_keys
        return self.host not in LOOPBACK if asked is None else asked or self.host not in LOOPBACK

    @property
    def address(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def run(self, on_ready: Callable[["Supervisor"], None]) -> None:
        """Serves until SIGTERM or SIGINT; calls `on_ready` once, when every process is ready.

        Raises
        ------
        StateError
            Another server runs on this data.
        EnvironmentProblem
            The port is in use.
        """
        with self.workspace.exclusive("server"), self.signals(), self.reserved(), Pipe() as lifeline, Pipe(blocking=False) as bell:
            self.first_key()
            self.members = [Member("stream", 0), *(Member("api", index) for index in range(self.workers))]
            announced = False
            try:
                while not self.stopping:
                    self.tend(lifeline, bell)
                    if not announced and all(member.ready for member in self.members):
                        announced = True
                        on_ready(self)
                        self.members += self.keepers()
            finally:
                self.drain()

    def keepers(self) -> list[Member]:
        """The keeper's place, filled after its first pause."""
        rollout = self.workspace.settings.rollout
        return [] if rollout.mode == "off" else [Member("keeper", 0, not_before=time.monotonic() + duration_s(rollout.look))]

    def first_key(self) -> None:
        """Makes and shows a key when keys are required and there is none yet."""
        keys = Keys(self.workspace.keys_path, self.workspace.clock)
        if self.require_keys and not keys.all():
            self.say(f"made the first API key, shown this once: {keys.add('first', SCOPES)}")

    def tend(self, lifeline: "Pipe", bell: "Pipe") -> None:
        """One look at every process: starts what is missing, hears who is ready."""
        for member in self.members:
            if member.process is not None and member.process.poll() is not None:
                self.buried(member)
            if member.process is None and time.monotonic() >= member.not_before and (self.folded or member.role == "stream"):
                self.start(member, lifeline, bell)
        waiting = {member.ready_fd: member for member in self.members if member.ready_fd >= 0}
        for descriptor in select.select(list(waiting), [], [], TICK_S)[0]:
            self.heard(waiting[descriptor])

    def start(self, member: Member, lifeline: "Pipe", bell: "Pipe") -> None:
        """Starts the process of one place.

        Parameters
        ----------
        lifeline : children hold its reading end, and learn from it that this process is gone
        bell : API workers ring it, the stream worker listens
        """
        ready_read, ready_write = os.pipe()
        bell_fd = {"stream": bell.read_fd, "api": bell.write_fd}.get(member.role, -1)
        child = Child(
            role=member.role,
            index=member.index,
            workers=self.workers,
            host=self.host,
            port=self.port,
            require_keys=self.require_keys,
            ready_fd=ready_write,
            life_fd=lifeline.read_fd,
            bell_fd=bell_fd,
        )
        passed = tuple(descriptor for descriptor in (ready_write, lifeline.read_fd, bell_fd) if descriptor >= 0)
        member.process = subprocess.Popen(self.command(member.role, member.index), env=child.environment(), pass_fds=passed)
        os.close(ready_write)
        member.ready_fd, member.ready, member.started = ready_read, False, time.monotonic()
        self.say(f"started {member.name} as process {member.process.pid}")

    def heard(self, member: Member) -> None:
        """A byte means ready; a closed pipe means that the process died first."""
        member.ready = bool(os.read(member.ready_fd, 1))
        self.folded |= member.ready and member.role == "stream"
        os.close(member.ready_fd)
        member.ready_fd = -1

    def buried(self, member: Member) -> None:
        """Forgets a dead process and decides when its place is filled again."""
        assert member.process is not None
        now = time.monotonic()
        member.deaths = member.deaths + 1 if now - member.started < YOUNG_S else 0
        pause = min(LONGEST_PAUSE_S, 0.1 * 2**member.deaths) if member.deaths > 1 else 0.0
        self.say(f"{member.name} (process {member.process.pid}) died with status {member.process.returncode}; starting it again in {pause:g} s")
        if member.ready_fd >= 0:
            os.close(member.ready_fd)
        member.process, member.ready_fd, member.ready, member.not_before = None, -1, False, now + pause

    def drain(self) -> None:
        """Ends the keeper and API workers, then the stream worker; whoever is not done in time is killed."""
        for role in ("keeper", "api", "stream"):
            processes = [member.process for member in self.members if member.role == role and member.process is not None]
            for process in processes:
                process.terminate()
            end = time.monotonic() + DRAIN_S
            for process in processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, end - time.monotonic()))
                if process.poll() is None:
                    process.kill()
                    process.wait()
        for member in self.members:
            if member.ready_fd >= 0:
                os.close(member.ready_fd)
        self.say("stopped")

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self.stopping = True

    def signals(self) -> "Signals":
        return Signals(self.stop)

    def reserved(self) -> socket.socket:
        """The port, bound but not listened on: children share it, nobody else gets it.

        Raises
        ------
        EnvironmentProblem
            Something listens there, or the address is not ours.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:  # without SO_REUSEPORT, so that another server is noticed
            bound(probe, self.host, self.port)
            self.port = probe.getsockname()[1]
        return bound(shared(family), self.host, self.port)


def shared(family: int) -> socket.socket:
    """A socket whose port several processes may listen on."""
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made


def bound(made: socket.socket, host: str, port: int) -> socket.socket:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise EnvironmentProblem.port_in_use(host, port) from None
        raise EnvironmentProblem.cannot_listen(host, port, error.strerror or str(error)) from None
    return made


class Signals:
    """SIGTERM and SIGINT call a function while the block runs."""

    def __init__(self, act: Callable[[int, FrameType | None], None]) -> None:
        self.act = act

    def __enter__(self) -> None:
        self.before = {number: signal.signal(number, self.act) for number in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_: object) -> None:
        for number, act in self.before.items():
            signal.signal(number, act)


class Pipe:
    """Two descriptors that children may hold; they end when this process does."""

    def __init__(self, *, blocking: bool = True) -> None:
        self.blocking = blocking

    def __enter__(self) -> "Pipe":
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, self.blocking)
        os.set_blocking(self.write_fd, self.blocking)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)
