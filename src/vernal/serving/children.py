"""What a supervisor tells a child process, and how each notices that the other is gone.

Two pipes tie them: the child writes one byte when it is ready, and reads the end of a pipe that closes when the supervisor dies,
however it dies, so no child outlives its supervisor.
"""

import os
import select
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

import msgspec

from vernal.errors import EnvironmentProblem

Role = Literal["api", "stream", "keeper", "trainer"]  # the trainer is started by the keeper, the others by the supervisor
VARIABLE = "VERNAL_CHILD"
MOST_RUNG = 65_536  # bytes a pipe holds
LAST = 19  # the lowest priority there is
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), "1")


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """Who a child process is."""

    role: Role
    index: int
    workers: int
    host: str
    port: int
    require_keys: bool
    ready_fd: int
    life_fd: int
    bell_fd: int = -1  # API workers ring it when the log has grown, the stream worker listens; a trainer gets its order by one of its own; -1 = none

    @property
    def name(self) -> str:
        return f"{self.role}-{self.index}"

    def say_ready(self) -> None:
        """Tells the supervisor that this process does its work."""
        os.write(self.ready_fd, b"r")
        os.close(self.ready_fd)

    def ring(self) -> None:
        """Tells the stream worker that the log has grown. Cost: 1 us; a bell that has been rung often enough stays as it is."""
        with suppress(OSError):
            os.write(self.bell_fd, b"r")

    def listened(self, timeout_s: float) -> bool:
        """Waits for the bell, at most so long; says whether the supervisor is gone."""
        gone = self.orphaned(timeout_s, self.bell_fd)
        with suppress(BlockingIOError):
            os.read(self.bell_fd, MOST_RUNG)
        return gone

    def orphaned(self, timeout_s: float | None = 0.0, *wakes: int) -> bool:
        """Whether the supervisor is gone; waits up to `timeout_s` for that, or until it is, or until one of the descriptors `wakes` has something to read."""
        return self.life_fd in select.select([self.life_fd, *wakes], [], [], timeout_s)[0]

    def end_with_supervisor(self) -> None:
        """From now on this process ends when the supervisor is gone, whatever it does then: for work that may be cut off anywhere."""
        threading.Thread(target=lambda: self.orphaned(None) and os._exit(1), name="lifeline", daemon=True).start()

    def environment(self) -> dict[str, str]:
        """The environment this child is started with."""
        return {**os.environ, **ONE_THREAD, VARIABLE: msgspec.json.encode(self).decode()}


def stand_last() -> None:
    """Puts this process, threads to come and what it starts behind everything else, as far as the system knows priorities.

    Linux' idle class gives way the moment anybody else wants the core, and counts as the idle class of input and output too.
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, LAST)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def this_child(environment: Mapping[str, str] = os.environ) -> Child:
    """Who this process is, as its supervisor said."""
    try:
        return msgspec.json.decode(environment[VARIABLE], type=Child)
    except (KeyError, msgspec.DecodeError):
        raise EnvironmentProblem.not_a_child(VARIABLE) from None
