"""From logged slates to the rows that are watched: what the ranker saw, what it said, how fresh that was, and what came of it.

In: slates of the log in windows of arrival, and the positives that follow them; searches are left out, what is asked being the callers'. Out, per shown item:
the features as logged, score, propensity, how far the item table was behind the log and the clock, and, once outcomes have matured, whether the item was
chosen, against the probability that a map frozen with the reference gives its score and place. Slates are sampled by their seed, on which nothing else depends.
Ages and what is known of the moment are not watched: in a young shop the one grows every day, and the calendar is no drift.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.errors import ReleaseError
from vernal.evaluation.splits import positive_rows
from vernal.events.history import History
from vernal.events.ports import EventReader
from vernal.events.schema import Kind, Slate
from vernal.features.definition import Plan
from vernal.monitoring.bins import Bins
from vernal.monitoring.schema import Column, Schema, Stream
from vernal.monitoring.summaries import Outcomes, Summary
from vernal.monitoring.usual import Floats, Ints
from vernal.ranking.features import CONTEXT, QUERY, feature_names
from vernal.ranking.ranker import Ranker
from vernal.release import ReleaseStore
from vernal.terms import IMPRESSION_CODE, US_PER_S

SERVED: Final = "served"
MOST_SLATES: Final = 2_000  # of a window whose rows are summarised
AT_ONCE: Final = 500
AGES: Final = (".first_seen", "retrieval.fresh", "retrieval.fresh.share")  # how the names of features end that say how old an item is
OWN: Final = ("score", "propensity", "items_behind", "hop_behind")
LEAST_CHOSEN: Final = 50  # rows with an outcome that a map needs
RIDGE: Final = 1.0
STEPS: Final = 12


class Chosen(NamedTuple):
    """Positives of a window."""

    user: Ints
    item: Ints
    at: Ints  # UTC us of arrival
    named: NDArray[np.bool_]  # it says which slate it came of

    @classmethod
    def of(cls, window: History, settings: Settings, named: Ints) -> Self:
        """Those of a window; `named` are offsets of events that name a slate, ascending, of this window and others."""
        at = positive_rows(window, settings.events)
        offset = window.offset[at]
        place = np.searchsorted(named, offset)
        of_slates = np.append(named, -1)[place] == offset
        return cls(window.user[at].astype(np.int64), window.item[at].astype(np.int64), window.received_at[at], of_slates)


class Shown(NamedTuple):
    """Shown items of a window's sampled slates, row by row."""

    n: int  # slates with features
    numeric: Floats  # (rows, f + len(OWN))
    user: Ints  # (rows,) code
    item: Ints
    at: Ints  # UTC us of the request
    place: Ints  # in the slate

    def labels(self, chosen: Sequence[Chosen], within: int, *, named: bool) -> NDArray[np.uint8]:
        """(rows,) 1 where its user chose the item within so many us of the request.

        Parameters
        ----------
        named : only what names a slate counts: what people choose by themselves says little of slates, and keeps their failure from being seen
        """
        rows = pl.DataFrame({"user": self.user, "item": self.item, "at": self.at}).with_row_index("row").sort("at")
        columns = {name: np.concatenate([np.empty(0, np.int64), *(getattr(c, name)[c.named | (not named)] for c in chosen)]) for name in ("user", "item", "at")}
        found = pl.DataFrame(columns).sort("at")
        met = rows.join_asof(found.with_columns(met=pl.col("at")), on="at", by=["user", "item"], strategy="forward", tolerance=within, check_sortedness=False)
        return met.sort("row")["met"].is_not_null().to_numpy().astype(np.uint8)


class Odds(NamedTuple):
    """The frozen map from a score and its place to the odds of being chosen: logistic, on the score's own scale."""

    centre: float
    scale: float
    weight: tuple[float, ...]  # of 1, the scaled score, the log of the place

    @classmethod
    def fitted(cls, score: Floats, place: Ints, label: NDArray[np.uint8]) -> Self:
        """By Newton's method with a ridge, on labelled rows."""
        centre, scale = float(score.mean()), float(max(score.std(), 1e-9))
        x, w = design(score, place, centre, scale), np.zeros(3)
        w[0] = np.log((label.mean() + 1e-6) / (1 - label.mean() + 1e-6))
        for _ in range(STEPS):
            p = 1 / (1 + np.exp(-x @ w))
            hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag([0.0, RIDGE, RIDGE])
            w += np.linalg.solve(hessian + 1e-9 * np.eye(3), x.T @ (label - p) - np.array([0.0, RIDGE, RIDGE]) * w)
        return cls(centre, scale, tuple(map(float, w)))

    def logit(self, score: Floats, place: Ints) -> Floats:
        return design(score, place, self.centre, self.scale) @ np.array(self.weight)


def design(score: Floats, place: Ints, centre: float, scale: float) -> Floats:
    return np.column_stack([np.ones(len(score)), np.clip((score - centre) / scale, -6, 6), np.log1p(place)])


