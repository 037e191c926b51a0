"""What every event log promises. An engine is one line in `ENGINES`."""

import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.clock import ManualClock
from vernal.engines.sqlite import SqliteLog
from vernal.events.ports import EventLog
from vernal.events.schema import Batch, Erasure, Event, Item, Kind, Slate, User

Open = Callable[[Path, ManualClock], EventLog]
ENGINES: dict[str, Open] = {"sqlite": lambda folder, clock: SqliteLog(folder / "log.db", clock)}
APPENDER = Path(__file__).with_name("appender.py")


@pytest.fixture(params=ENGINES)
def open_log(request: pytest.FixtureRequest) -> Open:
    return ENGINES[request.param]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(open_log: Open, clock: ManualClock, tmp_path: Path) -> Iterator[EventLog]:
    opened = open_log(tmp_path, clock)
    yield opened
    opened.close()


def event(event_id: str, user: str = "u", item: str = "", time: int = 1) -> Event:
    return Event(event_id, "view", user, item, time)


def everything(log: EventLog, limit: int = 10_000) -> list[Batch]:
    """All batches, read page by page."""
    out: list[Batch] = []
    while page := list(log.read(out[-1].last if out else 0, limit)):
        out += page
    return out


def stored(log: EventLog) -> list[tuple[int, object]]:
    return [(offset, record) for batch in everything(log) for offset, record in enumerate(batch.records, batch.first)]


def test_a_new_log_is_empty(log: EventLog) -> None:
    assert (log.end(), list(log.read(0)), log.items_after(0)) == (0, [], [])


def test_offsets_begin_at_one_and_have_no_gaps(log: EventLog) -> None:
    receipts = log.append(Kind.EVENTS, [event("a"), event("b")]) + log.append(Kind.USERS, [User("u")]) + log.append(Kind.EVENTS, [event("c")])
    assert [receipt.offset for receipt in receipts] == [1, 2, 3, 4]
    assert log.end() == 4


def test_every_kind_of_record_comes_back_as_it_went_in(log: EventLog) -> None:
    slate = Slate("r", 1, "u", "home", "a", "r1", "full", b"{}", 7, 1, 2, 300, ["i"], b"\0\0\0\0", b"\0\0\0\0", b"\0\0\0\0", b"")
    whole = Event("e", "view", "ü😀", "i", 5, 1.5, "s", "r", 3, {"a": [1, None, {"b": "c"}]})
    given_records = {
        Kind.EVENTS: whole,
        Kind.SLATES: slate,
        Kind.ITEMS: Item("i", "T", attributes={"g": ["x"]}),
        Kind.USERS: User("u"),
        Kind.ERASURES: Erasure("u", 1),
    }
    for kind, record in given_records.items():
        log.append(kind, [record])
    assert {batch.kind: batch.records[0] for batch in everything(log)} == given_records


def test_an_event_is_appended_once_whatever_is_sent_again(log: EventLog) -> None:
    log.append(Kind.EVENTS, [event("a"), event("b"), event("a")])
    receipts = log.append(Kind.EVENTS, [event("b", user="other"), event("c")])
    assert [(receipt.offset, receipt.duplicate) for receipt in receipts] == [(2, True), (3, False)]
    assert [record.event_id for _, record in stored(log)] == ["a", "b", "c"]  # type: ignore[attr-defined]


def test_arrival_never_goes_back_even_when_the_clock_does(log: EventLog, clock: ManualClock) -> None:
    log.append(Kind.EVENTS, [event("a")])
    clock.advance(seconds=-3_600)
    log.append(Kind.EVENTS, [event("b")])
    log.append(Kind.EVENTS, [event("c"), event("d")], [5, 6])
    arrivals = [batch.received_at for batch in everything(log)]
    assert arrivals == sorted(arrivals)


def test_imported_history_arrives_when_it_says(log: EventLog) -> None:
    log.append(Kind.EVENTS, [event(name) for name in "abc"], [10, 10, 30])
    assert [(batch.first, batch.received_at, len(batch.records)) for batch in everything(log)] == [(1, 10, 2), (3, 30, 1)]


def test_items_are_numbered_by_first_mention_in_the_log(log: EventLog) -> None:
    log.append(Kind.EVENTS, [event("1", item="b"), event("2", item=""), event("3", item="a"), event("4", item="b")])
    log.append(Kind.ITEMS, [Item("c"), Item("a")])
    log.append(Kind.EVENTS, [event("1", item="never mentioned: a repeated event")])
    assert (log.items_after(0), log.items_after(2)) == (["b", "a", "c"], ["c"])


def test_reading_starts_right_after_any_offset(log: EventLog) -> None:
    log.append(Kind.EVENTS, [event(str(n)) for n in range(7)], [1, 1, 2, 2, 2, 3, 3])
    log.append(Kind.EVENTS, [event("7"), event("8")])
    for after in range(10):
        assert [offset for batch in log.read(after) for offset in range(batch.first, batch.last + 1)] == list(range(after + 1, 10))


def test_reading_one_kind_leaves_the_others_out(log: EventLog) -> None:
    for n in range(4):
        log.append(Kind.EVENTS, [event(str(n))])
        log.append(Kind.ITEMS, [Item(str(n))])
    assert [batch.first for batch in log.read(2, kinds=frozenset({Kind.ITEMS}))] == [4, 6, 8]


