"""What a walk shows of items is what the stream worker's table shows, bit for bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import catalogue, random_facts, same
from worlds import settings as world

from vernal.events.history import DESCRIBED, HIDDEN, Catalogue
from vernal.features.definition import compile_plan
from vernal.features.items import ItemState, load_catalogue
from vernal.features.past import PastItems
from vernal.features.popularity import LENGTH

PLAN = compile_plan(world(horizon="5d"))
HOP = 1_700_000_100
Columns = tuple[np.ndarray, ...]


def columns(n: int, seed: int) -> Columns:
    facts = [fact for fact in random_facts(n, seed) if fact.item >= 0 and fact.type]
    kinds = (np.int64, np.int64, np.uint8, np.int32)
    told = zip(*[(f.item, f.time // 1_000_000, f.type, f.value) for f in facts], strict=True)
    return tuple(np.array(column, kind) for column, kind in zip(told, kinds, strict=True))


def served(known: Catalogue, events: Columns, hop: int) -> ItemState:
    """The table of a stream worker that took these events."""
    state = ItemState(PLAN, capacity=max(1, len(known)))
    load_catalogue(state, known)
    state.fold(*events)
    state.advance(hop, 1)
    return state


def crowd(n: int) -> Catalogue:
    """A catalogue longer than a popularity list, every seventh item hidden."""
    ids = [f"i{number}" for number in range(n)]
    flags = np.full(n, DESCRIBED, np.uint8)
    flags[::7] |= HIDDEN
    return Catalogue(ids, ids, ids, ["kind", "shade"], np.zeros((n, 2, 4), np.int32), [[""], [""]], flags)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), steps=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 300)), min_size=1, max_size=8))
def test_items_read_out_at_any_stop_have_the_values_and_lists_of_serving(seed: int, steps: list[tuple[int, int]]) -> None:
    events, past, hop, end = columns(300, seed), PastItems(PLAN, catalogue()), HOP, 0
    for more, hops in steps:
        past.take(*(column[end : end + more] for column in events))
        end, hop = min(end + more, len(events[0])), hop + 300 * hops
        past.advance(hop, end)
        table = served(catalogue(), tuple(column[:end] for column in events), hop)
        past.live.read_out(np.arange(1, 5, dtype=np.int32))
        assert same(past.live.values[1:5], table.live.values[1:5])
        past.live.read_out()
        assert same(past.live.values[:5], table.live.values[:5])
        assert (past.live.top[:-1] == table.live.top[:-1]).all()
        assert (past.live.hop, past.live.offset) == (hop, end)


def test_full_lists_stay_exact_while_counts_fall_and_items_overtake() -> None:
    known, rng = crowd(1_200), np.random.default_rng(0)
    n, days = 30_000, 4
    times = np.sort(rng.integers(HOP - 2 * 86_400, HOP + days * 86_400, n))
    items = (rng.zipf(1.3, n) + times // 40_000) % 1_200
    events = (items, times, rng.integers(1, 4, n).astype(np.uint8), np.full(n, 1_000, np.int32))
    past, end = PastItems(PLAN, known), 0
    for hop in range(HOP, HOP + days * 86_400, 47 * 300):
        begin, end = end, int(np.searchsorted(times, hop))
        past.take(*(column[begin:end] for column in events))
        past.advance(hop, end)
        table = served(known, tuple(column[:end] for column in events), hop)
        assert (past.live.top[:-1] == table.live.top[:-1]).all()
    assert (past.live.top[0] >= 0).sum() == LENGTH


def test_a_stop_that_is_not_later_shows_what_came_since_as_of_the_present_hop() -> None:
    events, past = columns(200, 3), PastItems(PLAN, catalogue())
    past.take(*(column[:50] for column in events))
    past.advance(HOP, 50)
    past.take(*(column[50:] for column in events))
    past.advance(HOP - 300, 200)
    past.live.read_out()
    assert past.live.hop == HOP
    assert same(past.live.values[:5], served(catalogue(), events, HOP).live.values[:5])
