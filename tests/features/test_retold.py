"""What a log is retold to have shown is what the stream worker's table showed then, bit for bit: items, catalogue, lists."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streaming import slate_of
from worlds import same
from worlds import settings as world

from vernal.clock import ManualClock
from vernal.events.reading import read_history, type_codes
from vernal.events.schema import Event, Item, Kind
from vernal.features.definition import compile_plan
from vernal.features.live import LiveItems
from vernal.features.retold import Retold
from vernal.features.stream import StreamWorker
from vernal.testing.memory import MemoryLog, MemoryState

SETTINGS = world()
PLAN = compile_plan(SETTINGS)
BEGIN_US = 1_700_000_000_000_000
ITEMS = 8


def told(rng: np.random.Generator, log: MemoryLog, clock: ManualClock, number: int) -> None:
    """One more record: an event, a slate, or what is said of an item."""
    item, what = int(rng.integers(ITEMS)), rng.random()
    if what < 0.6:
        event = Event(f"e{number}", ("view", "buy", "other")[rng.integers(3)], "u1", f"i{item}", clock.now() - int(rng.integers(0, 10**10)), value=1.0)
        log.append(Kind.EVENTS, [event])
    elif what < 0.8 or not log.items:
        kind, flags = f"k{rng.integers(4)}", rng.random(2) < 0.25
        log.append(Kind.ITEMS, [Item(f"i{item}", title=f"{number}", attributes={"kind": [kind]}, hidden=bool(flags[0]), deleted=bool(flags[1]))])
    else:
        log.append(Kind.SLATES, [slate_of(clock.now(), "u1", rng.integers(0, len(log.items), 3).astype(np.uint32))])


def shown(live: LiveItems) -> list[object]:
    n = live.n
    live.read_out()
    names = live.names(np.arange(n, dtype=np.int32))
    kinds = [[live.value(0, code) for code in row] for row in live.attributes[:n, 0].tolist()]
    return [
        n,
        live.hop,
        live.offset,
        names,
        [live.number(name) for name, _ in names],
        kinds,
        *(x.tolist() for x in (live.flags[:n], live.first_seen[:n], live.top)),
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), steps=st.lists(st.tuples(st.integers(0, 25), st.sampled_from([0, 40, 300, 7_200, 100_000])), min_size=2, max_size=7))
def test_at_every_stop_the_table_is_the_one_that_was_served(tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[tuple[int, int]]) -> None:
    rng, clock = np.random.default_rng(seed), ManualClock(BEGIN_US)
    log, tables = MemoryLog(clock), []
    worker = StreamWorker(log, MemoryState(), tmp_path_factory.mktemp("live"), PLAN, SETTINGS, clock)
    for records, seconds in steps:
        for _ in range(records):
            told(rng, log, clock, log.end())
            clock.advance(seconds=1)
        while worker.step():
            pass
        tables.append((shown(worker.items.live), worker.items.live.values[: worker.items.n].copy()))
        clock.advance(seconds=seconds)
    retold = Retold(PLAN, SETTINGS, read_history(log, None, type_codes(SETTINGS)), log)
    for table, values in tables:
        retold.through(table[2], table[1])
        assert shown(retold.live) == table
        assert same(retold.live.values[: len(values)], values)
    worker.close()
