"""The best non-personalised list: what every release has to beat.

A grid of windows and half-lives, each a list of what is popular at the moment of the request, kept as live as ours. The one that does best on the
cases given is named; comparing with it on the same cases flatters the baseline, never us.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.config import Events, duration_s
from vernal.evaluation.metrics import PerCase, mid_ranks
from vernal.evaluation.splits import Cases, positive_rows
from vernal.events.history import History
from vernal.retrieval.positives import type_weights
from vernal.terms import US_PER_S

WINDOWS = ("6h", "1d", "3d", "7d", "28d")
HALF_LIVES = ("6h", "1d", "3d", "14d")
REBASE = 512.0  # halvings after which decayed sums are scaled back, well inside float64


class Popularity(NamedTuple):
    """One list: events of the last `reach_s`, or decayed with half-life `reach_s`; all time when 0."""

    name: str
    reach_s: int
    decayed: bool


def grid(windows: Sequence[str] = WINDOWS, half_lives: Sequence[str] = HALF_LIVES) -> list[Popularity]:
    """The lists compared: all time, windows, half-lives."""
    last = [Popularity(f"last {text}", duration_s(text), False) for text in windows]
    faded = [Popularity(f"half-life {text}", duration_s(text), True) for text in half_lives]
    return [Popularity("all time", 0, False), *last, *faded]


class Stream(NamedTuple):
    """Positive events in order of arrival."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    weight: NDArray[np.float32]
    time_s: NDArray[np.int64]  # running maximum, so that a window is a range of rows
    arrival: NDArray[np.int64]  # UTC us

    @classmethod
    def of(cls, history: History, events: Events) -> "Stream":
        rows = np.flatnonzero(positive_rows(history, events))
        time_s = np.maximum.accumulate(history.time[rows] // US_PER_S)
        return cls(history.user[rows], history.item[rows], type_weights(events)[history.type[rows]], time_s, history.received_at[rows])


class Counter:
    """Counts of one list, moved forward in time.

    Decayed sums are kept relative to a moving origin: the order of items is that of the true sums, and nothing ever has to be decayed.
    """

    def __init__(self, kind: Popularity, stream: Stream, n_items: int) -> None:
        self.kind, self.stream = kind, stream
        self.scores = np.zeros(n_items)
        self.taken = self.dropped = 0
        self.origin = 0.0

    def to(self, row: int, now_s: int) -> NDArray[np.float64]:
        """(n_items,) scores once the first `row` positives are in, as seen at `now_s`."""
        item, time, weight = self.stream.item, self.stream.time_s, self.stream.weight
        if self.kind.decayed:
            self.origin = decay(self.scores, item[self.taken : row], time[self.taken : row], weight[self.taken : row], self.kind.reach_s, self.origin)
        else:
            np.add.at(self.scores, item[self.taken : row], 1.0)
        self.taken = row
        if not self.kind.decayed and self.kind.reach_s:
            old = int(np.searchsorted(time[: self.taken], now_s - self.kind.reach_s))
            np.add.at(self.scores, item[self.dropped : old], -1.0)
            self.dropped = max(self.dropped, old)
        return self.scores


@njit(cache=True, nogil=True)
def decay(scores: NDArray[np.float64], item: NDArray[np.int32], time: NDArray[np.int64], weight: NDArray[np.float32], half_life_s: int, origin: float) -> float:
    """Adds events to decayed sums relative to `origin`; returns the origin, moved on when the sums grew large."""
    for p in range(len(item)):
        if origin == 0.0:
            origin = float(time[p])
        age = (time[p] - origin) / half_life_s
        if age > REBASE:
            scores *= 2.0 ** (-age)
            origin, age = float(time[p]), 0.0
        scores[item[p]] += weight[p] * 2.0**age
    return origin


@dataclass(frozen=True)
class Baselines:
    """Accuracy of every list of the grid on the same cases."""

    by_name: Mapping[str, PerCase]

    @property
    def best(self) -> str:
        """The list with the highest NDCG@10; the first in grid order among equals."""
        return max(self.by_name, key=lambda name: self.by_name[name].means()["ndcg@10"])


def evaluate_lists(history: History, events: Events, asked: Cases, eligible: NDArray[np.bool_], lists: Sequence[Popularity] | None = None) -> Baselines:
    """Every list on every case, over the full catalogue, ties at mid-rank.

    Parameters
    ----------
    asked : ordered by moment
    eligible : (n_items,) bool, items that may be shown; without repeats, what a user already has is not eligible for them

    Cost: targets x lists passes over the catalogue; 8 s for 2,000 cases of a 68,000 item log.
    """
    kinds = list(lists or grid())
    ranks: dict[str, list[NDArray[np.float64]]] = {kind.name: [] for kind in kinds}
    for case, scores, allowed in replayed(history, events, asked, eligible, kinds):
        for kind, row in zip(kinds, scores, strict=True):
            ranks[kind.name].append(mid_ranks(row, allowed, asked.targets(case)))
    return Baselines({name: PerCase.of(found) for name, found in ranks.items()})


def replayed(
    history: History, events: Events, asked: Cases, eligible: NDArray[np.bool_], kinds: Sequence[Popularity]
) -> Iterator[tuple[int, list[NDArray[np.float64]], NDArray[np.bool_]]]:
    """(case, scores of every list, what may be shown to its user), forward in time."""
    stream = Stream.of(history, events)
    counters = [Counter(kind, stream, history.n_items) for kind in kinds]
    order = np.argsort(stream.user, kind="stable")
    begin = np.searchsorted(stream.user[order], np.arange(len(history.users) + 1))
    for case in range(len(asked)):
        user, at = int(asked.user[case]), int(asked.at[case])
        row = int(np.searchsorted(stream.arrival, at))
        allowed = eligible
        if not events.repeats:
            mine = order[begin[user] : begin[user + 1]]
            allowed = eligible.copy()
            allowed[stream.item[mine[mine < row]]] = False
        yield case, [counter.to(row, at // US_PER_S) for counter in counters], allowed
