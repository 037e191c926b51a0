"""Item state as tiles: the kernels that add events between hops and read every item out at a hop.

An item's past is a run of tiles (start in 5-minute units, one integer amount per measure), ascending, all items' runs one after another. At a
hop one pass over the runs coarsens and prunes them, merges the events since the last pass, and gives every item's cells and values as of the new hop.
Between hops an event adds amount x weight to its item's cells. Both give the same integers.
"""

import numpy as np
from numba import njit

from vernal.features.fold import coarse
from vernal.features.program import ADD, FIRST, LAST, MEASURE, MEMBER, OP, WEIGHT, amount, finish
from vernal.features.weights import slot_of


@njit(cache=True, nogil=True)
def add_to_items(columns, first, last, program, weights, at, cells, marks, mark, touched):  # type: ignore[no-untyped-def]
    """Adds events first..last-1 to their items' cells as seen from hop `at`; lists each item once in `touched`, returns how many."""
    amounts, program_cells, _ = program
    items, times, types, values = columns
    slots, found = len(weights), 0
    for event in range(first, last):
        item, time, kind, value = items[event], times[event], types[event], np.int64(values[event])
        slot = slot_of(at, time, slots)
        for cell in range(len(program_cells)):
            op, measure = program_cells[cell, OP], program_cells[cell, MEASURE]
            if amounts[kind, measure, MEMBER]:
                if op == ADD:
                    cells[item, cell] += amount(amounts, kind, measure, value) * weights[slot, program_cells[cell, WEIGHT]]
                elif op == LAST:
                    cells[item, cell] = max(cells[item, cell], time)
                elif op == FIRST:
                    cells[item, cell] = min(cells[item, cell], time)
        if marks[item] != mark:
            marks[item] = mark
            touched[found] = item
            found += 1
    return found


@njit(cache=True, nogil=True)
def finish_items(numbers, n, outputs, cells, at, rows):  # type: ignore[no-untyped-def]
    """Values of items numbers[:n] into rows[:n]."""
    for place in range(n):
        finish(outputs, cells[numbers[place]], at, rows[place])


@njit(cache=True, nogil=True)
def pass_items(first, last, old, events, order, order_start, program, weights, at, horizon_days, new, position, old_cells, cells, rows):  # type: ignore[no-untyped-def]
    """Reads items first..last-1 out at hop `at` and writes their merged tiles.

    old, new : (start of each item's run (n + 1,), tiles (5-minute units), amounts (n_tiles, n_measures))
    events : columns (items, times, types, values); those of item i are order[order_start[i]:order_start[i + 1]]
    position : where in `new` to write on; the new position is returned
    """
    amounts, program_cells, outputs = program
    old_start, old_tile, old_amount = old
    new_start, new_tile, new_amount = new
    n_measures = amounts.shape[1]
    blank, blank_known = np.empty(rows.shape[1], np.float32), False
    for item in range(first, last):
        new_start[item] = position
        begin, fresh = position, order_start[item + 1] - order_start[item]
        old_first, old_last = (old_start[item], old_start[item + 1]) if item + 1 < len(old_start) else (0, 0)
        if fresh > 0:
            position = merge_tiles(
                old_tile, old_amount, old_first, old_last, events, order, order_start[item], fresh, amounts, at, horizon_days, new_tile, new_amount, position
            )
        else:
            for tile in range(old_first, old_last):
                start = coarse(np.int64(old_tile[tile]) * 300, at, horizon_days)
                if start >= 0:
                    position = put_tile(new_tile, new_amount, begin, position, start // 300, old_amount, tile, n_measures)
        for cell in range(len(program_cells)):
            cells[item, cell] = 0 if program_cells[cell, OP] == ADD else old_cells[item, cell]
        read_tiles_of(new_tile, new_amount, begin, position, program_cells, weights, at, cells[item])
        if position == begin and blank_known and untouched(program_cells, cells[item]):
            rows[item] = blank
        else:
            finish(outputs, cells[item], at, rows[item])
            if position == begin and not blank_known and untouched(program_cells, cells[item]):
                blank[:], blank_known = rows[item], True
    new_start[last] = position
    return position


@njit(cache=True, nogil=True)
def untouched(program_cells, cells):  # type: ignore[no-untyped-def]
    """No event ever: sums are zero and stamps unset."""
    for cell in range(len(program_cells)):
        if program_cells[cell, OP] == LAST and cells[cell] >= 0:
            return False
        if program_cells[cell, OP] == FIRST and cells[cell] != np.iinfo(np.int64).max:
            return False
    return True


@njit(cache=True, nogil=True)
def put_tile(tiles, sums, begin, position, start, source, row, n_measures):  # type: ignore[no-untyped-def]
    """Appends a tile to the run begun at `begin`, or adds it to the last one; starts come ascending. Returns the position after it."""
    if position > begin and tiles[position - 1] == start:
        for measure in range(n_measures):
            sums[position - 1, measure] += source[row, measure]
        return position
    tiles[position] = start
    for measure in range(n_measures):
        sums[position, measure] = source[row, measure]
    return position + 1


@njit(cache=True, nogil=True)
def merge_tiles(old_tile, old_amount, old_first, old_last, events, order, order_first, fresh, amounts, at, horizon_days, tiles, sums, position):  # type: ignore[no-untyped-def]
    """Writes the tiles of old ones and fresh events in order of start; returns the position after them."""
    n_old, n_measures = old_last - old_first, amounts.shape[1]
    keys, what = np.empty(n_old + fresh, np.int64), np.empty((n_old + fresh, n_measures), np.int64)
    for tile in range(n_old):
        keys[tile] = coarse(np.int64(old_tile[old_first + tile]) * 300, at, horizon_days)
        what[tile] = old_amount[old_first + tile]
    for place in range(fresh):
        event = order[order_first + place]
        keys[n_old + place] = coarse(events[1][event], at, horizon_days)
        for measure in range(n_measures):
            what[n_old + place, measure] = amount(amounts, events[2][event], measure, np.int64(events[3][event]))
    sorting = np.argsort(keys, kind="mergesort")
    begin = position
    for place in range(len(keys)):
        row = sorting[place]
        if keys[row] >= 0:
            position = put_tile(tiles, sums, begin, position, keys[row] // 300, what, row, n_measures)
    return position


@njit(cache=True, nogil=True)
def read_tiles_of(tiles, sums, first, last, program_cells, weights, at, cells):  # type: ignore[no-untyped-def]
    """Adds a run of tiles to the ADD cells as seen from hop `at`."""
    slots = len(weights)
    for tile in range(first, last):
        slot = slot_of(at, np.int64(tiles[tile]) * 300, slots)
        for cell in range(len(program_cells)):
            if program_cells[cell, OP] == ADD:
                what = sums[tile, program_cells[cell, MEASURE]]
                if what != 0:
                    cells[cell] += what * weights[slot, program_cells[cell, WEIGHT]]


@njit(cache=True, nogil=True)
def order_by_item(items, n, n_items):  # type: ignore[no-untyped-def]
    """(order (n,), start (n_items + 1,)): a stable counting sort of events 0..n-1 by item."""
    start = np.zeros(n_items + 1, np.int64)
    for event in range(n):
        start[items[event] + 1] += 1
    for item in range(n_items):
        start[item + 1] += start[item]
    order, filled = np.empty(n, np.int64), start[:-1].copy()
    for event in range(n):
        order[filled[items[event]]] = event
        filled[items[event]] += 1
    return order, start
