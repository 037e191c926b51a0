"""What the rules of a request say of each candidate: may it be placed, and how much is it boosted.

Rules: hidden and undescribed items never; excluded items never; items the user has, unless repeats are allowed; only items that pass the
filter. Retrieval masks the same rules in its scans, but what reaches the slate is checked here whatever its source.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.events.history import HIDDEN

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
NO_BITMAP = np.empty(0, np.uint8)


class Rules(NamedTuple):
    """The rules of one request, in numbers."""

    n: int  # items of the live table
    flags: NDArray[np.uint8]  # (capacity,)
    need: int  # DESCRIBED when there is a catalogue, else 0
    bitmap: NDArray[np.uint8]  # (n,) 1 = passes the filter; empty = no filter
    forbidden: Ints  # (m,) excluded or seen items, in any order


def permitted(item: Ints, rules: Rules) -> NDArray[np.uint8]:
    """(n,) uint8: 1 where an item may be placed. Cost: 5 us at 300 candidates and 1,000 forbidden items."""
    allowed = np.zeros(len(item), np.uint8)
    check(item, *rules, allowed)
    return allowed


@njit(nogil=True, cache=True)
def forbidden_of(exclude: Ints, like: int, item: NDArray[np.uint32], code: NDArray[np.uint8], taste: NDArray[np.float32], repeats: bool) -> Ints:
    """(m,) item numbers never to place: those excluded, the example (-1 = none), and unless `repeats` those whose events say something about taste."""
    out, m = np.empty(len(exclude) + 1 + len(item), np.int32), len(exclude)
    out[:m] = exclude
    if like >= 0:
        out[m] = like
        m += 1
    if not repeats:
        for e in range(len(item)):
            if taste[code[e]] > 0:
                out[m] = np.int32(item[e])
                m += 1
    return out[:m]


@njit(nogil=True, cache=True)
def check(item: Ints, n: int, flags: NDArray[np.uint8], need: int, bitmap: NDArray[np.uint8], forbidden: Ints, allowed: NDArray[np.uint8]) -> None:
    for i in range(len(item)):
        number = item[i]
        if 0 <= number < n and (flags[number] & (HIDDEN | need)) == need:
            allowed[i] = len(bitmap) == 0 or (number < len(bitmap) and bitmap[number] != 0)
    table = places(item)
    for number in forbidden:
        spot = start_of(number, len(table))
        while table[spot] >= 0:
            if item[table[spot]] == number:
                allowed[table[spot]] = 0
            spot = (spot + 1) & (len(table) - 1)


@njit(nogil=True, cache=True)
def places(item: Ints) -> Ints:
    """An open-addressing table of positions in `item`."""
    size = 64
    while size < 4 * len(item):
        size *= 2
    table = np.full(size, -1, np.int32)
    for i in range(len(item)):
        spot = start_of(item[i], size)
        while table[spot] >= 0:
            spot = (spot + 1) & (size - 1)
        table[spot] = i
    return table


@njit(nogil=True, cache=True)
def start_of(number: int, size: int) -> int:
    return int((np.int64(number) * 2_654_435_761 >> 12) & (size - 1))


@njit(nogil=True, cache=True)
def add_boosts(item: Ints, codes: Ints, boost_items: Ints, boost_values: Ints, logs: Floats, bit: int, utility: Floats, sources: NDArray[np.uint32]) -> None:
    """Adds the log factors to the utilities; what is boosted upwards carries `bit` in its sources."""
    n_items = len(boost_items)
    for i in range(len(item)):
        before = utility[i]
        for b in range(n_items):
            if boost_items[b] == item[i]:
                utility[i] += logs[b]
        for v in range(len(boost_values)):
            held = False
            for slot in range(codes.shape[2]):
                held |= codes[i, boost_values[v, 0], slot] == boost_values[v, 1]
            if held:
                utility[i] += logs[n_items + v]
        if utility[i] > before:
            sources[i] |= np.uint32(bit)
