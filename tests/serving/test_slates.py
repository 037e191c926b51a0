"""Slates reach the log off the response path, wait for a log that is full, and their names never repeat."""

import asyncio

import pytest

from vernal.clock import ManualClock
from vernal.engines.sqlite import SqliteLog
from vernal.errors import DiskFull
from vernal.events.groupcommit import GroupCommit
from vernal.events.schema import Kind, Slate
from vernal.serving import slates as module
from vernal.serving.meters import Layout, Meter, Meters
from vernal.serving.slates import SlateLog, Tickets, seed_of


@pytest.fixture
def meters(tmp_path):
    return Meters(tmp_path / "meters", "api-0", Layout([Meter("vernal_slates_total", ""), Meter("vernal_slates_lost_total", "")]))


@pytest.fixture
def log(tmp_path):
    made = SqliteLog(tmp_path / "log.db", ManualClock())
    yield made
    made.close()


def slate(name):
    return Slate(name, 1, "u", "home", "champion", "", "full", b"{}", 1, 0, 0, 0, ["a"], b"", b"", b"", b"")


class FullOnce:
    """An append that has no room the first time."""

    def __init__(self, appends):
        self.appends, self.calls = appends, 0

    async def append(self, kind, records):
        self.calls += 1
        if self.calls == 1:
            raise DiskFull.cannot_append("log", "no room")
        return await self.appends.append(kind, records)


def logged(log):
    return [record.rec_id for batch in log.read(0, 10_000, frozenset({Kind.SLATES})) for record in batch.records]


def test_slates_are_appended_together(log, meters):
    async def answered():
        kept = SlateLog(GroupCommit(log, 0), meters)
        for k in range(100):
            kept.put(slate(f"r{k}"))
        await kept.close()

    asyncio.run(answered())
    assert logged(log) == [f"r{k}" for k in range(100)]
    assert len(list(log.read(0))) == 1


def test_slates_wait_in_order_for_a_log_without_room(log, meters, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0)

    async def answered():
        kept = SlateLog(FullOnce(GroupCommit(log, 0)), meters)
        for k in range(10):
            kept.put(slate(f"r{k}"))
        await kept.flush()
        kept.put(slate("r10"))
        await kept.close()

    asyncio.run(answered())
    assert logged(log) == [f"r{k}" for k in range(11)]


def test_beyond_what_is_kept_the_oldest_are_dropped_and_counted(log, meters, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 5)

    async def answered():
        kept = SlateLog(GroupCommit(log, 0), meters)
        for k in range(8):
            kept.put(slate(f"r{k}"))
        await kept.close()

    asyncio.run(answered())
    assert logged(log) == [f"r{k}" for k in range(3, 8)]
    assert meters.total("vernal_slates_lost_total") == 3


def test_names_sort_by_time_and_differ_between_workers_and_runs():
    now = 1_700_000_000_000_000
    names = [Tickets(worker).next(now + k).rec_id for worker in range(2) for k in range(2)]
    assert len(set(names)) == 4
    assert sorted(names)[0][:13] <= sorted(names)[-1][:13]


def test_the_seed_follows_from_the_name_alone():
    ticket = Tickets(0).next(5)
    assert ticket.seed == seed_of(ticket.rec_id)
    assert 0 <= ticket.seed < 2**63


class Slow:
    """An append that is under way until it is let go."""

    def __init__(self, appends):
        self.appends, self.begun, self.go = appends, asyncio.Event(), asyncio.Event()

    async def append(self, kind, records):
        self.begun.set()
        await self.go.wait()
        return await self.appends.append(kind, records)


def test_a_batch_under_way_at_the_end_is_waited_for(log, meters, monkeypatch):
    monkeypatch.setattr(module, "EVERY_S", 0)

    async def answered():
        slow = Slow(GroupCommit(log, 0))
        kept = SlateLog(slow, meters)
        running = asyncio.create_task(kept.run())
        kept.put(slate("r0"))
        await slow.begun.wait()
        closing = asyncio.create_task(kept.close())
        await asyncio.sleep(0)
        slow.go.set()
        await closing
        running.cancel()

    asyncio.run(answered())
    assert logged(log) == ["r0"]
