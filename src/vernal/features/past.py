"""Item state of a walk: the live item table read out where somebody looks.

A walk stops at thousands of moments, and at each of them a few hundred items matter: reading every item out at every hop would be nearly all of its cost.
Here a pass over everything happens once a day. In between, a hop makes the popularity lists anew, and an item's values are those of the hop once somebody asks
for them (`LiveItems.read_out`). Tiles, weights and read-outs are those of serving, and so are the bits (tests/features/test_past.py).
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.events.history import HIDDEN, Catalogue
from vernal.features.columns import Tiles, grown
from vernal.features.definition import Plan
from vernal.features.items import ItemState, load_catalogue
from vernal.features.live import LiveItems
from vernal.features.popularity import LENGTH, newest_of, offer, ordered
from vernal.features.program import ADD, MEASURE, OP, WEIGHT, amount, finish
from vernal.features.table import ACTIVE, HOP, OFFSET, Table, Texts
from vernal.features.tiles import read_tiles_of
from vernal.features.weights import slot_of
from vernal.terms import DAY_S


class Chain(NamedTuple):
    """Events since the last pass, linked by item, newest first; -1 = none."""

    head: NDArray[np.int64]  # (capacity,) newest event of each item
    link: NDArray[np.int64]  # (room,) the event of the same item before each event


class Past(NamedTuple):
    """Everything that items' sums are made of."""

    tiles: Tiles  # as of the last pass
    recent: tuple[NDArray[Any], ...]  # events since: items, times, types, values
    chain: Chain


class PastItems:
    """Item state that moves through history and answers for the items it is asked about.

    Parameters
    ----------
    plan : the compiled definitions
    catalogue : every item there will be; it has no past of its own

    Cost: one pass a day; per hop 0.1 ms for 10^5 items and 1 us for each listed one; 1 us per item read out.
    """

    def __init__(self, plan: Plan, catalogue: Catalogue) -> None:
        self.plan, self.state = plan, ItemState(plan, capacity=max(1, len(catalogue)))
        load_catalogue(self.state, catalogue)
        self.live = LiveItems(self)
        room = self.state.shape.capacity
        self.chain, self.chained = Chain(np.full(room, -1, np.int64), np.empty(0, np.int64)), 0
        self.bounds = np.zeros((len(plan.popular), room), np.int64)  # no count of an item is above its bound, at the hop shown or any later one
        self.read_at = np.full(room, -1, np.int64)  # hop of each item's values; -1 = none

    # What readers of the table need.

    @property
    def table(self) -> Table:
        return self.state.table

    @property
    def texts(self) -> Texts:
        return self.state.texts

    @property
    def vocabulary(self) -> Texts:
        return self.state.vocabulary

    def refresh(self) -> bool:
        return False

    def read_out(self, numbers: NDArray[np.int32] | None = None) -> None:
        """Makes the values of these items, or of all, those of the hop shown."""
        table, item = self.table, self.plan.item
        hop, rows = int(table.header[HOP]), table.values[table.header[ACTIVE]]
        wanted = np.arange(self.state.n, dtype=np.int32) if numbers is None else numbers
        read_items(wanted, self.past, (item.amounts, item.cells, item.outputs), self.plan.weights(hop), hop, self.state.cells, self.read_at, rows)

    # What comes in.

    def take(self, items: NDArray[np.int64], times: NDArray[np.int64], types: NDArray[np.uint8], values: NDArray[np.int32]) -> None:
        """Takes events (times UTC s); the next `advance` shows them."""
        self.state.fold(items, times, types, values)

    def see(self, numbers: NDArray[np.int64], seen_s: NDArray[np.int64]) -> None:
        """Notes a first mention (UTC s) of the items that had none; `numbers` are distinct."""
        self.state.see(numbers, seen_s)

    def advance(self, hop: int, offset: int) -> None:
        """Shows everything taken so far, as of `hop` (UTC s, multiple of 300) or of the present one when that is later."""
        state, shown = self.state, int(self.table.header[HOP])
        if hop // DAY_S > state.hop // DAY_S or not state.attached:
            state.advance(hop, offset)
            self.chain.head[:], self.chained = -1, 0
            self.bounds[:] = state.cells[:, self.plan.popular].T
            self.read_at[:] = hop
        elif hop > shown or state.recent.n > self.chained or state.stale_newest:
            self.glance(max(hop, shown), offset)
        else:
            self.table.header[OFFSET] = offset

    # How.

    @property
    def past(self) -> Past:
        return Past(self.state.tiles, self.state.recent.columns, self.chain)

    def glance(self, hop: int, offset: int) -> None:
        """Shows a hop of the day of the last pass."""
        state, weights, item = self.state, self.plan.weights(hop), self.plan.item
        state.add_recent()
        self.link_recent()
        for place, cell in enumerate(self.plan.popular):
            state.top[place] = top_within(state.top[place], self.bounds[place], state.flags, state.n, self.past, (item.amounts, item.cells[cell], weights, hop))
        if state.stale_newest:
            state.top[-1] = newest_of(state.first_seen, state.flags, state.n)
        with state.publication() as table:
            table.first_seen[: state.n], table.top[:] = state.first_seen[: state.n], state.top
            table.header[[HOP, OFFSET]] = hop, offset
        state.stale_newest = False

    def link_recent(self) -> None:
        """Links the newest events to their items, whose bounds rise by as much as an event can ever count."""
        columns, n, (head, link) = self.state.recent.columns, self.state.recent.n, self.chain
        if len(link) < n:
            self.chain = Chain(head, grown(link, len(columns[0])))
        popular, units = self.plan.item.cells[list(self.plan.popular)], self.plan.weights(0)[0]
        extend(columns, self.chained, n, self.chain, self.plan.item.amounts, popular, units, self.bounds, self.read_at)
        self.chained = n