class Served:
    """The stream of slates.

    Parameters
    ----------
    within : us after a request in which a choice counts as its outcome
    """

    def __init__(self, log: EventReader, plan: Plan, within: int) -> None:
        self.log, self.within = log, within
        names = feature_names(plan)
        self.names = watched(plan)
        self.kept = np.array([names.index(name) for name in self.names])  # places
        self.width = 4 * len(names)  # bytes of an item's features
        self.after = 0
        self.searches: list[Slate] = []  # slates that a text asked for, until they are taken

    def taken(self) -> list[Slate]:
        """The searches read since they were taken last."""
        taken, self.searches = self.searches, []
        return taken

    def window(self, end: int, history: History, users: Mapping[str, int]) -> Shown:
        """Rows of the slates that are not out yet and came before `end`.

        Parameters
        ----------
        history : rows of the same window
        users : codes of the history's users
        """
        n, slates = self.sampled(end)
        parts = [rows_of(slate, self.kept) for slate in slates]
        numeric = np.concatenate([np.empty((0, len(self.names) + 2)), *parts])
        sizes = [len(part) for part in parts]
        at = np.repeat([slate.time for slate in slates], sizes).astype(np.int64)
        behind = np.repeat(self.behind(slates, history), sizes)
        hop = at / US_PER_S - np.repeat([slate.hop for slate in slates], sizes)
        return Shown(
            n, np.column_stack([numeric, behind, hop]), np.repeat([users.get(slate.user, -1) for slate in slates], sizes).astype(np.int64),
            np.concatenate([np.empty(0, np.int64), *(np.frombuffer(slate.item_numbers, np.uint32) for slate in slates)]).astype(np.int64), at,
            np.concatenate([np.empty(0, np.int64), *map(np.arange, sizes)]).astype(np.int64),
        )  # fmt: skip

    def sampled(self, end: int) -> tuple[int, list[Slate]]:
        """How many slates with features there were, and those with the smallest seeds, in order of arrival."""
        n, kept, until = 0, list[tuple[int, int, Slate]](), self.log.end()
        while self.after < until:
            before = self.after
            for batch in self.log.read(before, AT_ONCE, frozenset({Kind.SLATES})):
                if batch.received_at >= end:
                    return n, in_order(kept)
                self.after = batch.last
                self.searches += [slate for slate in batch.records if slate.q]
                whole = [
                    (-s.seed, offset, s) for offset, s in enumerate(batch.records, batch.first) if len(s.features) == self.width * len(s.items) > 0 and not s.q
                ]
                n += len(whole)
                kept = heapq.nlargest(MOST_SLATES, [*kept, *whole], key=lambda each: each[:2])
            self.after = until if self.after == before else self.after
        return n, in_order(kept)

    @staticmethod
    def behind(slates: Sequence[Slate], history: History) -> Floats:
        """(n,) seconds since the oldest event of this window that the item table had not seen though it had come."""
        own = history.type != IMPRESSION_CODE
        after = np.searchsorted(history.offset[own], [slate.item_offset for slate in slates], side="right")
        arrival = np.append(history.received_at[own], np.iinfo(np.int64).max)[after]
        return np.maximum(0.0, (np.array([slate.time for slate in slates], np.float64) - arrival) / US_PER_S)

    def schema(self, releases: ReleaseStore) -> Schema:
        """The columns; features carry their share of the gain of the ranker in charge."""
        gain = importance_of(releases)
        own = [Column(f"{SERVED}.{name}", stream=Stream.PREDICTION if name in OWN[:2] else Stream.QUALITY) for name in OWN]
        features = [Column(f"{SERVED}.{name}", importance=gain.get(name, 0.0)) for name in self.names]
        return Schema.of([*features, *own, Column(f"{SERVED}.logit", stream=Stream.PREDICTION)], score=f"{SERVED}.logit")

    def odds(self, windows: Sequence[tuple[Shown, NDArray[np.uint8] | None]]) -> Odds | None:
        """The map fitted on the windows whose outcomes are known; none when too little was chosen."""
        score = np.concatenate([np.empty(0), *(shown.numeric[:, len(self.names)] for shown, label in windows if label is not None)])
        place = np.concatenate([np.empty(0, np.int64), *(shown.place for shown, label in windows if label is not None)])
        label = np.concatenate([np.empty(0, np.uint8), *(label for _, label in windows if label is not None)])
        known = np.isfinite(score)
        return Odds.fitted(score[known], place[known], label[known]) if int(label.sum()) >= LEAST_CHOSEN else None

    def numeric(self, shown: Shown, odds: Odds | None) -> Floats:
        """(rows, n_columns) with the logit of the frozen map last."""
        logit = odds.logit(shown.numeric[:, len(self.names)], shown.place) if odds else np.full(len(shown.at), np.nan)
        return np.column_stack([shown.numeric, logit])

    def summary(self, bins: Bins, shown: Shown, odds: Odds | None, label: NDArray[np.uint8] | None) -> Summary:
        """The summary of a window, with its outcomes if they are known and there is a map."""
        numeric = self.numeric(shown, odds)
        outcomes = Outcomes(1 / (1 + np.exp(-numeric[:, -1])), label) if odds and label is not None and len(label) else None
        made = Summary.of(bins, numeric, np.empty((len(numeric), 0), np.int64), outcomes, numeric.shape[1] - 1)
        made.flat[0] = shown.n
        return made


def watched(plan: Plan) -> tuple[str, ...]:
    """The features that are watched."""
    return tuple(name for name in feature_names(plan)[: -len(CONTEXT + QUERY)] if not name.endswith(AGES))


def in_order(kept: Sequence[tuple[int, int, Slate]]) -> list[Slate]:
    return [slate for _, _, slate in sorted(kept, key=lambda each: each[1])]


def rows_of(slate: Slate, kept: Ints) -> Floats:
    """(k, f + 2) kept features, score and propensity of the items of a slate."""
    parts = [np.frombuffer(raw, np.float32) for raw in (slate.features, slate.scores, slate.propensities)]
    return np.column_stack([parts[0].reshape(len(parts[1]), -1)[:, kept], parts[1], parts[2]]).astype(np.float64)


def importance_of(releases: ReleaseStore) -> dict[str, float]:
    """Share of the gain per feature of the ranker in charge; empty without one."""
    champion = releases.champion()
    try:
        ranker = Ranker.load(releases.open(champion, verify=False)) if champion else None
    except (ReleaseError, OSError, ValueError):
        return {}
    return {name: float(share) for name, share in ranker.facts.get("importance", {}).items()} if ranker else {}
