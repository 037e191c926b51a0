"""Team-draft interleaving: one slate made of two rankings, each item credited to the ranking that put it there.

In: two rankings and a seed. Out: which ranking fills which place. A person who sees both at once needs no other to be compared with, so far fewer answers
tell two rankings apart than an A/B test takes.

Source: Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?" (2008).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.ranking.slate import uniform

Ints = NDArray[np.int32]
NEITHER = 255


class Drafted(NamedTuple):
    """n places."""

    team: NDArray[np.uint8]  # (n,) 0 or 1: whose pick it is
    place: Ints  # (n,) of the item in that team's ranking
    chance: NDArray[np.float32]  # (n,) P(this item here | the places before and who filled them)


def drafted(first: Ints, second: Ints, n: int, seed: int) -> Drafted:
    """Up to n places; fewer when both rankings are used up.

    Example
    -------
    >>> draft = drafted(np.array([1, 2, 3], np.int32), np.array([1, 4, 5], np.int32), 4, seed=7)
    >>> float(draft.chance[0]), len(set(draft.team[1:3].tolist()) | {int(draft.team[0])})
    (1.0, 2)
    """
    out = Drafted(np.empty(n, np.uint8), np.empty(n, np.int32), np.empty(n, np.float32))
    filled = draft(first, second, np.uint64(seed & 0xFFFFFFFFFFFFFFFF), *out)
    return Drafted(out.team[:filled], out.place[:filled], out.chance[:filled])


@njit(nogil=True, cache=True)
def draft(first: Ints, second: Ints, seed: np.uint64, team: NDArray[np.uint8], place: Ints, chance: NDArray[np.float32]) -> int:
    """Round after round both pick their best item that is not there yet, in an order that a coin decides."""
    taken = np.empty(len(team), np.int32)
    picks = np.zeros(2, np.int64)
    n = 0
    while n < len(team):
        best = (next_free(first, taken[:n]), next_free(second, taken[:n]))
        if best[0] < 0 and best[1] < 0:
            break
        item = (first[best[0]] if best[0] >= 0 else -1, second[best[1]] if best[1] >= 0 else -1)
        if best[0] < 0 or best[1] < 0:
            chosen, probability = (0 if best[0] >= 0 else 1), 1.0
        elif picks[0] != picks[1]:
            chosen, probability = (0 if picks[0] < picks[1] else 1), 1.0
        else:
            chosen = 0 if uniform(seed, n) < 0.5 else 1
            probability = 1.0 if item[0] == item[1] else 0.5
        team[n], place[n], chance[n], taken[n] = chosen, best[chosen], probability, item[chosen]
        picks[chosen] += 1
        n += 1
    return n


@njit(nogil=True, cache=True)
def next_free(ranking: Ints, taken: Ints) -> int:
    """The place of the best item that nobody picked; -1 = there is none."""
    for place in range(len(ranking)):
        free = True
        for item in taken:
            free &= item != ranking[place]
        if free:
            return place
    return -1
