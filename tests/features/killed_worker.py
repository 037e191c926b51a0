"""A stream worker in a process of its own that kills itself some time after its first fold. Run by test_stream."""

import os
import signal
import sys
import threading
from pathlib import Path

from streaming import AFTER_US
from worlds import settings as world

from vernal.clock import ManualClock
from vernal.engines.lmdb import LmdbState
from vernal.engines.sqlite import SqliteLog
from vernal.features import stream
from vernal.features.definition import compile_plan


def main(root: Path, delay_s: float) -> None:
    stream.PAGE, stream.SNAPSHOT_EVERY = 100, 500  # many commits and snapshots to be killed in
    settings, clock = world(), ManualClock(AFTER_US)
    log, state = SqliteLog(root / "log.db", clock), LmdbState(root / "state", readonly=False, map_bytes=1 << 28)
    worker = stream.StreamWorker(log, state, root / "live", compile_plan(settings), settings, clock)
    threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
    while True:
        worker.step()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
