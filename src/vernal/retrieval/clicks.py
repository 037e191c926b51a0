"""What was chosen for a query before: per query and item how often, beyond what its position alone would bring.

In: logged searches with positions, propensities and choices. Out: `QueryClicks`, in a release as `clicks.*`. A choice at a position that is rarely looked at
says more than one at the top: how much positions are looked at is learned from places that were drawn by chance, whose propensities are known and small, and
is 1 / log2(2 + position) until enough of those were chosen from.

Source: Joachims, Swaminathan, Schnabel 2017 (propensity-weighted learning to rank); Agarwal et al. 2019 (intervention harvesting) for the positions.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from vernal.release import Draft, Release
from vernal.retrieval.linear import F32, I32

NAME = "clicks"
HALF_LIFE_S = 30 * 86_400.0
PRIOR = 5.0  # looks that an item begins with, chosen from as often as all are
DRAWN = 0.95  # a place given with a lower probability was drawn by chance
LEAST_CHOSEN = 200  # choices at drawn places by which positions are judged
SMALLEST = 0.02  # propensities count as at least this: one place must not outweigh fifty
POSITIONS = 50
PARTS = ("query", "start", "item", "lift")


class Searched(NamedTuple):
    """One logged search; k items in the order they were shown."""

    at_s: int
    words: Sequence[str]  # stems of its text
    item: NDArray[np.int64]  # (k,)
    propensity: F32  # (k,)
    chosen: F32  # (k,) 1 = chosen
    q: str = ""  # the text itself


class QueryClicks(NamedTuple):
    """How much more often than usual items are chosen for a query."""

    query: NDArray[np.uint64]  # (n,) ascending
    start: NDArray[np.int64]  # (n + 1,)
    item: I32  # ascending within a query
    lift: F32  # natural log of (choices per look) over that of all

    @classmethod
    def none(cls) -> Self:
        return cls(np.empty(0, np.uint64), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))

    @classmethod
    def fit(cls, searches: Iterable[Searched], as_of_s: int) -> Self:
        """Cost: 10 us a search."""
        found = [each for each in searches if each.words and len(each.item)]
        if not found:
            return cls.none()
        sizes = [len(each.item) for each in found]
        query = np.repeat(np.array([key(each.words) for each in found], np.uint64), sizes)
        item = np.concatenate([each.item for each in found]).astype(np.int64)
        place = np.minimum(np.concatenate([np.arange(n) for n in sizes]), POSITIONS - 1)
        chosen, propensity = (np.concatenate([getattr(each, name) for each in found]).astype(np.float64) for name in ("chosen", "propensity"))
        decay = np.repeat([2.0 ** (-(as_of_s - each.at_s) / HALF_LIFE_S) for each in found], sizes)
        looks = decay * looked_at(place, propensity, chosen)[place]
        order = np.lexsort((item, query))
        first = np.flatnonzero(np.diff(query[order], prepend=~query[order[:1]]).astype(bool) | np.diff(item[order], prepend=-1).astype(bool))
        looked, taken = np.add.reduceat(looks[order], first), np.add.reduceat((decay * chosen)[order], first)
        usual = max(taken.sum() / looked.sum(), 1e-9)
        lift = np.log((taken + PRIOR * usual) / ((looked + PRIOR) * usual))
        queries, at = np.unique(query[order][first], return_index=True)
        return cls(queries, np.append(at, len(first)).astype(np.int64), item[order][first].astype(np.int32), lift.astype(np.float32))

    def of(self, words: Sequence[str], item: I32) -> F32:
        """(n,) lifts of items for a query; 0 = not shown for it yet, NaN everywhere = a query that was not seen. Cost: 5 us."""
        wanted = key(words)
        place = int(np.searchsorted(self.query, wanted))
        if place == len(self.query) or self.query[place] != wanted:
            return np.full(len(item), np.nan, np.float32)
        known, lift = (part[self.start[place] : self.start[place + 1]] for part in (self.item, self.lift))
        at = np.searchsorted(known, item).clip(max=len(known) - 1)
        return np.where(known[at] == item, lift[at], np.float32(0)).astype(np.float32)

    def save(self, draft: Draft) -> None:
        """Writes nothing where nothing was searched for."""
        for part in PARTS if len(self.query) else ():
            draft.put_array(f"{NAME}.{part}", getattr(self, part))

    @classmethod
    def load(cls, release: Release) -> Self:
        """Those of a release; none where it has none."""
        if not release.has(f"{NAME}.query.npy"):
            return cls.none()
        return cls(*(np.asarray(release.array(f"{NAME}.{part}")) for part in PARTS))


def key(words: Sequence[str]) -> np.uint64:
    """A query by its stems, whatever their order."""
    return np.uint64(int.from_bytes(hashlib.blake2b(" ".join(sorted(words)).encode(), digest_size=8).digest(), "big"))


def looked_at(place: NDArray[np.int64], propensity: NDArray[np.float64], chosen: NDArray[np.float64]) -> NDArray[np.float64]:
    """(POSITIONS,) how much a position is looked at, the first = 1, never more than the one before.

    Weighted by 1 / propensity, what stands at a drawn position is a fair sample of what could have stood there, so positions differ only in being looked at.
    """
    drawn = propensity < DRAWN
    if (chosen[drawn] > 0).sum() < LEAST_CHOSEN:
        return 1 / np.log2(2.0 + np.arange(POSITIONS))
    weight = 1 / np.maximum(propensity[drawn], SMALLEST)
    shown, taken = (np.bincount(place[drawn], part, POSITIONS) for part in (weight, weight * chosen[drawn]))
    prior = 1 / np.log2(2.0 + np.arange(POSITIONS))
    usual = taken.sum() / (shown * prior).sum()
    spare = weight.mean() * PRIOR  # a position hardly ever drawn stays near the prior
    rate = (taken + spare * usual * prior) / (shown + spare)
    return np.minimum.accumulate(rate / rate[0]).clip(1e-3, 1.0)
