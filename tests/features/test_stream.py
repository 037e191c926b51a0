"""Online equals offline equals the plain definition, in any arrival order; a crash is a replay."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Fact, Oracle, as_float32
from streaming import AFTER_US, BEFORE_US, describe, send, slate_of
from worlds import ATTRIBUTES, ITEMS, USERS, facts, moments, random_facts, same
from worlds import settings as world

from vernal.clock import ManualClock
from vernal.engines.lmdb import LmdbState
from vernal.engines.sqlite import SqliteLog
from vernal.errors import DiskFull
from vernal.events.reading import read_catalogue, read_history, type_codes
from vernal.events.schema import Erasure, Event, Item, Kind
from vernal.features.definition import compile_plan
from vernal.features.fold import user_state
from vernal.features.join import point_in_time
from vernal.features.live import LiveItems
from vernal.features.pairs import pair_values
from vernal.features.records import user_key
from vernal.features.stream import StreamWorker
from vernal.features.weights import hop
from vernal.testing.memory import MemoryLog, MemoryState

SETTINGS = world()
PLAN = compile_plan(SETTINGS)


def served(worker: StreamWorker, live: LiveItems, user: int, at: int) -> np.ndarray:
    """Every item's row for a user, read the way a request reads it."""
    state = user_state(PLAN, worker.state.get(user_key(f"u{user}")), hop(at), worker.state.offset())
    pair = np.empty((ITEMS, len(PLAN.pair_names)), np.float32)
    pair_values(PLAN, state.ring, hop(at), np.arange(ITEMS), live.attributes, pair)
    return np.concatenate([live.values[:ITEMS], np.tile(state.values, (ITEMS, 1)), pair], axis=1)


def caught_up(worker: StreamWorker) -> StreamWorker:
    while worker.step():
        pass
    return worker


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(known=facts(), seed=st.integers(0, 10_000))
def test_online_equals_offline_equals_the_definition(tmp_path_factory: pytest.TempPathFactory, known: list[Fact], seed: int) -> None:
    rng, live_dir, clock = np.random.default_rng(seed), tmp_path_factory.mktemp("live"), ManualClock(BEFORE_US)
    log, state, oracle = MemoryLog(clock), MemoryState(), Oracle(SETTINGS, ATTRIBUTES)
    describe(log)
    worker, sent = StreamWorker(log, state, live_dir, PLAN, SETTINGS, clock), 0
    live = LiveItems.attach(live_dir)
    for at in sorted(moments(known, seed, n=4).tolist()):
        while sent < len(known) and known[sent].received_at < at:
            send(log, clock, known[sent], sent)
            sent += 1
            if rng.random() < 0.1:
                worker.step()
            if rng.random() < 0.03:
                worker.close()
                worker = StreamWorker(log, state, live_dir, PLAN, SETTINGS, clock)
        clock.at = max(clock.at, at)
        caught_up(worker)
        user = int(rng.integers(USERS))
        online = served(worker, live, user, at)
        assert same(online, as_float32([oracle.row(known, user, item, at) for item in range(ITEMS)]))
        assert same(online, offline(log, user, at))
    worker.close()


def offline(log: MemoryLog, user: int, at: int) -> np.ndarray:
    """The same rows by the bulk pass over the log."""
    history = read_history(log, None, type_codes(SETTINGS))
    code = history.users.index(f"u{user}") if f"u{user}" in history.users else -1
    return point_in_time(PLAN, history, read_catalogue(log, SETTINGS.items), np.full(ITEMS, code), np.arange(ITEMS), np.full(ITEMS, at))


def records_of(state: MemoryState) -> dict[bytes, bytes]:
    return {key: value for key, value in state.kept.items() if key.startswith(b"u:")}


def test_a_worker_that_vanished_is_continued_from_what_was_committed(tmp_path: Path) -> None:
    known, clock = random_facts(300, 1), ManualClock(BEFORE_US)
    log, state, whole = MemoryLog(clock), MemoryState(), MemoryState()
    describe(log)
    for number, fact in enumerate(known):
        send(log, clock, fact, number)
        if number % 40 == 7:  # a new worker each time, the old one never closed
            StreamWorker(log, state, tmp_path / "crashed", PLAN, SETTINGS, clock).step()
    crashed = caught_up(StreamWorker(log, state, tmp_path / "crashed", PLAN, SETTINGS, clock))
    fresh = caught_up(StreamWorker(log, whole, tmp_path / "whole", PLAN, SETTINGS, clock))
    assert records_of(state) == records_of(whole)
    assert same(crashed.items.live.values[:ITEMS], fresh.items.live.values[:ITEMS])


class FullState(MemoryState):
    """A store whose disk is full at every second commit."""

    commits = 0

    def commit(self, *args: object) -> None:  # type: ignore[override]
        self.commits += 1
        if self.commits % 2 == 0:
            raise DiskFull.cannot_append("state", "no space left")
        super().commit(*args)  # type: ignore[arg-type]


def test_a_full_disk_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    known, clock = random_facts(200, 2), ManualClock(BEFORE_US)
    log, state, whole = MemoryLog(clock), FullState(), MemoryState()
    describe(log)
    worker = StreamWorker(log, state, tmp_path / "full", PLAN, SETTINGS, clock)
    for number, fact in enumerate(known):
        send(log, clock, fact, number)
        try:
            worker.step()
        except DiskFull:
            continue
    state.commits = 0
    caught_up(worker)
    fresh = caught_up(StreamWorker(log, whole, tmp_path / "whole", PLAN, SETTINGS, clock))
    assert records_of(state) == records_of(whole)
    assert same(worker.items.live.values[:ITEMS], fresh.items.live.values[:ITEMS])


