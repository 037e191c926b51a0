"""Kernels of the point-in-time pass: one entity after another, its events in order of arrival, its examples where they fall between them.

An entity with many events keeps its sums in tiles while the pass goes on: 5-minute and hourly ones in rings (what a later hop can still see), days
in a plain array. Tiles and raw events give the same integers, so each example takes whichever is shorter.
"""

import numpy as np
from numba import njit

from vernal.features.fold import after
from vernal.features.pairs import pair_rows
from vernal.features.program import ADD, MEASURE, OP, WEIGHT, amount, clear, finish
from vernal.features.readout import add_events, read_extremes, stamp_events
from vernal.features.records import NO_ITEM
from vernal.features.weights import slot_of

FINE_RING, HOUR_RING = 32, 64  # more tiles than any hop sees: 24 and 48
FEW = 96  # events that are read faster raw than as tiles


@njit(cache=True, nogil=True)
def new_store(base_day, last_day, n_measures):  # type: ignore[no-untyped-def]
    """Empty tiles for events of days base_day..last_day."""
    return (
        np.full(FINE_RING, -1, np.int64),
        np.zeros((FINE_RING, n_measures), np.int64),
        np.full(HOUR_RING, -1, np.int64),
        np.zeros((HOUR_RING, n_measures), np.int64),
        np.zeros((last_day - base_day + 1, n_measures), np.int64),
        base_day,
    )


@njit(cache=True, nogil=True)
def store_event(store, amounts, time, kind, value):  # type: ignore[no-untyped-def]
    """Adds one event to the tiles."""
    fine_at, fine, hour_at, hour, day, base_day = store
    tile, hours, place = time // 300, time // 3_600, time // 86_400 - base_day
    spot, hour_spot = tile % FINE_RING, hours % HOUR_RING
    if tile > fine_at[spot]:
        fine_at[spot] = tile
        fine[spot] = 0
    if hours > hour_at[hour_spot]:
        hour_at[hour_spot] = hours
        hour[hour_spot] = 0
    for measure in range(amounts.shape[1]):
        what = amount(amounts, kind, measure, value)
        day[place, measure] += what
        if tile == fine_at[spot]:
            fine[spot, measure] += what
        if hours == hour_at[hour_spot]:
            hour[hour_spot, measure] += what


@njit(cache=True, nogil=True)
def add_store(store, program_cells, weights, at, horizon_days, cells):  # type: ignore[no-untyped-def]
    """Adds the tiles to the ADD cells as seen from hop `at`, each second through one level only."""
    fine_at, fine, hour_at, hour, day, base_day = store
    for spot in range(FINE_RING):
        if fine_at[spot] >= 0 and at // 3_600 - fine_at[spot] // 12 <= 1:
            add_tile(fine[spot], program_cells, weights, slot_of(at, fine_at[spot] * 300, len(weights)), cells)
    today = at // 86_400
    for spot in range(HOUR_RING):
        hours = hour_at[spot]
        if hours >= 0 and at // 3_600 - hours >= 2 and today - hours // 24 <= 1:
            add_tile(hour[spot], program_cells, weights, slot_of(at, hours * 3_600, len(weights)), cells)
    for place in range(max(0, today - horizon_days - base_day), min(len(day), today - 1 - base_day)):
        add_tile(day[place], program_cells, weights, slot_of(at, (base_day + place) * 86_400, len(weights)), cells)


@njit(cache=True, nogil=True)
def add_tile(sums, program_cells, weights, slot, cells):  # type: ignore[no-untyped-def]
    for cell in range(len(program_cells)):
        if program_cells[cell, OP] == ADD and sums[program_cells[cell, MEASURE]] != 0:
            cells[cell] += sums[program_cells[cell, MEASURE]] * weights[slot, program_cells[cell, WEIGHT]]


@njit(cache=True, nogil=True)
def day_range(times):  # type: ignore[no-untyped-def]
    """(first, last) UTC day of some events."""
    low = high = times[0] // 86_400
    for time in times:
        low, high = min(low, time // 86_400), max(high, time // 86_400)
    return low, high


@njit(cache=True, nogil=True)
def gathered(rows, first, n, columns):  # type: ignore[no-untyped-def]
    """(times UTC s, items, types, values) of rows[first:first + n]: one tight loop, so that the memory's latencies overlap."""
    times, items, types, values = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.uint8), np.empty(n, np.int32)
    for place in range(n):
        row = rows[first + place]
        times[place], items[place], types[place], values[place] = columns[0][row] // 1_000_000, columns[1][row], columns[2][row], columns[3][row]
    return times, items, types, values


