"""What ties one user to each of many items: user x item and user x item.attribute values, read from the user's raw recent events.

Two stages keep it cheap: the ring is first summed up per distinct item, then per attribute value, so a candidate costs a few look-ups and
not a scan of the ring. A candidate with several values of an attribute gets the sum over its values (of counts), the newest (of times), the
extreme (of values). Attributes are those of the moment of reading.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.events.history import SLOTS
from vernal.features.definition import Plan
from vernal.features.ports import Ring
from vernal.features.program import ADD, DISTINCT, FIRST, LAST, LEAST, MEASURE, MEMBER, MOST, OP, RELATION, WEIGHT, amount, clear, finish
from vernal.features.readout import group_items
from vernal.features.records import newest_hop
from vernal.features.weights import slot_of


def pair_values(plan: Plan, ring: Ring, at: int, items: NDArray[np.integer], attributes: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """Fills `out` (n, n_pair_values) float32, in `Plan.pair_names` order, for n candidate item numbers.

    Parameters
    ----------
    ring : the user's raw recent events
    at : hop (UTC s) of the read-out
    items : (n,) item numbers; one without a row in `attributes` has none
    attributes : (n_items, n_attributes, SLOTS) int32 codes, 0 = none, as of now

    Cost: 20-40 us for 300 candidates and 200 events.
    """
    if plan.pair.n_values:
        events, n, at, weights, program = pair_query(plan, ring, at)
        pair_rows(events, n, at, weights, program, np.asarray(items, dtype=np.int64), attributes, out)


def pair_query(plan: Plan, ring: Ring, at: int) -> tuple[Any, ...]:
    """What `pair_rows` needs of a user at hop `at`, as plain tuples."""
    at = newest_hop(ring, at)
    return tuple(ring), len(ring.time), at, plan.weights(at), (plan.pair.amounts, plan.pair.cells, plan.pair.outputs)


@njit(cache=True, nogil=True)
def pair_rows(events, n, at, weights, program, items, attributes, out):  # type: ignore[no-untyped-def]
    """`pair_values` over events 0..n-1 (time, item, type, value), oldest first."""
    amounts, program_cells, outputs = program
    groups, heads = np.empty(n, np.int32), np.empty(max(n, 1), np.int64)
    n_groups = group_items(events[1], n, groups, heads)
    empty = np.empty(len(program_cells), np.int64)
    clear(program_cells, empty)
    sums = np.empty((n_groups + 1, len(program_cells)), np.int64)
    sum_groups(events, n, at, weights, amounts, program_cells, groups, empty, sums)
    by_item = index_of(heads[:n_groups])
    relations = program_cells[:, RELATION].max()
    local = places_within(program_cells, relations)
    codes = np.empty((relations, n_groups * SLOTS + 1), np.int64)
    code_sums = np.empty((relations, n_groups * SLOTS + 1, local.max() + 1), np.int64)
    tables = np.full((relations, table_size(n_groups * SLOTS)), -1, np.int32)
    for attribute in range(relations):
        sum_codes(attribute, program_cells, local, heads[:n_groups], sums, attributes, empty, codes[attribute], code_sums[attribute], tables[attribute])
    blank = np.empty(len(outputs), np.float32)
    finish(outputs, empty, at, blank)
    cells = empty.copy()
    for row in range(len(items)):
        item, touched = items[row], False
        cells[:] = empty
        group = find(by_item, heads, item)
        if group >= 0:
            for cell in range(len(program_cells)):
                if program_cells[cell, RELATION] == 0:
                    cells[cell] = sums[group, cell]
            touched = True
        for attribute in range(relations if 0 <= item < len(attributes) else 0):
            for place in range(SLOTS):
                code = np.int64(attributes[item, attribute, place])
                found = find(tables[attribute], codes[attribute], code) if code > 0 else -1
                if found >= 0:
                    for cell in range(len(program_cells)):
                        if program_cells[cell, RELATION] == attribute + 1:
                            cells[cell] = joined(program_cells[cell, OP], cells[cell], code_sums[attribute, found, local[cell]])
                    touched = True
        if touched:
            finish(outputs, cells, at, out[row])
        else:
            out[row] = blank


@njit(cache=True, nogil=True)
def sum_groups(events, n, at, weights, amounts, program_cells, groups, empty, sums):  # type: ignore[no-untyped-def]
    """Cells of every relation per distinct item of the ring."""
    times, types, values = events[0], events[2], events[3]
    slots = len(weights)
    for group in range(len(sums)):
        sums[group] = empty
    for event in range(n):
        group = groups[event]
        if group < 0:
            continue
        kind, value, time = types[event], np.int64(values[event]), np.int64(times[event])
        slot = slot_of(at, time, slots)
        for cell in range(len(program_cells)):
            op, measure, weight = program_cells[cell, OP], program_cells[cell, MEASURE], weights[slot, program_cells[cell, WEIGHT]]
            if op == ADD:
                sums[group, cell] += amount(amounts, kind, measure, value) * weight
            elif amounts[kind, measure, MEMBER]:
                if op == LAST:
                    sums[group, cell] = max(sums[group, cell], time)
                elif op == FIRST:
                    sums[group, cell] = min(sums[group, cell], time)
                elif weight > 0:
                    sums[group, cell] = min(sums[group, cell], value) if op == LEAST else max(sums[group, cell], value) if op == MOST else 1


@njit(cache=True, nogil=True)
def sum_codes(attribute, program_cells, local, heads, sums, attributes, empty, codes, code_sums, table):  # type: ignore[no-untyped-def]
    """Cells of one attribute's relation per value that occurs in the ring."""
    count = 0
    for group in range(len(heads)):
        item = heads[group]
        if item >= len(attributes):
            continue
        for place in range(SLOTS):
            code = np.int64(attributes[item, attribute, place])
            if code <= 0:
                continue
            spot = spot_of(table, codes, code)
            found, fresh = np.int64(table[spot]), table[spot] < 0
            if fresh:
                table[spot], codes[count], found = count, code, np.int64(count)
                count += 1
            for cell in range(len(program_cells)):
                if program_cells[cell, RELATION] == attribute + 1:
                    before = empty[cell] if fresh else code_sums[found, local[cell]]
                    code_sums[found, local[cell]] = joined(program_cells[cell, OP], before, sums[group, cell])


