"""Exact popularity lists: the top of a column of integer counts, kept as events arrive.

Between hops counts only grow, so a list can change by the touched items alone; at a hop, or when a listed item is hidden, it is made anew.
"""

import numpy as np
from numba import njit

from vernal.events.history import DESCRIBED, HIDDEN

LENGTH = 500  # items in a list


@njit(cache=True, nogil=True)
def top_of(cells, column, flags, n):  # type: ignore[no-untyped-def]
    """(LENGTH,) int32: items 0..n-1 that are not hidden with the greatest positive counts cells[:, column], ties by lower number, -1 padded."""
    heap_count, heap_item = np.empty(LENGTH, np.int64), np.empty(LENGTH, np.int64)
    size = 0
    for item in range(n):
        count = cells[item, column]
        if count > 0 and not flags[item] & HIDDEN and (size < LENGTH or count > heap_count[0]):
            size = offer(heap_count, heap_item, size, count, item)
    return ordered(heap_count, heap_item, size)


@njit(cache=True, nogil=True)
def newest_of(first_seen, flags, n):  # type: ignore[no-untyped-def]
    """(LENGTH,) int32: described items that are not hidden, newest first mention first, ties by lower number, -1 padded."""
    heap_count, heap_item = np.empty(LENGTH, np.int64), np.empty(LENGTH, np.int64)
    size = 0
    for item in range(n):
        count = np.int64(first_seen[item])
        if count > 0 and flags[item] & (HIDDEN | DESCRIBED) == DESCRIBED and (size < LENGTH or count > heap_count[0]):
            size = offer(heap_count, heap_item, size, count, item)
    return ordered(heap_count, heap_item, size)


@njit(cache=True, nogil=True)
def lower(counts, items, one, other):  # type: ignore[no-untyped-def]
    """Whether entry `one` ranks below `other`."""
    return counts[one] < counts[other] if counts[one] != counts[other] else items[one] > items[other]


@njit(cache=True, nogil=True)
def swap(counts, items, one, other):  # type: ignore[no-untyped-def]
    counts[one], counts[other] = counts[other], counts[one]
    items[one], items[other] = items[other], items[one]


@njit(cache=True, nogil=True)
def offer(counts, items, size, count, item):  # type: ignore[no-untyped-def]
    """Puts an entry into the heap whose root ranks lowest, in place of the root when it is full; returns the new size."""
    if size < LENGTH:
        counts[size], items[size] = count, item
        child = size
        while child > 0 and lower(counts, items, child, (child - 1) // 2):
            swap(counts, items, child, (child - 1) // 2)
            child = (child - 1) // 2
        return size + 1
    counts[0], items[0] = count, item
    parent = 0
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        if child + 1 < size and lower(counts, items, child + 1, child):
            child += 1
        if not lower(counts, items, child, parent):
            break
        swap(counts, items, child, parent)
        parent = child
    return size


@njit(cache=True, nogil=True)
def ordered(counts, items, size):  # type: ignore[no-untyped-def]
    """The first `size` entries as a list, highest rank first."""
    by_item = np.argsort(items[:size], kind="mergesort")
    by_count = np.argsort(-counts[:size][by_item], kind="mergesort")
    made = np.full(LENGTH, -1, np.int32)
    for place in range(size):
        made[place] = items[by_item[by_count[place]]]
    return made


@njit(cache=True, nogil=True)
def update_top(top, cells, column, flags, touched, n_touched):  # type: ignore[no-untyped-def]
    """Brings one list up to date after the counts of touched items grew; in place."""
    size = 0
    while size < LENGTH and top[size] >= 0:
        size += 1
    floor = cells[top[0], column] if size == LENGTH else 0
    for place in range(size if size == LENGTH else 0):
        floor = min(floor, cells[top[place], column])
    if not changes(cells, column, floor, touched, n_touched):
        return
    items, total = np.empty(size + n_touched, np.int64), size
    for place in range(size):
        items[place] = top[place]
    for place in range(n_touched):
        count = cells[touched[place], column]
        if count > 0 and count >= floor and not flags[touched[place]] & HIDDEN:
            items[total] = touched[place]
            total += 1
    by_item, counts, distinct = np.sort(items[:total]), np.empty(total, np.int64), 0
    for place in range(total):
        if place == 0 or by_item[place] != by_item[distinct - 1]:
            by_item[distinct], counts[distinct] = by_item[place], -cells[by_item[place], column]
            distinct += 1
    by_count = np.argsort(counts[:distinct], kind="mergesort")
    for place in range(min(distinct, LENGTH)):
        top[place] = by_item[by_count[place]]


@njit(cache=True, nogil=True)
def changes(cells, column, floor, touched, n_touched):  # type: ignore[no-untyped-def]
    """Whether any touched item may be in the list now: those below its last entry cannot."""
    for place in range(n_touched):
        count = cells[touched[place], column]
        if count > 0 and count >= floor:
            return True
    return False