def test_several_groups_are_one_append(log: EventLog) -> None:
    receipts = log.append_many([(Kind.EVENTS, [event("a")]), (Kind.ITEMS, [Item("i")]), (Kind.EVENTS, [event("a"), event("b")])])
    assert [[receipt.offset for receipt in group] for group in receipts] == [[1], [2], [1, 3]]


def test_a_record_that_cannot_be_written_leaves_nothing_of_its_call(log: EventLog) -> None:
    with pytest.raises(TypeError):
        log.append_many([(Kind.EVENTS, [event("a", item="i")]), (Kind.ITEMS, [Item("j", properties={"x": object()})])])
    assert (log.end(), log.items_after(0)) == (0, [])
    assert not log.append(Kind.EVENTS, [event("a")])[0].duplicate


def test_what_was_appended_is_there_after_reopening(log: EventLog, open_log: Open, clock: ManualClock, tmp_path: Path) -> None:
    log.append(Kind.EVENTS, [event("a", item="i")])
    log.close()
    again = open_log(tmp_path, clock)
    assert (stored(again), again.items_after(0), again.append(Kind.EVENTS, [event("a")])[0].duplicate) == ([(1, event("a", item="i"))], ["i"], True)
    again.close()


def test_erasing_a_user_leaves_the_offsets_of_the_others(log: EventLog) -> None:
    log.append(Kind.EVENTS, [event("1", "ann"), event("2", "bob"), event("3", "ann"), event("4", "eve")])
    log.append(Kind.USERS, [User("bob"), User("ann")])
    assert log.erase("ann") == 3
    assert [(offset, record.user) for offset, record in stored(log)] == [(2, "bob"), (4, "eve"), (5, "bob")]  # type: ignore[attr-defined]
    assert log.append(Kind.EVENTS, [event("1", "ann")])[0].duplicate


def test_no_byte_of_an_erased_user_stays_on_disk(log: EventLog, tmp_path: Path) -> None:
    name = "someone-to-be-forgotten"
    log.append(Kind.EVENTS, [event(str(n), name if n % 3 == 0 else f"user {n}", f"item {n}") for n in range(500)])
    log.append(Kind.ERASURES, [Erasure(name, 1)])
    log.erase(name)
    log.close()
    assert not any(name.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_a_page_of_erased_records_is_not_the_end(log: EventLog) -> None:
    log.append(Kind.EVENTS, [event(str(n), "ann") for n in range(20)])
    log.append(Kind.EVENTS, [event("last", "bob")])
    log.erase("ann")
    assert [batch.first for batch in log.read(0, limit=5)] == [21]


Ids = st.lists(st.sampled_from("abcdefgh"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(calls=st.lists(st.tuples(Ids, st.integers(-5, 50)), max_size=12), limit=st.integers(1, 5), engine=st.sampled_from(sorted(ENGINES)))
def test_the_log_is_a_list_of_first_deliveries(calls: list[tuple[list[str], int]], limit: int, engine: str) -> None:
    """Against the obvious model: a list and a dictionary."""
    with tempfile.TemporaryDirectory() as folder:
        clock = ManualClock()
        log = ENGINES[engine](Path(folder), clock)
        model: list[str] = []
        for ids, step in calls:
            clock.advance(seconds=step)
            for receipt, name in zip(log.append(Kind.EVENTS, [event(name, item=name) for name in ids]), ids, strict=True):
                assert receipt.duplicate == (name in model)
                model += [] if name in model else [name]
                assert receipt.offset == model.index(name) + 1
        assert [record.event_id for batch in everything(log, limit) for record in batch.records] == model
        assert (log.items_after(0), log.end()) == (model, len(model))
        log.close()


def start(folder: Path, seed: int, n: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(APPENDER), str(folder), str(seed), str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def acknowledged(process: "subprocess.Popen[bytes]") -> list[str]:
    """Ids of a process that were acknowledged: whole lines only."""
    output = process.communicate()[0]
    return [line.decode() for line in output[: output.rfind(b"\n") + 1].splitlines()]


def test_processes_append_at_once_and_each_event_is_there_once(log: EventLog, tmp_path: Path) -> None:
    processes = [start(tmp_path, seed, 400) for seed in (1, 1, 2)]  # two of them send the same events
    sent = {name for process in processes for name in acknowledged(process)}
    names = [record.event_id for _, record in stored(log)]  # type: ignore[attr-defined]
    assert sorted(names) == sorted(sent)
    assert [offset for offset, _ in stored(log)] == list(range(1, len(names) + 1))


def test_a_killed_process_loses_nothing_it_acknowledged_and_doubles_nothing(log: EventLog, tmp_path: Path) -> None:
    acked: list[str] = []
    for kill in range(4):
        process = start(tmp_path, kill, 10**9)
        assert process.stdout
        acked += [line.decode().strip() for line in itertools.islice(process.stdout, random.Random(kill).randrange(1, 400))]
        process.send_signal(signal.SIGKILL)
        acked += acknowledged(process)
    names = [record.event_id for _, record in stored(log)]  # type: ignore[attr-defined]
    assert set(acked) <= set(names)
    assert len(names) == len(set(names))


def test_batches_are_plain_values(log: EventLog) -> None:
    log.append(Kind.EVENTS, [event("a")])
    copies: Sequence[Batch] = [msgspec.structs.replace(batch) for batch in log.read(0)]
    assert copies == list(log.read(0))