@njit(cache=True, nogil=True)
def extend(columns, first, last, chain, amounts, popular, units, bounds, read_at):  # type: ignore[no-untyped-def]
    """Links events first..last-1, raises the bounds of their items and forgets that those were read out."""
    items, _, types, values = columns
    for event in range(first, last):
        item = items[event]
        chain.link[event], chain.head[item], read_at[item] = chain.head[item], event, -1
        for place in range(len(popular)):
            bounds[place, item] += amount(amounts, types[event], popular[place, MEASURE], np.int64(values[event])) * units[popular[place, WEIGHT]]


@njit(cache=True, nogil=True)
def count_of(item, past, reading):  # type: ignore[no-untyped-def]
    """One ADD cell of an item at a hop. Weights only fall with age, so old tiles end the count once they weigh nothing."""
    tiles, (_, times, types, values), chain = past
    amounts, cell, weights, at = reading
    measure, column, slots, total = cell[MEASURE], cell[WEIGHT], len(weights), np.int64(0)
    event = chain.head[item]
    while event >= 0:
        total += amount(amounts, types[event], measure, np.int64(values[event])) * weights[slot_of(at, times[event], slots), column]
        event = chain.link[event]
    for tile in range(tiles.start[item + 1] - 1, tiles.start[item] - 1, -1):
        weight = weights[slot_of(at, np.int64(tiles.tile[tile]) * 300, slots), column]
        if weight == 0:
            break
        total += tiles.amount[tile, measure] * weight
    return total


@njit(cache=True, nogil=True)
def top_within(before, bounds, flags, n, past, reading):  # type: ignore[no-untyped-def]
    """`popularity.top_of` for the counts at a hop, reading only items that may be in the list; bounds of those become their counts.

    The least count among the items of the list before is a count that 500 items reach, so no item whose bound is below it is listed.
    """
    counted, floor = np.zeros(n, np.bool_), np.iinfo(np.int64).max
    for item in before:
        if item >= 0:
            bounds[item], counted[item] = count_of(item, past, reading), True
            floor = min(floor, bounds[item])
    floor = max(floor, 1) if before[LENGTH - 1] >= 0 else 1
    heap_count, heap_item, size = np.empty(LENGTH, np.int64), np.empty(LENGTH, np.int64), 0
    for item in range(n):
        if bounds[item] < floor or flags[item] & HIDDEN or (size == LENGTH and bounds[item] <= heap_count[0]):
            continue
        if not counted[item]:
            bounds[item] = count_of(item, past, reading)
        if bounds[item] >= floor and (size < LENGTH or bounds[item] > heap_count[0]):
            size = offer(heap_count, heap_item, size, bounds[item], item)
    return ordered(heap_count, heap_item, size)


@njit(cache=True, nogil=True)
def read_items(numbers, past, program, weights, at, stamps, read_at, rows):  # type: ignore[no-untyped-def]
    """Reads items out at hop `at` unless they are; `stamps` has the cells that do not age."""
    tiles, (_, times, types, values), chain = past
    amounts, program_cells, outputs = program
    cells, slots = np.empty(len(program_cells), np.int64), len(weights)
    for item in numbers:
        if read_at[item] == at:
            continue
        for cell in range(len(program_cells)):
            cells[cell] = 0 if program_cells[cell, OP] == ADD else stamps[item, cell]
        read_tiles_of(tiles.tile, tiles.amount, tiles.start[item], tiles.start[item + 1], program_cells, weights, at, cells)
        event = chain.head[item]
        while event >= 0:
            slot = slot_of(at, times[event], slots)
            for cell in range(len(program_cells)):
                if program_cells[cell, OP] == ADD:
                    what = amount(amounts, types[event], program_cells[cell, MEASURE], np.int64(values[event]))
                    cells[cell] += what * weights[slot, program_cells[cell, WEIGHT]]
            event = chain.link[event]
        finish(outputs, cells, at, rows[item])
        read_at[item] = at
