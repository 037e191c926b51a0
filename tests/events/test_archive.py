from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from vernal.clock import ManualClock
from vernal.engines.sqlite import SqliteLog
from vernal.errors import StateError
from vernal.events import archive as module
from vernal.events.archive import Archive, bucket_of, day_of
from vernal.events.schema import Event, Item, Kind, Slate

DAY = 86_400_000_000
START = 1_600_000_000_000_000


def fill(log: SqliteLog, n: int, start: int = 0, user: str = "") -> None:
    """n events, ten a day."""
    events = [Event(f"e{start + i}", "view", user or f"u{i % 7}", f"i{i % 5}", START + (start + i) * DAY // 10, 1.5, properties={"n": i}) for i in range(n)]
    log.append(Kind.EVENTS, events, [event.time for event in events])


def offsets(root: Path, kind: str = "events") -> list[int]:
    """Every offset in every file, as any Parquet reader finds them."""
    files = list((root / kind).glob("day=*/bucket=*/part-*.parquet"))
    return sorted(offset for file in files for offset in pl.read_parquet(file, hive_partitioning=False)["offset"].to_list())


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def test_every_event_is_archived_once(log: SqliteLog, archive: Archive) -> None:
    fill(log, 100)
    assert (archive.sync(log), archive.sync(log), archive.end()) == (100, 0, 100)
    fill(log, 50, 100)
    assert (archive.sync(log), offsets(archive.path)) == (50, list(range(1, 151)))


def test_files_lie_by_day_of_arrival_and_bucket_of_user(log: SqliteLog, archive: Archive) -> None:
    fill(log, 40)
    archive.sync(log)
    for file in archive.path.glob("events/day=*/bucket=*/part-*.parquet"):
        frame = pl.read_parquet(file, hive_partitioning=False)
        day, bucket = file.parent.parent.name.removeprefix("day="), int(file.parent.name.removeprefix("bucket="))
        assert {day_of(at) for at in frame["received_at"].dt.epoch("us")} == {day}
        assert {bucket_of(user, 4) for user in frame["user"]} == {bucket}
        assert file.name == "part-000000000001-000000000040.parquet"


def test_columns_are_what_they_were(log: SqliteLog, archive: Archive) -> None:
    fill(log, 1)
    archive.sync(log)
    row = archive.events(["offset", "time", "type", "user", "item", "value", "event_id", "properties"]).row(0, named=True)
    at = datetime.fromtimestamp(START / 1e6, UTC)
    assert row == {"offset": 1, "time": at, "type": "view", "user": "u0", "item": "i0", "value": 1.5, "event_id": "e0", "properties": '{"n":0}'}


def test_duckdb_and_polars_read_it_as_it_is(log: SqliteLog, archive: Archive) -> None:
    fill(log, 100)
    archive.sync(log)
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    pattern = f"{archive.path}/events/**/*.parquet"
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT count(*), count(DISTINCT day), sum(value) FROM read_parquet('{pattern}', hive_partitioning=true)").fetchall()
    assert found == [(100, 11, 150.0)]
    assert pl.scan_parquet(pattern, hive_partitioning=True).filter(pl.col("bucket") >= 0).select(pl.len()).collect().item() == 100


def test_slates_have_their_own_folder(log: SqliteLog, archive: Archive, clock: ManualClock) -> None:
    numbers, floats = np.array([3, 4], np.uint32).tobytes(), np.array([0.5, 0.25], np.float32).tobytes()
    log.append(Kind.SLATES, [Slate("r", clock.now(), "u", "home", "a", "r1", "full", b'{"n":2}', 7, 1, 2, 300, ["x", "y"], numbers, floats, floats, b"")])
    log.append(Kind.ITEMS, [Item("i")])
    archive.sync(log)
    (file,) = archive.path.glob("slates/day=*/bucket=*/part-*.parquet")
    row = pl.read_parquet(file, hive_partitioning=False).row(0, named=True)
    assert (row["items"], row["item_numbers"], row["propensities"], row["request"]) == (["x", "y"], [3, 4], [0.5, 0.25], '{"n":2}')
    assert archive.end() == 2


class Crash(Exception):
    """The process is gone."""


@pytest.mark.parametrize("files", range(0, 40, 3))
def test_a_crash_at_any_file_leaves_every_event_once(log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """Dies after so many steps that make a file appear; more events come before the next sync."""
    fill(log, 100)
    monkeypatch.setattr(module, "RANGE", 60)
    steps = iter(range(files))
    whole: Any = module.settle

    def settle(temporary: Path, file: Path) -> None:
        if next(steps, None) is None:
            raise Crash
        whole(temporary, file)

    with monkeypatch.context() as patched:
        patched.setattr(module, "settle", settle)
        with pytest.raises(Crash):
            Archive(tmp_path / "archive").sync(log)
    fill(log, 30, 100)
    again = Archive(tmp_path / "archive")
    again.sync(log)
    assert (offsets(again.path), again.end()) == (list(range(1, 131)), 130)


def test_readers_see_only_whole_ranges(log: SqliteLog, archive: Archive) -> None:
    fill(log, 20)
    archive.sync(log)
    archive.note(archived=0, writing=20)  # as a reader finds it while the range is being written again
    assert archive.events(["offset"]).height == 0


def test_an_erased_user_is_gone_from_the_files(log: SqliteLog, archive: Archive) -> None:
    fill(log, 30)
    fill(log, 5, 30, user="to-be-forgotten")
    archive.sync(log)
    assert archive.erase("to-be-forgotten") == 5
    assert offsets(archive.path) == list(range(1, 31))
    assert not any(b"to-be-forgotten" in file.read_bytes() for file in archive.path.rglob("*") if file.is_file())


def test_an_erasure_does_not_wait_for_another_writer(archive: Archive) -> None:
    with archive.writer(wait=True) as mine:
        assert mine
        assert Archive(archive.path).erase("to-be-forgotten") is None


def test_archives_of_two_processes_share_one_progress(log: SqliteLog, archive: Archive) -> None:
    fill(log, 10)
    other = Archive(archive.path)
    assert archive.sync(log) > 0
    assert other.sync(log) == 0
    assert other.end() == archive.end()


def test_an_archive_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_archive.json").write_text('{"format": 9}')
    with pytest.raises(StateError, match="format 9"):
        Archive(tmp_path)
