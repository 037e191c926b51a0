"""Splits in time: which moments are asked, and what really followed them.

In: a history in order of arrival. Out: `Cases`, each a user, a moment and the items that user went on to choose. What a case may know is what was
received before its moment; what it is judged by was received at or after it. The two never overlap, and no case looks beyond the end of its stretch.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vernal.config import Events
from vernal.events.history import History
from vernal.retrieval.positives import least_values, type_weights
from vernal.terms import DAY_S, US_PER_S

Moments = Literal["activity", "window"]
DAY_US = DAY_S * US_PER_S


@dataclass(frozen=True)
class Cases:
    """Requests with their outcomes, ordered by moment, then user; n cases."""

    user: NDArray[np.int32]  # (n,) user code
    at: NDArray[np.int64]  # (n,) UTC us; known is what was received before
    start: NDArray[np.int64]  # (n + 1,) where each case's targets begin
    target: NDArray[np.int32]  # item numbers, ascending and distinct within a case

    def __len__(self) -> int:
        return len(self.user)

    def targets(self, case: int) -> NDArray[np.int32]:
        return self.target[self.start[case] : self.start[case + 1]]

    def rows(self, kept: NDArray[np.int64]) -> "Cases":
        """The cases at these places, in the order given."""
        lengths = np.diff(self.start)[kept]
        target = np.concatenate([np.empty(0, np.int32), *(self.targets(int(case)) for case in kept)])
        return Cases(self.user[kept], self.at[kept], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), target)

    def sample(self, most: int, seed: int) -> "Cases":
        """At most `most` cases drawn at random, still in order."""
        if len(self) <= most:
            return self
        return self.rows(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))


def positive_rows(history: History, events: Events) -> NDArray[np.bool_]:
    """(n,) bool: events that say something about taste, of a named user and an item."""
    named = np.array([bool(user) for user in history.users] or [False])
    weighty = type_weights(events)[history.type] > 0
    return weighty & (history.value >= least_values(events)[history.type]) & (history.item >= 0) & named[history.user]


def cases(history: History, events: Events, begin: int, end: int, moments: Moments = "activity") -> Cases:
    """The requests of the stretch [begin, end) (UTC us, by arrival).

    Parameters
    ----------
    moments : `activity` asks once per user and UTC day, when their first positive of that day arrives, about the rest of the day; `window` asks once
        per user at `begin`, about the whole stretch.

    Where repeats are not allowed, a target is an item without a positive of that user before the moment; a case without targets is left out.
    Cost: two sorts of the stretch's positives.
    """
    known = history.before(end)
    positive = positive_rows(known, events)
    rows = np.flatnonzero(positive & (known.received_at >= begin))
    day = known.received_at[rows] // DAY_US if moments == "activity" else np.zeros(len(rows), np.int64)
    user, item = known.user[rows].astype(np.int64), known.item[rows].astype(np.int64)
    first, group = grouped(user, day)
    at = known.received_at[rows][first] if moments == "activity" else np.full(len(first), begin, np.int64)
    kept = np.ones(len(rows), np.bool_) if events.repeats else unseen(known, np.flatnonzero(positive), rows, at[group])
    pairs = np.unique(np.stack([group[kept], item[kept]], axis=1), axis=0)  # (m, 2)
    return ordered(user[first].astype(np.int32), at, pairs)


def grouped(user: NDArray[np.int64], day: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(first row of each (user, day), group of each row)."""
    order = np.lexsort((np.arange(len(user)), day, user))
    u, d = user[order], day[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (u[1:] != u[:-1]) | (d[1:] != d[:-1])
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(new) - 1
    return order[new], group


def unseen(history: History, positives: NDArray[np.int64], rows: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each row: had its user no positive of its item received before `at`?"""
    key = history.user[positives].astype(np.int64) * history.n_items + history.item[positives]
    pair, first = np.unique(key, return_index=True)
    earliest = history.received_at[positives[first]]
    mine = history.user[rows].astype(np.int64) * history.n_items + history.item[rows]
    return earliest[np.searchsorted(pair, mine)] >= at


def ordered(user: NDArray[np.int32], at: NDArray[np.int64], pairs: NDArray[np.int64]) -> Cases:
    """Cases by moment, then user, those without targets left out."""
    lengths = np.bincount(pairs[:, 0], minlength=len(user))
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    whole = Cases(user, at, start, pairs[:, 1].astype(np.int32))
    order = np.lexsort((user, at))
    return whole.rows(order[lengths[order] > 0])
