from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import random_facts, same
from worlds import settings as world

from vernal.config import Aggregate, Settings, View
from vernal.events.schema import Item
from vernal.features.definition import Plan, compile_plan
from vernal.features.items import ItemState
from vernal.features.popularity import LENGTH
from vernal.features.snapshot import Snapshot, restore

PLAN = compile_plan(world(horizon="5d"))
HOP = 1_700_000_100 + 12 * 86_400
N = 5


def columns(n: int, seed: int) -> tuple[np.ndarray, ...]:
    facts = [fact for fact in random_facts(n, seed) if fact.item >= 0 and fact.type]
    kinds = (np.int64, np.int64, np.uint8, np.int32)
    return tuple(
        np.array(column, kind) for column, kind in zip(zip(*[(f.item, f.time // 1_000_000, f.type, f.value) for f in facts], strict=True), kinds, strict=True)
    )


def items(plan: Plan = PLAN, n: int = N, directory: Path | None = None) -> ItemState:
    state = ItemState(plan, directory)
    state.mention([f"i{number}" for number in range(n)], 1)
    return state


def rows(state: ItemState) -> np.ndarray:
    return state.live.values[: state.n].copy()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), st.integers(0, 5)), max_size=6))
def test_any_mix_of_publications_hops_and_work_ahead_gives_the_same_table(seed: int, cuts: list[tuple[int, int, int]]) -> None:
    events = columns(300, seed)
    state, hop, begun = items(), HOP, 0
    state.advance(hop)
    for end, hops, ahead in sorted(cuts):
        state.fold(*(column[begun:end] for column in events))
        state.publish(end)
        for _ in range(ahead):
            state.prepare(hop + 300, 2)
        hop, begun = hop + 300 * hops, max(begun, min(end, len(events[0])))
        state.advance(hop)
    state.fold(*(column[begun:] for column in events))
    state.publish(300)
    whole = items()
    whole.fold(*events)
    whole.advance(hop)
    assert same(rows(state), rows(whole))
    assert (state.live.top == whole.live.top).all()


def test_the_lists_hold_the_greatest_counts_without_hidden_items() -> None:
    state, rng = items(n=1_200), np.random.default_rng(0)
    state.upsert(3, Item("i3", hidden=True))
    state.advance(HOP)
    for round_ in range(20):
        drawn = (1_200 * rng.random(400) ** 2).astype(np.int64)
        state.fold(drawn, HOP - rng.integers(0, 400_000, 400), np.full(400, 3, np.uint8), np.full(400, 1_000, np.int32))
        if round_ == 12:
            state.upsert(int(state.live.top[0, 0]), Item("", deleted=True))
        state.publish(round_)
    for place, column in enumerate(PLAN.popular):
        counts = np.where(state.flags[:1_200] & 2, 0, state.cells[:1_200, column])
        expected = np.lexsort((np.arange(1_200), -counts))[:LENGTH]
        assert state.live.top[place].tolist() == np.where(counts[expected] > 0, expected, -1).tolist()


def test_positives_below_their_least_value_are_not_popular() -> None:
    state = items()
    state.fold(np.array([0, 1]), np.array([HOP, HOP]), np.array([3, 3], np.uint8), np.array([499, 500], np.int32))
    state.advance(HOP)
    assert state.live.top[0, :2].tolist() == [1, -1]


def test_the_newest_are_described_items_in_order_of_first_mention() -> None:
    state = items()
    state.mention(["late", "later"], 50)
    for number in (0, 1, 5, 6):
        state.upsert(number, Item(f"n{number}", hidden=number == 1))
    state.see(np.array([0]), 99)
    state.advance(HOP)
    assert state.live.top[-1, :4].tolist() == [5, 6, 0, -1]


def test_a_snapshot_restores_the_same_table(tmp_path: Path) -> None:
    state, events = items(directory=tmp_path), columns(300, 1)
    state.fold(*(column[:200] for column in events))
    state.upsert(2, Item("i2", title="two", attributes={"kind": ["a"]}))
    state.advance(HOP, 7)
    state.fold(*(column[200:] for column in events))
    state.publish(8)
    Snapshot(state).write(tmp_path)
    again = restore(PLAN, tmp_path, 8)
    assert again
    again.advance(HOP)
    assert same(rows(again), rows(state))
    assert (again.live.top == state.live.top).all()
    assert (again.live.titles(2), again.live.number("i4"), again.live.known_values(0)) == ("two", 4, ["a"])


def test_a_snapshot_of_another_plan_or_cut_short_is_not_used(tmp_path: Path) -> None:
    state = items(directory=tmp_path)
    state.advance(HOP, 7)
    Snapshot(state).write(tmp_path)
    assert restore(compile_plan(world(history=32)), tmp_path, 8) is None
    next(tmp_path.glob("snapshot-*/amount.npy")).write_bytes(b"")
    assert restore(PLAN, tmp_path, 8) is None


def test_a_plan_without_item_views_has_a_table_without_values() -> None:
    plan = compile_plan(Settings(features={"one": View(entity="user", count=Aggregate())}))
    state = items(plan)
    state.fold(np.array([1]), np.array([HOP]), np.array([2], np.uint8), np.zeros(1, np.int32))
    state.advance(HOP)
    assert state.live.values.shape == (1_024, 0)
    assert state.live.top[0, :2].tolist() == [1, -1]
