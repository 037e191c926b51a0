"""Lists for the rungs below retrieval: popular items, popular in the user's segment, items that merely pass the filter.

In: the live table's popularity lists and the rules. Out: item numbers in order. All are needed only when a part is missing or time is short.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.events.history import HIDDEN
from vernal.ranking.ports import LiveTable
from vernal.ranking.rules import Rules, permitted

Ints = NDArray[np.int32]
NEWEST = 20  # items of a user that say which segment they are of
PLACE = 10.0  # a place r in a popularity list is worth PLACE / (PLACE + r): the weight retrieval gives it too


def trending(live: LiveTable, rules: Rules, limit: int) -> Ints:
    """Permitted items of the popularity lists, by the sum of what their places are worth, at most `limit`."""
    lists = np.asarray(live.top)[:-1]
    number, inverse = np.unique(lists[lists >= 0], return_inverse=True)
    worth = PLACE / (PLACE + np.broadcast_to(np.arange(lists.shape[1]), lists.shape)[lists >= 0])
    total = np.bincount(inverse, worth, len(number))
    order = number[np.lexsort((number, -total))].astype(np.int32)
    return order[permitted(order, rules) != 0][:limit]


def listed(live: LiveTable, rules: Rules, row: int, limit: int) -> Ints:
    """Permitted items of one popularity list, in its order, at most `limit`."""
    items = np.asarray(live.top)[row]
    items = items[items >= 0]
    return items[permitted(items, rules) != 0][:limit]


@njit(nogil=True, cache=True)
def main_code(codes: NDArray[np.int32], item: NDArray[np.uint32], type_: NDArray[np.uint8], taste: NDArray[np.float32]) -> int:
    """The commonest code of the first attribute among the newest items that say something about taste, of equal ones the newest; 0 = none. Cost: 1 us."""
    found, n = np.empty(NEWEST, np.int32), 0
    for i in range(len(item) - 1, -1, -1):
        if n < NEWEST and taste[type_[i]] > 0 and item[i] < len(codes) and codes[item[i], 0, 0] > 0:
            found[n] = codes[item[i], 0, 0]
            n += 1
    best, most = 0, 0
    for i in range(n):
        times = 0
        for j in range(n):
            times += found[j] == found[i]
        if times > most:
            best, most = found[i], times
    return best


def segment_of(items: Ints, live: LiveTable) -> int:
    """The commonest value of the first attribute among a user's recent items, or 0: the segment of somebody whose models are missing."""
    known = items[items < live.n]
    if not len(known) or not live.attributes.shape[1]:
        return 0
    codes = live.attributes[known, 0].ravel()
    return int(np.bincount(codes[codes > 0], minlength=1).argmax()) if (codes > 0).any() else 0


def segment_first(items: Ints, code: int, live: LiveTable) -> Ints:
    """The items with those of the segment moved to the front; order kept otherwise."""
    inside = (live.attributes[items, 0] == code).any(axis=1)
    return np.concatenate([items[inside], items[~inside]])


def from_catalogue(live: LiveTable, rules: Rules, popularity: int, limit: int) -> Ints:
    """Permitted items of the whole catalogue by one column of item values (-1: by number), at most `limit`.

    Cost: one pass, 2 ms at 1M items; only when a filter leaves less than a slate.
    """
    out = np.empty(limit, np.int32)
    live.read_out()
    return out[: best_permitted(live.values, popularity, rules.n, rules.flags, rules.need, rules.bitmap, out)]


@njit(nogil=True, cache=True)
def best_permitted(values: NDArray[np.float32], column: int, n: int, flags: NDArray[np.uint8], need: int, bitmap: NDArray[np.uint8], out: Ints) -> int:
    """Insertion into a short sorted list; equal values by item number."""
    size, worth = 0, np.empty(len(out))
    for number in range(n):
        if (flags[number] & (HIDDEN | need)) != need or (len(bitmap) > 0 and (number >= len(bitmap) or not bitmap[number])):
            continue
        value = values[number, column] if column >= 0 else 0.0
        value = value if value == value else 0.0
        if size == len(out) and value <= worth[size - 1]:
            continue
        at = min(size, len(out) - 1)
        while at > 0 and worth[at - 1] < value:
            worth[at], out[at] = worth[at - 1], out[at - 1]
            at -= 1
        worth[at], out[at] = value, number
        size = min(size + 1, len(out))
    return size
