"""Claim `ingest_durable`: acknowledged, fsynced events per second in batches of 100, and what twenty kill -9 leave behind.

Eight callers send JSON bodies of 100 events each; a body is decoded and checked, committed with those of the others (as the server does it) and
acknowledged by a line on a pipe that the killing process reads. After a kill every caller goes on from its last acknowledged batch, which it sends
again. At the end the log must hold every acknowledged event, every event once, and offsets without a gap.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from claims import contestant, cpu_s, report

from vernal.clock import SystemClock
from vernal.config import Events
from vernal.engines.sqlite import SqliteLog
from vernal.events.groupcommit import GroupCommit
from vernal.events.reading import batches
from vernal.events.schema import Event, Kind
from vernal.events.wire import decode_events

CALLERS, BATCH, SECONDS, KILLS, SEED = 8, 100, 8.0, 20, 7
BAR = 10_000
TYPES = ("view", "click", "purchase")


def body(caller: int, batch: int) -> bytes:
    """What one caller sends: 100 events with ids, users and items as a shop has them."""
    events = [
        {"event_id": f"{caller}-{batch}-{i}", "type": TYPES[i % 3], "user": f"user-{(batch * 31 + i * 7) % 50_000}", "item": f"item-{(batch + i * i) % 20_000}"}
        | {"time": 1_700_000_000 + batch, "value": 9.5, "session": f"s-{batch}"}
        for i in range(BATCH)
    ]
    return json.dumps({"events": events}).encode()


async def call(group: GroupCommit, caller: int, batch: int) -> None:
    """One call of the API, without HTTP: decode, check, commit."""
    records = decode_events(body(caller, batch), SystemClock().now(), Events())
    await group.append(Kind.EVENTS, [record for record in records if isinstance(record, Event)])


def throughput(folder: str) -> dict[str, float]:
    """Acknowledged events per second of eight callers over `SECONDS`."""

    async def main() -> dict[str, float]:
        log = SqliteLog(Path(folder) / "log.db", SystemClock())
        group, acknowledged, began, cpu = GroupCommit(log, 2.0), itertools.count(), time.perf_counter(), cpu_s()

        async def caller(number: int) -> None:
            for batch in itertools.count():
                if time.perf_counter() - began > SECONDS:
                    return
                await call(group, number, batch)
                next(acknowledged)

        await asyncio.gather(*(caller(number) for number in range(CALLERS)))
        events, wall = next(acknowledged) * BATCH, time.perf_counter() - began
        await group.close()
        return {"events_per_s": events / wall, "cpu_us_per_event": (cpu_s() - cpu) / events * 1e6, "fsyncs_per_s": group.commits / wall}

    return asyncio.run(main())


def lone_caller(folder: str, batch: int) -> float:
    """Baseline: one caller, every call its own fsync, the same log."""
    log, began, n = SqliteLog(Path(folder) / "log.db", SystemClock()), time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS / 2:
        records = decode_events(body(0, n), SystemClock().now(), Events())[:batch]
        log.append(Kind.EVENTS, records)
        n += 1
    return n * batch / (time.perf_counter() - began)


def row_per_event(folder: str) -> float:
    """Baseline: a plain SQLite table with a row per event and its id as key, one transaction per batch of 100."""
    connection = sqlite3.connect(Path(folder) / "rows.db", isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE events(id TEXT PRIMARY KEY, body TEXT)")
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS / 2:
        rows = [(event["event_id"], json.dumps(event)) for event in json.loads(body(0, n))["events"]]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR IGNORE INTO events VALUES(?, ?)", rows)
        connection.execute("COMMIT")
        n += 1
    connection.close()
    return n * BATCH / (time.perf_counter() - began)


def disk_syncs(folder: str) -> float:
    """What the disk gives: appends of one body and an fdatasync, per second."""
    one, began, n = body(0, 0), time.perf_counter(), 0
    with (Path(folder) / "plain").open("ab", buffering=0) as file:
        while time.perf_counter() - began < SECONDS / 4:
            file.write(one)
            os.fdatasync(file.fileno())
            n += 1
    return n / (time.perf_counter() - began)


def victim(folder: str, starts: str) -> None:
    """The process that is killed: every caller goes on from its batch and says on stdout what was acknowledged."""

    async def main() -> None:
        group = GroupCommit(SqliteLog(Path(folder) / "log.db", SystemClock()), 2.0)

        async def caller(number: int, start: int) -> None:
            for batch in itertools.count(start):
                await call(group, number, batch)
                os.write(1, f"{number} {batch}\n".encode())

        await asyncio.gather(*(caller(number, start) for number, start in enumerate(json.loads(starts))))

    asyncio.run(main())


def kill_once(folder: str, last: list[int], wait_s: float) -> list[int]:
    """Starts the victim, kills it `wait_s` after its first acknowledgement; each caller's last acknowledged batch."""
    starts = json.dumps([max(0, batch) for batch in last])
    process = subprocess.Popen([sys.executable, __file__, "victim", folder, starts], stdout=subprocess.PIPE)
    assert process.stdout
    first = process.stdout.readline()
    time.sleep(wait_s)
    process.send_signal(signal.SIGKILL)
    output = first + process.communicate()[0]
    for line in output[: output.rfind(b"\n") + 1].splitlines():
        caller, batch = map(int, line.split())
        last[caller] = max(last[caller], batch)
    return last


