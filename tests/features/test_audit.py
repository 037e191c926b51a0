from pathlib import Path

import msgspec
import numpy as np
from streaming import BEFORE_US, describe, send
from worlds import ITEMS, random_facts
from worlds import settings as world

from vernal.clock import ManualClock
from vernal.events.reading import read_history, type_codes
from vernal.events.schema import Item, Kind, Slate
from vernal.features.audit import audit
from vernal.features.definition import compile_plan
from vernal.features.fold import user_state
from vernal.features.pairs import pair_values
from vernal.features.records import user_key
from vernal.features.stream import StreamWorker
from vernal.features.weights import hop
from vernal.testing.memory import MemoryLog, MemoryState

SETTINGS = world()
PLAN = compile_plan(SETTINGS)
COLUMNS = ("retrieval.ials", *PLAN.names)


def slate(worker: StreamWorker, user: str, at: int) -> Slate:
    """A served slate of all items, with the features a ranker would have seen."""
    live, state = worker.items.live, user_state(PLAN, worker.state.get(user_key(user)), hop(at), worker.state.offset())
    pair = np.empty((ITEMS, len(PLAN.pair_names)), np.float32)
    pair_values(PLAN, state.ring, hop(at), np.arange(ITEMS), live.attributes, pair)
    seen = np.concatenate([np.full((ITEMS, 1), 0.5, np.float32), live.values[:ITEMS], np.tile(state.values, (ITEMS, 1)), pair], axis=1)
    numbers, ids = np.arange(ITEMS, dtype=np.uint32), [f"i{number}" for number in range(ITEMS)]
    offsets = {"user_offset": state.offset, "item_offset": live.offset, "hop": live.hop, "items": ids, "item_numbers": numbers.tobytes()}
    fixed = {"rec_id": f"{user}@{at}", "scenario": "home", "arm": "", "release": "r", "rung": "full", "request": b"{}", "seed": 0}
    return Slate(user=user, time=at, propensities=b"", scores=b"", features=np.ascontiguousarray(seen, np.float32).tobytes(), **fixed, **offsets)


def served_log(live_dir: Path) -> MemoryLog:
    """A log of events, catalogue changes and served slates."""
    clock = ManualClock(BEFORE_US)
    log = MemoryLog(clock)
    describe(log)
    worker = StreamWorker(log, MemoryState(), live_dir, PLAN, SETTINGS, clock)
    for number, fact in enumerate(random_facts(300, 1)):
        send(log, clock, fact, number)
        if number % 50 == 20:
            log.append(Kind.ITEMS, [Item(f"i{number % ITEMS}", attributes={"kind": ["new" if number > 100 else "b"]})])
        while worker.step():
            pass
        if number % 10 == 0:
            log.append(Kind.SLATES, [slate(worker, f"u{number % 3}", clock.now())])
    return log


def test_served_features_equal_those_recomputed_from_the_log(tmp_path: Path) -> None:
    report = audit(served_log(tmp_path), None, PLAN, SETTINGS, COLUMNS)
    assert (report.slates, report.rows, report.mismatches, report.rate) == (30, 150, 0, 0.0)
    assert report.values == 150 * len(PLAN.names)


def test_a_single_changed_bit_is_found_and_named(tmp_path: Path) -> None:
    log = served_log(tmp_path)
    batch = next(batch for batch in reversed(log.batches) if batch.kind is Kind.SLATES and batch.records[0].features)
    features = np.frombuffer(batch.records[0].features, np.uint32).copy()
    features[1] ^= 1
    batch.records[0] = msgspec.structs.replace(batch.records[0], features=features.tobytes())
    report = audit(log, None, PLAN, SETTINGS, COLUMNS)
    assert report.mismatches == 1
    assert (report.examples[0].item, report.examples[0].feature) == ("i0", PLAN.names[0])


def test_nothing_served_gives_an_empty_report() -> None:
    assert audit(MemoryLog(ManualClock()), None, PLAN, SETTINGS, COLUMNS).rate == 0.0


def test_what_was_served_after_a_history_was_read_is_left_out(tmp_path: Path) -> None:
    log = served_log(tmp_path)
    until = log.end() // 2
    history = read_history(log, None, type_codes(SETTINGS), until)
    report = audit(log, None, PLAN, SETTINGS, COLUMNS, until=until, history=history)
    assert (0 < report.slates < 30, report.mismatches) == (True, 0)
