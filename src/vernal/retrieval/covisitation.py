"""Co-visitation: which items are taken close together, recent pairs counting more.

A pair is two positive events of one user at most `REACH` places and one week apart; it weighs 2^(-age / half-life) x 2^(-gap / 1 day).
An entry (i, j) is the decayed share of i's company that is j, damped for rare i and for popular j.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal import terms
from vernal.retrieval.linear import F32, I32, push
from vernal.retrieval.positives import Matrix, Positives, starts

REACH = 15  # places in the user's sequence, both ways
SPAN_S = 7 * terms.DAY_S
GAP_HALF_LIFE_S = 1 * terms.DAY_S
AGE_HALF_LIFE_S = 60 * terms.DAY_S
SHRINK = 5.0  # decayed events added to an item's own count: rare items say little
DAMPING = 0.25  # power of the partner's popularity that is divided out


def fit_covisitation(positives: Positives, min_events: int, neighbours: int, as_of_s: int) -> Matrix:
    """The `neighbours` strongest companions of every item, as (n_items, n_items) in source rows.

    Cost: 2 REACH additions per event; 0.4 CPU s per million events.
    """
    order = np.lexsort((positives.item, positives.time, positives.user))
    user, item, time = positives.user[order], positives.item[order], positives.time[order]
    weight = positives.weight[order] * np.exp2(-np.maximum(0, as_of_s - time) / AGE_HALF_LIFE_S).astype(np.float32)
    mass = np.bincount(item, weight, positives.n_items).astype(np.float32)
    enough = np.bincount(item, minlength=positives.n_items) >= min_events
    places = np.argsort(item, kind="stable").astype(np.int64)
    index = np.full((positives.n_items, neighbours), -1, np.int32)
    strength = np.zeros((positives.n_items, neighbours), np.float32)
    companions(starts(item, positives.n_items), places, user, item, time, weight, mass, enough, index, strength)
    return listed(index, strength)


def listed(index: I32, weight: F32) -> Matrix:
    """The matrix whose row i holds the entries index[i] >= 0, ordered by column."""
    row, slot = np.nonzero(index >= 0)
    column, value = index[row, slot], weight[row, slot]
    order = np.lexsort((column, row))
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(index)))]).astype(np.int64)
    return Matrix(start, column[order], value[order], len(index))


@njit(cache=True, nogil=True)
def companions(
    start: NDArray[np.int64], places: NDArray[np.int64], user: I32, item: I32, time: NDArray[np.int64], weight: F32, mass: F32, enough: NDArray[np.bool_], index: I32, strength: F32
) -> None:
    """Fills every item's strongest companions; events are ordered by user and time, `places` lists them by item."""
    n_items, limit = index.shape
    total, touched = np.zeros(n_items, np.float32), np.empty(n_items, np.int32)
    for source in range(n_items):
        n = 0
        if not enough[source]:
            continue
        for t in range(start[source], start[source + 1]):
            at = places[t]
            for other in range(max(0, at - REACH), min(len(item), at + REACH + 1)):
                gap = abs(time[other] - time[at])
                if user[other] != user[at] or item[other] == source or gap > SPAN_S or not enough[item[other]]:
                    continue
                if total[item[other]] == 0:
                    touched[n] = item[other]
                    n += 1
                total[item[other]] += weight[at] * 2.0 ** (-gap / GAP_HALF_LIFE_S)
        size = 0
        for t in range(n):
            j = touched[t]
            score = total[j] / ((mass[source] + SHRINK) * (mass[j] + SHRINK) ** DAMPING)
            size = push(strength[source], index[source], size, limit, score, j)
            total[j] = 0