def killed(folder: str) -> dict[str, int]:
    """Twenty kills over one log, then the count of what is there."""
    last, clock = [-1] * CALLERS, random.Random(SEED)
    for _ in range(KILLS):
        last = kill_once(folder, last, clock.uniform(0.05, 0.8))
    log, found, offsets = SqliteLog(Path(folder) / "log.db", SystemClock()), [], []
    for batch in batches(log, frozenset({Kind.EVENTS})):
        found += [record.event_id for record in batch.records]
        offsets += range(batch.first, batch.last + 1)
    log.close()
    kept = set(found)
    acked = {f"{caller}-{batch}-{i}" for caller, newest in enumerate(last) for batch in range(newest + 1) for i in range(BATCH)}
    gaps = sum(offset != place for place, offset in enumerate(offsets, 1))
    return {
        "acknowledged": len(acked),
        "lost": len(acked - kept),
        "doubled": len(found) - len(kept),
        "offset_gaps": gaps,
        "stored_unacknowledged": len(kept - acked),
    }


def run() -> dict[str, Any]:
    """The claim's result, without its name."""
    with tempfile.TemporaryDirectory(prefix="ingest") as root:
        folders = {name: tempfile.mkdtemp(dir=root) for name in ("main", "lone", "single", "rows", "disk", "kill")}
        main = contestant(throughput, folders["main"]).value
        lone = contestant(lone_caller, folders["lone"], BATCH).value
        single = contestant(lone_caller, folders["single"], 1).value
        rows = contestant(row_per_event, folders["rows"]).value
        syncs = contestant(disk_syncs, folders["disk"]).value
        kills = killed(folders["kill"])
    rate = main["events_per_s"]
    return {
        "bar": f">= {BAR:,} acknowledged, fsynced events/s in batches of {BATCH}; {KILLS} kill -9: 0 acknowledged lost, 0 doubled",
        "measured": {**main, "kills": KILLS, **kills},
        "unit": "events/s",
        "holds": rate >= BAR and kills["lost"] == kills["doubled"] == kills["offset_gaps"] == 0,
        "baselines": {
            "one caller, an fsync per batch of 100, same log (events/s)": lone,
            "one caller, an fsync per event, same log (events/s)": single,
            "SQLite with a row per event, an fsync per batch of 100 (events/s)": rows,
            "the disk: appends of one body with fdatasync (per s)": syncs,
            "ratio to a row per event": rate / rows,
            "ratio to one caller": rate / lone,
        },
        "seeds": [SEED],
        "notes": f"{CALLERS} callers with group commit, JSON decoded and checked, without HTTP. kill -9 tests the process, not the power. "
        "After each kill every caller sends its last acknowledged batch again. A row per event keeps ids unique but checks nothing and numbers no items.",
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["victim"]:
        victim(*sys.argv[2:4])
    else:
        report("ingest_durable", **run())
