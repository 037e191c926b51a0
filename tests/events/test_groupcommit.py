import asyncio
from pathlib import Path
from typing import Any

import pytest

from vernal.clock import ManualClock
from vernal.engines.sqlite import SqliteLog
from vernal.errors import DiskFull
from vernal.events.groupcommit import GroupCommit
from vernal.events.schema import Event, Item, Kind


def event(name: str) -> Event:
    return Event(name, "view", "u", "i", 1)


def run(log: SqliteLog, calls: list[tuple[Kind, list[Any]]], commit_ms: float = 1.0) -> tuple[list[Any], int]:
    """All calls at once through one group commit; their answers (or errors), and the number of commits."""

    async def main() -> tuple[list[Any], int]:
        group = GroupCommit(log, commit_ms)
        answers = await asyncio.gather(*(group.append(kind, records) for kind, records in calls), return_exceptions=True)
        await group.close()
        return answers, group.commits

    return asyncio.run(main())


def test_calls_at_once_share_one_commit(log: SqliteLog) -> None:
    answers, commits = run(log, [(Kind.EVENTS, [event(f"{n}a"), event(f"{n}b")]) for n in range(50)])
    assert commits == 1
    assert [[receipt.offset for receipt in answer] for answer in answers] == [[2 * n + 1, 2 * n + 2] for n in range(50)]


def test_every_caller_gets_the_receipts_of_its_own_records(log: SqliteLog) -> None:
    answers, _ = run(log, [(Kind.EVENTS, [event("a")]), (Kind.ITEMS, [Item("i")]), (Kind.EVENTS, [event("a"), event("b")]), (Kind.EVENTS, [])])
    assert [[(receipt.offset, receipt.duplicate) for receipt in answer] for answer in answers] == [[(1, False)], [(3, False)], [(1, True), (2, False)], []]


def test_a_record_that_cannot_be_written_fails_only_its_own_call(log: SqliteLog) -> None:
    answers, _ = run(log, [(Kind.EVENTS, [event("a")]), (Kind.ITEMS, [Item("i", properties={"x": object()})]), (Kind.EVENTS, [event("b")])])
    assert isinstance(answers[1], TypeError)
    assert [answers[0][0].offset, answers[2][0].offset] == [1, 2]


def test_a_full_disk_is_told_to_every_caller_and_passes(tmp_path: Path, clock: ManualClock) -> None:
    log = SqliteLog(tmp_path / "small.db", clock, max_bytes=100_000)
    answers, _ = run(log, [(Kind.EVENTS, [event(f"{n} {i}") for i in range(2_000)]) for n in range(3)])
    assert all(isinstance(answer, DiskFull) for answer in answers)
    assert run(log, [(Kind.EVENTS, [event("small")])])[0][0][0].offset == 1
    log.close()


def test_a_caller_that_gave_up_does_not_hold_the_others(log: SqliteLog) -> None:
    async def main() -> int:
        group = GroupCommit(log, 5.0)
        impatient = asyncio.create_task(group.append(Kind.EVENTS, [event("a")]))
        patient = asyncio.create_task(group.append(Kind.EVENTS, [event("b")]))
        await asyncio.sleep(0)
        impatient.cancel()
        receipts = await patient
        await group.close()
        return receipts[0].offset

    assert asyncio.run(main()) == 2


def test_what_was_acknowledged_is_in_the_log(log: SqliteLog) -> None:
    run(log, [(Kind.EVENTS, [event(str(n))]) for n in range(30)])
    assert {record.event_id for batch in log.read(0) for record in batch.records} == {str(n) for n in range(30)}


def test_large_calls_are_spread_over_commits(log: SqliteLog) -> None:
    answers, commits = run(log, [(Kind.EVENTS, [event(f"{n} {i}") for i in range(15_000)]) for n in range(3)])
    assert commits == 2
    assert sorted(receipt.offset for answer in answers for receipt in answer) == list(range(1, 45_001))


@pytest.mark.parametrize("commit_ms", [0.0, 2.0])
def test_any_linger_will_do(log: SqliteLog, commit_ms: float) -> None:
    assert run(log, [(Kind.EVENTS, [event("a")])], commit_ms)[0][0][0].offset == 1
