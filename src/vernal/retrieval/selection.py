"""The best of a scan without a heap: keys gather in a buffer, and a counting sort on their leading bits keeps the best.

A key is one int64: the bits of a positive float32 score above the complement of the item number, so that descending keys are descending scores
and, among equal scores, ascending item numbers.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.linear import F32, I32

I64 = NDArray[np.int64]
N_BINS = 2_048  # 64 bins to an octave of scores, 32 octaves below the best
SHIFT = 17 + 32
LOW = np.int64(0xFFFFFFFF)
BUFFER = 4  # keys held, in units of those wanted
INSERTION = 16  # keys of one bin up to which insertion beats a sort


class Sieve(NamedTuple):
    """Scratch memory of a selection."""

    keys: I64  # (room,)
    spare: I64  # (room,)
    bins: I32  # (N_BINS,)


def new_sieve(room: int) -> Sieve:
    return Sieve(np.empty(room, np.int64), np.empty(room, np.int64), np.empty(N_BINS, np.int32))


@njit(cache=True, nogil=True, inline="always")
def key_of(score: float | np.float32, item: int) -> np.int64:
    """The key of a score that is not negative."""
    return (np.int64(np.float32(score).view(np.int32)) << 32) | (LOW - np.int64(item))


@njit(cache=True, nogil=True)
def shrink(sieve: Sieve, size: int, limit: int) -> int:
    """Leaves the best `limit` of keys[:size], in descending order; returns how many are left. Cost: O(size), 5 us at 600 keys."""
    keys, spare, bins = sieve.keys, sieve.spare, sieve.bins
    most = np.int64(0)
    for at in range(size):
        most = max(most, keys[at])
    bins[:] = 0
    for at in range(size):
        bins[min(N_BINS - 1, (most - keys[at]) >> SHIFT)] += 1
    total, last = 0, 0
    while total < min(size, limit):
        count = bins[last]
        bins[last] = total
        total += count
        last += 1
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
    """Copies one bin of spare into the same places of keys, in descending order."""
    if end - begin > INSERTION:
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
def unpack(sieve: Sieve, size: int, items: I32) -> None:
    """Item numbers of sorted keys."""
    for at in range(size):
        items[at] = LOW - (sieve.keys[at] & LOW)


@njit(cache=True, nogil=True)
def room_for(sieve: Sieve, limit: int) -> int:
    """How many keys to gather before shrinking to `limit`."""
    return min(sieve.keys.shape[0], BUFFER * limit)


def scores_of(keys: I64) -> F32:
    """The scores within keys."""
    return (keys >> 32).astype(np.int32).view(np.float32)