@njit(cache=True, nogil=True)
def joined(op, one, other):  # type: ignore[no-untyped-def]
    """Two cells of the same kind as one."""
    if op in (ADD, DISTINCT):
        return one + other
    return max(one, other) if op in (LAST, MOST) else min(one, other)


@njit(cache=True, nogil=True)
def places_within(program_cells, relations):  # type: ignore[no-untyped-def]
    """(n_cells,) int64: each cell's place among those of its relation."""
    counts, places = np.zeros(relations + 1, np.int64), np.empty(len(program_cells), np.int64)
    for cell in range(len(program_cells)):
        places[cell] = counts[program_cells[cell, RELATION]]
        counts[program_cells[cell, RELATION]] += 1
    return places


@njit(cache=True, nogil=True)
def table_size(n):  # type: ignore[no-untyped-def]
    size = 16
    while size < 2 * n:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def spot_of(table, keys, key):  # type: ignore[no-untyped-def]
    """The place in an open-addressing table where `key` is or belongs."""
    spot = (key * 2_654_435_761 >> 7) & (len(table) - 1)
    while table[spot] >= 0 and keys[table[spot]] != key:
        spot = (spot + 1) & (len(table) - 1)
    return spot


@njit(cache=True, nogil=True)
def find(table, keys, key):  # type: ignore[no-untyped-def]
    """The index of `key` in `keys`, or -1."""
    return table[spot_of(table, keys, key)]


@njit(cache=True, nogil=True)
def index_of(keys):  # type: ignore[no-untyped-def]
    """The open-addressing table of distinct keys."""
    table = np.full(table_size(len(keys)), -1, np.int32)
    for place in range(len(keys)):
        table[spot_of(table, keys, keys[place])] = place
    return table
