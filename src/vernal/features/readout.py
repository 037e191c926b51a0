"""Cells read from raw events: what the online record, the batch pass and the walk all call."""

import numpy as np
from numba import njit

from vernal.features.program import ADD, DISTINCT, FIRST, LAST, LEAST, MEASURE, MEMBER, MOST, NEWEST, OP, WEIGHT, amount
from vernal.features.records import NO_ITEM
from vernal.features.weights import slot_of


@njit(cache=True, nogil=True)
def add_events(amounts, program_cells, weights, at, times, types, values, first, last, cells):  # type: ignore[no-untyped-def]
    """Adds events first..last-1 to the ADD cells, as seen from hop `at`."""
    slots = len(weights)
    for event in range(first, last):
        slot, value = slot_of(at, np.int64(times[event]), slots), np.int64(values[event])
        measure, what = -1, np.int64(0)
        for cell in range(len(program_cells)):
            if program_cells[cell, OP] == ADD:
                if program_cells[cell, MEASURE] != measure:  # cells of one measure follow each other
                    measure = program_cells[cell, MEASURE]
                    what = amount(amounts, types[event], measure, value)
                cells[cell] += what * weights[slot, program_cells[cell, WEIGHT]]


@njit(cache=True, nogil=True)
def stamp_events(amounts, program_cells, times, types, first, last, cells):  # type: ignore[no-untyped-def]
    """Moves the LAST and FIRST cells by events first..last-1."""
    for cell in range(len(program_cells)):
        op, measure = program_cells[cell, OP], program_cells[cell, MEASURE]
        if op in (LAST, FIRST):
            for event in range(first, last):
                if amounts[types[event], measure, MEMBER]:
                    time = np.int64(times[event])
                    cells[cell] = max(cells[cell], time) if op == LAST else min(cells[cell], time)


@njit(cache=True, nogil=True)
def group_items(items, n, groups, heads):  # type: ignore[no-untyped-def]
    """Numbers the distinct items of events 0..n-1, newest first.

    groups (>= n,) int32 gets each event's group (-1: no item), heads (>= n,) int64 each group's item; returns the number of groups.
    """
    size = 16
    while size < 2 * n:
        size *= 2
    table = np.full(size, -1, np.int32)
    found = 0
    for event in range(n - 1, -1, -1):
        item = np.int64(items[event])
        groups[event] = -1
        if item == NO_ITEM:
            continue
        place = (item * 2_654_435_761 >> 7) & (size - 1)
        while table[place] >= 0 and heads[table[place]] != item:
            place = (place + 1) & (size - 1)
        if table[place] < 0:
            table[place], heads[found] = found, item
            found += 1
        groups[event] = table[place]
    return found


@njit(cache=True, nogil=True)
def read_extremes(amounts, program_cells, weights, at, times, items, types, values, n, cells):  # type: ignore[no-untyped-def]
    """Fills the cells that only the raw events know: LEAST, MOST, DISTINCT, NEWEST over events 0..n-1, oldest first."""
    slots, grouped, n_groups = len(weights), False, 0
    groups, heads = np.empty(n, np.int32), np.empty(n, np.int64)
    for cell in range(len(program_cells)):
        op, measure, weight = program_cells[cell, OP], program_cells[cell, MEASURE], program_cells[cell, WEIGHT]
        if op in (LEAST, MOST):
            for event in range(n):
                if amounts[types[event], measure, MEMBER] and weights[slot_of(at, np.int64(times[event]), slots), weight] > 0:
                    value = np.int64(values[event])
                    cells[cell] = min(cells[cell], value) if op == LEAST else max(cells[cell], value)
        elif op in (DISTINCT, NEWEST):
            if not grouped:
                n_groups, grouped = group_items(items, n, groups, heads), True
            seen = np.zeros(n_groups, np.bool_)
            found = 0
            for event in range(n - 1, -1, -1):
                group = groups[event]
                if group < 0 or seen[group] or not amounts[types[event], measure, MEMBER]:
                    continue
                if op == NEWEST:
                    if found == weight:
                        cells[cell] = heads[group]
                elif weights[slot_of(at, np.int64(times[event]), slots), weight] == 0:
                    continue
                seen[group] = True
                found += 1
            if op == DISTINCT:
                cells[cell] = found
