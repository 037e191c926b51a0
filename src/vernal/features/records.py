"""The bytes of one user's state, and how kernels read and write them.

Canonical: equal multisets of events give equal bytes, in whatever order and grouping they came.

Layout (little endian)
----------------------
u8 format, u8 flags, u16 n          n = raw events kept
u32[n] time (UTC s), u32[n] item, i32[n] value (only if flag VALUES), u8[n] type      sorted by (time, type, item, value)
only if flag TILES, from the next multiple of 8:
u32 n_tiles, u32 0, i64[s] stamps, i64[n_tiles x m] amounts, u32[n_tiles] start of each tile in 5-minute units, ascending

A user with at most K events has raw events only: 9 bytes each, 13 with values. Beyond K the newest K stay raw and tiles hold the amounts of
*all* events: 5-minute tiles in the hour of the newest event and the one before, hours in its day and the one before, days within the horizon.
`s` and `m` (numbers of stamps and of measures) come from the plan.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.features.ports import Ring
from vernal.terms import HOP_S

FORMAT = 1
VALUES, TILES = 1, 2
HEAD = 4
NO_ITEM = 0xFFFF_FFFF  # an event about no item
USER_PREFIX = b"u:"


def user_key(user: str) -> bytes:
    """Key of a user's record in the state store."""
    return USER_PREFIX + user.encode()


def read_ring(record: bytes | None) -> Ring:
    """The raw events of a record as read-only views into it; empty for none. Cost: 2 us."""
    if record is None:
        return EMPTY_RING
    n = record[2] | record[3] << 8
    end = HEAD + 8 * n
    value = no_values(n)
    if record[1] & VALUES:
        value, end = np.frombuffer(record, np.int32, n, end), end + 4 * n
    return Ring(np.frombuffer(record, np.uint32, n, HEAD), np.frombuffer(record, np.uint32, n, HEAD + 4 * n), np.frombuffer(record, np.uint8, n, end), value)


def newest_hop(ring: Ring, at: int) -> int:
    """The hop a user is read out at: `at`, or that of their newest event where it came in while the request was on its way."""
    return max(at, int(ring.time[-1]) // HOP_S * HOP_S) if len(ring.time) else at


def no_values(n: int) -> NDArray[np.int32]:
    values = np.zeros(n, np.int32)
    values.setflags(write=False)
    return values


def empty(kind: type) -> NDArray:  # type: ignore[type-arg]
    made: NDArray = np.empty(0, kind)  # type: ignore[type-arg]
    made.setflags(write=False)
    return made


EMPTY_RING = Ring(empty(np.uint32), empty(np.uint32), empty(np.uint8), empty(np.int32))


@njit(cache=True, nogil=True)
def get_u32(data, at):  # type: ignore[no-untyped-def]
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16 | np.int64(data[at + 3]) << 24


@njit(cache=True, nogil=True)
def put_u32(data, at, value):  # type: ignore[no-untyped-def]
    for place in range(4):
        data[at + place] = (value >> (8 * place)) & 255


@njit(cache=True, nogil=True)
def get_i64(data, at):  # type: ignore[no-untyped-def]
    return get_u32(data, at) | get_u32(data, at + 4) << 32


@njit(cache=True, nogil=True)
def put_i64(data, at, value):  # type: ignore[no-untyped-def]
    for place in range(8):
        data[at + place] = (value >> (8 * place)) & 255


@njit(cache=True, nogil=True)
def ring_length(data, at, end):  # type: ignore[no-untyped-def]
    """How many raw events the record data[at:end] holds; an absent record is empty."""
    return np.int64(data[at + 2]) | np.int64(data[at + 3]) << 8 if end > at else 0


@njit(cache=True, nogil=True)
def tiles_place(data, at, end):  # type: ignore[no-untyped-def]
    """Where the tiles of the record begin, or -1."""
    if end == at or not data[at + 1] & TILES:
        return -1
    each = 13 if data[at + 1] & VALUES else 9
    return at + (HEAD + each * ring_length(data, at, end) + 7) // 8 * 8


@njit(cache=True, nogil=True)
def read_events(data, at, end, times, items, types, values):  # type: ignore[no-untyped-def]
    """Unpacks the raw events of a record into four columns; returns how many."""
    n = ring_length(data, at, end)
    valued = n > 0 and data[at + 1] & VALUES
    of_types = at + HEAD + (12 if valued else 8) * n
    for event in range(n):
        times[event] = get_u32(data, at + HEAD + 4 * event)
        items[event] = get_u32(data, at + HEAD + 4 * (n + event))
        values[event] = np.int32(get_u32(data, at + HEAD + 4 * (2 * n + event))) if valued else 0
        types[event] = data[of_types + event]
    return n


@njit(cache=True, nogil=True)
def write_events(data, at, times, items, types, values, first, last):  # type: ignore[no-untyped-def]
    """Packs events first..last-1 as a record without tiles; returns its end."""
    n = last - first
    valued = False
    for event in range(first, last):
        valued |= values[event] != 0
    data[at], data[at + 1], data[at + 2], data[at + 3] = FORMAT, VALUES if valued else 0, n & 255, n >> 8
    of_types = at + HEAD + (12 if valued else 8) * n
    for place in range(n):
        put_u32(data, at + HEAD + 4 * place, times[first + place])
        put_u32(data, at + HEAD + 4 * (n + place), items[first + place])
        if valued:
            put_u32(data, at + HEAD + 4 * (2 * n + place), np.int64(values[first + place]))
        data[of_types + place] = types[first + place]
    return of_types + n
