"""The best of a scan without a heap: keys gather in a small buffer, and a counting sort on their leading bits keeps the best.

A key is one int64: the bits of a positive float32 score above the complement of the item number, so that descending keys are descending scores
and, among equal scores, ascending item numbers.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.linear import F32, I32

I64 = NDArray[np.int64]
N_BINS = 2_048  # 64 bins to an octave of scores, 32 octaves below the best
SHIFT = 17 + 32
LOW = np.int64(0xFFFFFFFF)
BUFFER = 16  # keys held, in units of those wanted


@njit(cache=True, nogil=True, inline="always")
def key_of(score: float, item: int) -> int:
    """The key of a positive score."""
    return (np.int64(np.float32(score).view(np.int32)) << 32) | (LOW - np.int64(item))


@njit(cache=True, nogil=True)
def shrink(keys: I64, spare: I64, bins: I32, size: int, limit: int) -> int:
    """Leaves the best `limit` of keys[:size], in descending order; returns how many are left. Cost: O(size), 2 us at 600 keys."""
    most = np.int64(0)
    for at in range(size):
        most = max(most, keys[at])
    bins[:] = 0
    for at in range(size):
        bins[min(N_BINS - 1, (most - keys[at]) >> SHIFT)] += 1
    total, last = 0, 0
    while total < min(size, limit):
        total += bins[last]
        last += 1
    place = 0
    for b in range(last):
        count = bins[b]
        bins[b] = place
        place += count
    for at in range(size):
        b = min(N_BINS - 1, (most - keys[at]) >> SHIFT)
        if b < last:
            spare[bins[b]] = keys[at]
            bins[b] += 1
    begin = 0
    for b in range(last):
        settle(keys, spare, begin, bins[b])
        begin = bins[b]
    return min(total, limit)


@njit(cache=True, nogil=True)
def settle(keys: I64, spare: I64, begin: int, end: int) -> None:
    """Copies one bin of spare into the same places of keys, in descending order; insertion while it is short."""
    if end - begin > 16:
        spare[begin:end].sort()
        for at in range(begin, end):
            keys[at] = spare[end - 1 - (at - begin)]
        return
    for at in range(begin, end):
        key, hole = spare[at], at
        while hole > begin and keys[hole - 1] < key:
            keys[hole] = keys[hole - 1]
            hole -= 1
        keys[hole] = key


@njit(cache=True, nogil=True)
def unpack(keys: I64, size: int, items: I32, scores: F32) -> None:
    """Item numbers and scores of sorted keys."""
    for at in range(size):
        items[at] = LOW - (keys[at] & LOW)
        scores[at] = np.int32(keys[at] >> 32).view(np.float32)
