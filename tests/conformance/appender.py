"""A process that appends to a log until it is done or killed, and says on stdout what was acknowledged: FOLDER SEED N."""

import sys
from pathlib import Path

from vernal.clock import SystemClock
from vernal.engines.sqlite import SqliteLog
from vernal.events.schema import Event, Kind

BATCH = 10


def main(folder: str, seed: str, n: str) -> None:
    log = SqliteLog(Path(folder) / "log.db", SystemClock())
    for start in range(0, int(n), BATCH):
        names = [f"{seed}-{start + position}" for position in range(BATCH)]
        log.append(Kind.EVENTS, [Event(name, "view", seed, name, 1) for name in names])
        print("\n".join(names))
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