def test_another_plan_is_folded_again_from_the_log(tmp_path: Path) -> None:
    clock = ManualClock(BEFORE_US)
    log, state, other = MemoryLog(clock), MemoryState(), world(history=32)
    for number, fact in enumerate(random_facts(200, 3)):
        send(log, clock, fact, number)
    caught_up(StreamWorker(log, state, tmp_path, PLAN, SETTINGS, clock)).close()
    changed = caught_up(StreamWorker(log, state, tmp_path, compile_plan(other), other, clock))
    fresh = MemoryState()
    caught_up(StreamWorker(log, fresh, tmp_path / "fresh", compile_plan(other), other, clock))
    assert records_of(state) == records_of(fresh)
    assert changed.items.offset == log.end()


def test_an_erased_user_leaves_no_trace_in_users_or_items(tmp_path: Path) -> None:
    known, clock = random_facts(200, 4), ManualClock(BEFORE_US)
    log, state = MemoryLog(clock), MemoryState()
    describe(log)
    worker = StreamWorker(log, state, tmp_path / "live", PLAN, SETTINGS, clock)
    for number, fact in enumerate(known):
        send(log, clock, fact, number)
    caught_up(worker)
    log.append(Kind.ERASURES, [Erasure("u1", clock.now())])
    caught_up(worker)
    assert state.get(user_key("u1")) is None
    clean = MemoryLog(ManualClock(BEFORE_US))
    describe(clean)
    for number, fact in enumerate(fact for fact in known if fact.user != 1):
        send(clean, clean.clock, fact, number)  # type: ignore[arg-type]
    fresh = caught_up(StreamWorker(clean, MemoryState(), tmp_path / "fresh", PLAN, SETTINGS, clock))
    assert same(worker.items.live.values[:ITEMS], fresh.items.live.values[:ITEMS])


def test_a_user_may_come_back_after_an_erasure_in_the_same_page(tmp_path: Path) -> None:
    clock = ManualClock()
    log, state = MemoryLog(clock), MemoryState()
    log.append(Kind.EVENTS, [Event("1", "view", "ada", "i0", clock.now()), Event("2", "view", "ada", "i1", clock.now())])
    log.append(Kind.ERASURES, [Erasure("ada", clock.now())])
    log.append(Kind.EVENTS, [Event("3", "view", "ada", "i1", clock.now())])
    caught_up(StreamWorker(log, state, tmp_path, PLAN, SETTINGS, clock))
    assert user_state(PLAN, state.get(user_key("ada")), hop(clock.now()), 0).ring.item.tolist() == [1]


def test_a_changed_item_record_shows_in_the_table(tmp_path: Path) -> None:
    clock = ManualClock()
    log = MemoryLog(clock)
    log.append(Kind.ITEMS, [Item("i0", title="old", attributes={"kind": ["a"]})])
    worker = caught_up(StreamWorker(log, MemoryState(), tmp_path, PLAN, SETTINGS, clock))
    live = LiveItems.attach(tmp_path)
    before = live.catalogue_version
    log.append(Kind.ITEMS, [Item("i0", title="né 🎬", attributes={"kind": ["b", "a"]}, hidden=True)])
    worker.step()
    assert (live.titles(0), live.attributes[0, 0].tolist(), live.flags[0]) == ("né 🎬", [live.code(0, "b"), live.code(0, "a"), 0, 0], 3)
    assert live.catalogue_version > before
    assert live.top[-1, 0] == -1


def test_impressions_count_for_items_and_stay_out_of_users(tmp_path: Path) -> None:
    clock = ManualClock()
    log, state = MemoryLog(clock), MemoryState()
    describe(log)
    log.append(Kind.SLATES, [slate_of(clock.now(), "u0", np.array([0, 1], np.uint32))])
    worker = caught_up(StreamWorker(log, state, tmp_path, PLAN, SETTINGS, clock))
    column = PLAN.item_names.index("item_rate.rate.window_2d")
    assert state.get(user_key("u0")) is None
    assert worker.items.live.values[[0, 2], column].tolist() == [np.float32(3 * 0.05 / 4), np.float32(0.05)]


def test_kill_9_at_any_moment_is_a_replay(tmp_path: Path) -> None:
    known, clock = random_facts(3_000, 5), ManualClock(AFTER_US)
    log = SqliteLog(tmp_path / "log.db", clock)
    describe(log)
    for first in range(0, len(known), 100):
        events = [Event(f"e{n}", "view", f"u{f.user}", f"i{f.item}" if f.item >= 0 else "", f.time) for n, f in enumerate(known[first : first + 100], first)]
        log.append(Kind.EVENTS, events)
    for delay in np.random.default_rng(0).uniform(0.0, 0.4, 4):
        child = subprocess.Popen([sys.executable, str(Path(__file__).parent / "killed_worker.py"), str(tmp_path), str(delay)])
        assert child.wait(120) == -signal.SIGKILL
    state, whole = LmdbState(tmp_path / "state", readonly=False, map_bytes=1 << 28), MemoryState()
    worker = caught_up(StreamWorker(log, state, tmp_path / "live", PLAN, SETTINGS, clock))
    fresh = caught_up(StreamWorker(log, whole, tmp_path / "fresh", PLAN, SETTINGS, clock))
    assert [state.get(user_key(f"u{user}")) for user in range(USERS)] == [whole.get(user_key(f"u{user}")) for user in range(USERS)]
    assert same(worker.items.live.values[:ITEMS], fresh.items.live.values[:ITEMS])
    state.close()
    log.close()
    assert os.path.exists(tmp_path / "live" / "current")
