"""Co-visitation: which items are taken close together, recent pairs counting more.

A pair is two positive events of one user at most `REACH` places and one week apart; it weighs 2^(-age / half-life) x 2^(-gap / 1 day),
the gap in whole hours.
An entry (i, j) is the decayed share of i's company that is j, damped for rare i and for popular j.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal import terms
from vernal.retrieval.linear import F32, I32, push
from vernal.retrieval.positives import Matrix, Positives, starts

REACH = 15  # places in the user's sequence, both ways
SPAN_S = 7 * terms.DAY_S
NEARNESS = np.exp2(-np.arange(SPAN_S // terms.HOUR_S + 1) / 24).astype(np.float32)  # by the gap in whole hours: half of it per day
AGE_HALF_LIFE_S = 60 * terms.DAY_S
SHRINK = 5.0  # decayed events added to an item's own count: rare items say little
DAMPING = 0.25  # power of the partner's popularity that is divided out


class Sequences(NamedTuple):
    """Positive events ordered by user, then time."""

    user: I32
    item: I32
    time: NDArray[np.int64]  # UTC s
    weight: F32  # decayed to the moment of the fit
    start: NDArray[np.int64]  # (n_items + 1,) into places
    places: NDArray[np.int64]  # rows of every item


class Lists(NamedTuple):
    """The strongest companions of every item; -1 = none."""

    item: I32  # (n_items, k)
    strength: F32  # (n_items, k)


def fit_covisitation(positives: Positives, min_events: int, neighbours: int, as_of_s: int) -> Matrix:
    """The `neighbours` strongest companions of every item, as (n_items, n_items) in source rows.

    Cost: 2 REACH additions per event; 0.4 CPU s per million events.
    """
    order = np.lexsort((positives.item, positives.time, positives.user))
    item, time, n = positives.item[order], positives.time[order], positives.n_items
    weight = positives.weight[order] * np.exp2(-np.maximum(0, as_of_s - time) / AGE_HALF_LIFE_S).astype(np.float32)
    mass = np.bincount(item, weight, n).astype(np.float32)
    enough = np.bincount(item, minlength=n) >= min_events
    places = np.argsort(item, kind="stable").astype(np.int64)
    lists = Lists(np.full((n, neighbours), -1, np.int32), np.zeros((n, neighbours), np.float32))
    companions(Sequences(positives.user[order], item, time, weight, starts(item, n), places), mass, enough, lists)
    return listed(*lists)


def listed(index: I32, weight: F32) -> Matrix:
    """The matrix whose row i holds the entries index[i] >= 0, ordered by column."""
    row, slot = np.nonzero(index >= 0)
    column, value = index[row, slot], weight[row, slot]
    order = np.lexsort((column, row))
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(index)))]).astype(np.int64)
    return Matrix(start, column[order], value[order], len(index))


@njit(cache=True, nogil=True)
def companions(events: Sequences, mass: F32, enough: NDArray[np.bool_], lists: Lists) -> None:
    """Fills every item's strongest companions among items with enough events."""
    n_items, limit = lists.item.shape
    total, touched = np.zeros(n_items, np.float32), np.empty(n_items, np.int32)
    for source in range(n_items):
        n = add_company(source, events, enough, total, touched) if enough[source] else 0
        size = 0
        for j in touched[:n]:
            score = total[j] / ((mass[source] + SHRINK) * (mass[j] + SHRINK) ** DAMPING)
            size = push(lists.strength[source], lists.item[source], size, limit, score, j)
            total[j] = 0


@njit(cache=True, nogil=True)
def add_company(source: int, events: Sequences, enough: NDArray[np.bool_], total: F32, touched: I32) -> int:
    """Adds up what was taken near each event of an item; returns how many items were touched."""
    n = 0
    for t in range(events.start[source], events.start[source + 1]):
        at = events.places[t]
        for other in range(max(0, at - REACH), min(len(events.item), at + REACH + 1)):
            gap, j = abs(events.time[other] - events.time[at]), events.item[other]
            if events.user[other] != events.user[at] or j == source or gap > SPAN_S or not enough[j]:
                continue
            if total[j] == 0:
                touched[n] = j
                n += 1
            total[j] += events.weight[at] * NEARNESS[gap // terms.HOUR_S]
    return n