@njit(cache=True, nogil=True)
def item_pass(rows, start, columns, examples, example_start, limits, hops, program, tables, horizon_days, out, column):  # type: ignore[no-untyped-def]
    """Item values of every example into out[:, column:].

    rows, start : history rows by item, in order of arrival; where each item's begin
    columns : history (time us, item, type, value)
    examples, example_start : example numbers by item, ascending limit; where each item's begin
    limits, hops : per example: history rows available to it, hop of its read-out
    tables : (288, n_slots, n_weights) weights of every hop of a day
    """
    amounts, program_cells, outputs = program
    cells, untiled = np.empty(len(program_cells), np.int64), new_store(0, 0, amounts.shape[1])
    for item in range(len(start) - 1):
        first, last = start[item], start[item + 1]
        n = last - first
        if example_start[item] == example_start[item + 1]:
            continue
        tiled = n > FEW
        times, _, types, values = gathered(rows, first, n, columns)
        low, high = day_range(times) if tiled else (0, 0)
        store = new_store(low, high, amounts.shape[1]) if tiled else untiled
        stamps = np.empty(len(program_cells), np.int64)
        clear(program_cells, stamps)
        taken = 0
        for place in range(example_start[item], example_start[item + 1]):
            example = examples[place]
            before = taken
            while taken < n and rows[first + taken] < limits[example]:
                if tiled:
                    store_event(store, amounts, times[taken], types[taken], np.int64(values[taken]))
                taken += 1
            stamp_events(amounts, program_cells, times, types, before, taken, stamps)
            at = hops[example]
            weights = tables[at % 86_400 // 300]
            cells[:] = stamps
            if tiled:
                add_store(store, program_cells, weights, at, horizon_days, cells)
            else:
                add_events(amounts, program_cells, weights, at, times, types, values, 0, taken, cells)
            finish(outputs, cells, at, out[example, column : column + len(outputs)])


@njit(cache=True, nogil=True)
def user_pass(rows, start, columns, examples, example_start, limits, hops, program, tables, bounds, pairing, out, column):  # type: ignore[no-untyped-def]
    """User and pair values of every example into out[:, column:]; arguments as for `item_pass`.

    bounds : (K, horizon days); pairing : (pair program, item of each example, attributes (n_items, n_attributes, SLOTS))
    """
    history, width, untiled = bounds[0], len(program[2]), new_store(0, 0, program[0].shape[1])
    for user in range(len(start) - 1):
        if example_start[user] == example_start[user + 1]:
            continue
        first, n = start[user], start[user + 1] - start[user]
        tiled = n > min(FEW, history)
        events = gathered(rows, first, n, columns)
        low, high = day_range(events[0]) if tiled else (0, 0)
        store = new_store(low, high, program[0].shape[1]) if tiled else untiled
        room = min(n, 2 * history) + 1
        ring = (np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(room, np.int32))
        stamps = np.empty(len(program[1]), np.int64)
        clear(program[1], stamps)
        taken, kept, place = 0, 0, example_start[user]
        while place < example_start[user + 1]:
            example, end = examples[place], place + 1
            while end < example_start[user + 1] and limits[examples[end]] == limits[example] and hops[examples[end]] == hops[example]:
                end += 1
            while taken < n and rows[first + taken] < limits[example]:
                kept = take_event(taken, events, program, tiled, store, ring, kept, history, stamps)
                taken += 1
            read_group(ring, kept, taken, hops[example], program, tables, (store, stamps), bounds, pairing, examples[place:end], out, column, width)
            place = end


@njit(cache=True, nogil=True)
def take_event(event, columns, program, tiled, store, ring, kept, history, stamps):  # type: ignore[no-untyped-def]
    """Adds one event to tiles, stamps and the sorted raw events; returns how many of those are kept."""
    times, items, types, values = ring
    time, item, kind, value = columns[0][event], columns[1][event], columns[2][event], columns[3][event]
    if item < 0:
        item = np.int64(NO_ITEM)
    if tiled:
        store_event(store, program[0], time, kind, np.int64(value))
    if kept == 2 * history:
        for place in range(history):
            times[place], items[place], types[place], values[place] = (
                times[history + place],
                items[history + place],
                types[history + place],
                values[history + place],
            )
        kept = history
    spot = kept
    while spot > 0 and after(times[spot - 1], types[spot - 1], items[spot - 1], values[spot - 1], time, kind, item, value):
        times[spot], items[spot], types[spot], values[spot] = times[spot - 1], items[spot - 1], types[spot - 1], values[spot - 1]
        spot -= 1
    times[spot], items[spot], types[spot], values[spot] = time, item, kind, value
    stamp_events(program[0], program[1], times, types, spot, spot + 1, stamps)
    return kept + 1


@njit(cache=True, nogil=True)
def read_group(ring, kept, taken, hop, program, tables, sums, bounds, pairing, examples, out, column, width):  # type: ignore[no-untyped-def]
    """User and pair values of examples that share user, moment and hop."""
    history, horizon_days = bounds
    amounts, program_cells, outputs = program
    store, stamps = sums
    n = min(kept, history)
    times, items, types, values = ring[0][kept - n : kept], ring[1][kept - n : kept], ring[2][kept - n : kept], ring[3][kept - n : kept]
    at = max(hop, times[n - 1] // 300 * 300) if n else hop
    weights = tables[at % 86_400 // 300]
    cells = stamps.copy()
    if taken <= min(FEW, history):
        add_events(amounts, program_cells, weights, at, times, types, values, 0, n, cells)
    else:
        add_store(store, program_cells, weights, at, horizon_days, cells)
    read_extremes(amounts, program_cells, weights, at, times, items, types, values, n, cells)
    row = np.empty(width, np.float32)
    finish(outputs, cells, at, row)
    for place in range(len(examples)):
        out[examples[place], column : column + width] = row
    pair_program, item_of, attributes = pairing
    if len(pair_program[2]):
        made = np.empty((len(examples), len(pair_program[2])), np.float32)
        pair_rows((times, items, types, values), n, at, weights, pair_program, item_of[examples], attributes, made)
        for place in range(len(examples)):
            out[examples[place], column + width :] = made[place]
