"""What is particular to the log in one SQLite file: room, damage, versions, threads."""

import resource
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vernal.clock import ManualClock
from vernal.engines.sqlite import SqliteLog
from vernal.errors import DiskFull, LogError, StateError
from vernal.events.schema import Event, Kind


def events(n: int, start: int = 0) -> list[Event]:
    return [Event(f"event {start + i}", "view", f"user {i}", f"item {i}", 1) for i in range(n)]


def test_a_full_disk_is_said_and_nothing_of_the_call_is_kept(tmp_path: Path, clock: ManualClock) -> None:
    log = SqliteLog(tmp_path / "log.db", clock, max_bytes=200_000)
    log.append(Kind.EVENTS, events(100))
    with pytest.raises(DiskFull, match=r"log\.db"):
        log.append(Kind.EVENTS, events(50_000, 100))
    assert (log.end(), sum(len(batch.records) for batch in log.read(0))) == (100, 100)
    log.close()


def test_ingest_recovers_by_itself_when_there_is_room_again(tmp_path: Path, clock: ManualClock) -> None:
    full = SqliteLog(tmp_path / "log.db", clock, max_bytes=200_000)
    with pytest.raises(DiskFull):
        full.append(Kind.EVENTS, events(50_000))
    assert full.append(Kind.EVENTS, events(10))[-1].offset == 10
    full.close()
    roomy = SqliteLog(tmp_path / "log.db", clock)
    assert not any(receipt.duplicate for receipt in roomy.append(Kind.EVENTS, events(50_000, 10)))
    roomy.close()


LIMITED = """
import resource, sys
from pathlib import Path
from vernal.clock import SystemClock
from vernal.engines.sqlite import SqliteLog
from vernal.errors import DiskFull
from vernal.events.schema import Event, Kind
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = SqliteLog(Path(sys.argv[1]), SystemClock())
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
acked = 0
try:
    while True:
        log.append(Kind.EVENTS, [Event(f"{acked + i}", "view", "u" * 50, "i", 1) for i in range(50)])
        acked += 50
except DiskFull as error:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert log.append(Kind.EVENTS, [Event("after", "view", "u", "i", 1)])[0].offset == acked + 1
print(acked)
"""


def test_writes_that_the_system_refuses_are_a_full_disk(tmp_path: Path, clock: ManualClock) -> None:
    """Real refused writes: the process may not make files larger than a limit."""
    run = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "log.db")], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    log = SqliteLog(tmp_path / "log.db", clock)
    assert sum(len(batch.records) for batch in log.read(0, 10**6)) == int(run.stdout) + 1 == log.end()
    log.close()


def test_a_flipped_bit_is_found_and_named(tmp_path: Path, clock: ManualClock) -> None:
    log = SqliteLog(tmp_path / "log.db", clock)
    log.append(Kind.EVENTS, events(3))
    connection = sqlite3.connect(tmp_path / "log.db")
    connection.execute("UPDATE batches SET payload = CAST(replace(payload, 'user', 'uzer') AS BLOB)")
    connection.commit()
    connection.close()
    with pytest.raises(LogError, match=r"offsets 1\.\.3"):
        list(log.read(0))
    log.close()


def test_a_log_of_a_newer_version_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    connection = sqlite3.connect(tmp_path / "log.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StateError, match="format 99"):
        SqliteLog(tmp_path / "log.db", clock)


def test_a_file_that_is_no_log_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "log.db").write_bytes(b"certainly no database" * 100)
    with pytest.raises(LogError, match="not a database"):
        SqliteLog(tmp_path / "log.db", clock)


def test_threads_share_one_log(log: SqliteLog) -> None:
    with ThreadPoolExecutor(4) as threads:
        receipts = [r for found in threads.map(lambda n: log.append(Kind.EVENTS, events(20, n * 20)), range(10)) for r in found]
    assert sorted(receipt.offset for receipt in receipts) == list(range(1, 201))


def test_the_newest_offset_is_cheap_to_ask_for(log: SqliteLog) -> None:
    log.append(Kind.EVENTS, events(100))
    before = resource.getrusage(resource.RUSAGE_THREAD)
    for _ in range(1_000):
        log.end()
    after = resource.getrusage(resource.RUSAGE_THREAD)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 0.1  # 20 us promised, five times that allowed here
