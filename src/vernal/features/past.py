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
from vernal.features.popularity import LENGTH, newest_of
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
    catalogue : items known from the beginning
    room : how many there will be; default: those

    Cost: one pass a day; per hop 0.1 ms for 10^5 items and 1 us for each listed one; 1 us per item read out.
    """

    def __init__(self, plan: Plan, catalogue: Catalogue, room: int = 1) -> None:
        self.plan, self.state = plan, ItemState(plan, capacity=max(room, len(catalogue)))
        load_catalogue(self.state, catalogue)
        self.live = LiveItems(self)
        rows = self.state.shape.capacity
        self.chain, self.chained = Chain(np.full(rows, -1, np.int64), np.empty(0, np.int64)), 0
        self.bounds = np.zeros((len(plan.popular), rows), np.int64)  # no count of an item is above its bound, at the hop shown or any later one
        self.read_at = np.full(rows, -1, np.int64)  # hop of each item's values; -1 = none

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
            self.read_at[: state.n] = hop
        elif hop > shown or state.recent.n > self.chained or state.stale_newest or state.staged:
            self.glance(max(hop, shown), offset)
        else:
            self.table.header[OFFSET] = offset

    # How.

    @property
    def past(self) -> Past:
        tiles, newer = self.state.tiles, self.state.n + 1 - len(self.state.tiles.start)
        if newer > 0:  # items that came since the last pass have no tiles
            self.state.tiles = tiles = tiles._replace(start=np.append(tiles.start, np.full(newer, tiles.start[-1])))
        return Past(tiles, self.state.recent.columns, self.chain)

    def glance(self, hop: int, offset: int) -> None:
        """Shows a hop of the day of the last pass."""
        state, weights, item = self.state, self.plan.weights(hop), self.plan.item
        described = state.take_staged()
        state.add_recent()
        self.link_recent()
        if state.stale_top:  # what was hidden or shown changes how little is enough to be listed
            state.top[:-1] = -1
        popular = item.cells[list(self.plan.popular)]
        tops_within(state.top[:-1], self.bounds, state.flags, state.n, self.past, (item.amounts, popular, weights, hop))
        if state.stale_newest:
            state.top[-1] = newest_of(state.first_seen, state.flags, state.n)
        with state.publication() as table:
            state.show(table, described, offset)
            table.header[HOP] = hop

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
def recount(item, past, reading, counts):  # type: ignore[no-untyped-def]
    """Fills counts[:, item] with several ADD cells of an item at a hop. Weights only fall with age, so old tiles end the count once none weighs anything."""
    tiles, (_, times, types, values), chain = past
    amounts, cells, weights, at = reading
    slots, n_cells = len(weights), len(cells)
    counts[:, item] = 0
    event = chain.head[item]
    while event >= 0:
        slot = slot_of(at, times[event], slots)
        for cell in range(n_cells):
            counts[cell, item] += amount(amounts, types[event], cells[cell, MEASURE], np.int64(values[event])) * weights[slot, cells[cell, WEIGHT]]
        event = chain.link[event]
    for tile in range(tiles.start[item + 1] - 1, tiles.start[item] - 1, -1):
        slot, heaviest = slot_of(at, np.int64(tiles.tile[tile]) * 300, slots), np.int64(0)
        for cell in range(n_cells):
            weight = weights[slot, cells[cell, WEIGHT]]
            counts[cell, item] += tiles.amount[tile, cells[cell, MEASURE]] * weight
            heaviest = max(heaviest, weight)
        if heaviest == 0:
            break


@njit(cache=True, nogil=True)
def tops_within(tops, bounds, flags, n, past, reading):  # type: ignore[no-untyped-def]
    """`popularity.top_of` for several counts at a hop, in place, reading only items that may be in a list; bounds of those become their counts.

    The least count among the items of a full list before is a count that 500 items reach, so no item whose bound is below it is listed. Lists hardly change
    from hop to hop, so they are kept in order by insertion.
    """
    counted, counts, items = np.zeros(n, np.bool_), np.empty(LENGTH, np.int64), np.empty(LENGTH, np.int64)
    for place in range(len(tops)):
        top, bound, listed = tops[place], bounds[place], np.zeros(n, np.bool_)
        size, floor = 0, np.iinfo(np.int64).max if top[LENGTH - 1] >= 0 else 1
        for item in top:
            if item < 0:
                break
            if not counted[item]:
                recount(item, past, reading, bounds)
            counted[item], listed[item], floor = True, True, min(floor, bound[item])
            if bound[item] > 0 and not flags[item] & HIDDEN:
                size = insert(counts, items, size, bound[item], item)
        floor = max(floor, 1)
        for item in range(n):
            if bound[item] < floor or listed[item] or flags[item] & HIDDEN or (size == LENGTH and bound[item] < counts[-1]):
                continue
            if not counted[item]:
                recount(item, past, reading, bounds)
                counted[item] = True
            if bound[item] >= floor:
                size = insert(counts, items, size, bound[item], item)
        top[:size], top[size:] = items[:size], -1


@njit(cache=True, nogil=True)
def insert(counts, items, size, count, item):  # type: ignore[no-untyped-def]
    """Puts an entry where it ranks, the last one of a full list falling off; returns the new size."""
    place = size
    if size == LENGTH:
        place = LENGTH - 1
        if count < counts[place] or (count == counts[place] and item > items[place]):
            return size
    while place > 0 and (counts[place - 1] < count or (counts[place - 1] == count and items[place - 1] > item)):
        counts[place], items[place] = counts[place - 1], items[place - 1]
        place -= 1
    counts[place], items[place] = count, item
    return min(size + 1, LENGTH)


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
