"""A small real log, and the data that lies beside the project."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vernal.clock import ManualClock
from vernal.engines.sqlite import SqliteLog

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(tmp_path: Path, clock: ManualClock) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "data" / "log.db", clock)
    yield opened
    opened.close()


@pytest.fixture
def shared() -> Path:
    if not SHARED.exists():
        pytest.skip("needs ../shared/data")
    return SHARED
