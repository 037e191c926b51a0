"""Ranking examples from what was really shown: logged slates with the features the ranker saw, labelled by what their user chose within a day.

In: the slates of the log, a history. Out: `Examples` in the columns of the present plan. A slate counts when the full pipeline answered it under a release
that is kept and whose ranker knows the same features; shown items are fewer but truer than simulated ones, so both are learnt from.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.errors import ReleaseError
from vernal.evaluation.splits import DAY_US, positive_rows
from vernal.events.reading import read_slates
from vernal.events.schema import Slate
from vernal.ranking.ladder import Rung
from vernal.ranking.ranker import Ranker
from vernal.release import ReleaseStore
from vernal.retrieval.analysis import Analyser
from vernal.retrieval.clicks import Searched
from vernal.terms import US_PER_S
from vernal.training.examples import Examples, joined
from vernal.training.ports import TrainingSpace
from vernal.training.snapshot import Snapshot


@dataclass(frozen=True)
class Shown:
    """One logged slate as examples."""

    at: int  # UTC us
    examples: Examples
    q: str = ""  # the text searched for


class Logged(NamedTuple):
    """Logged slates, oldest first."""

    chosen: deque[Shown]  # those that something was chosen from
    every: deque[Shown]  # whether or not


class Choices:
    """What users chose when, for look-ups by (user, item)."""

    def __init__(self, snapshot: Snapshot) -> None:
        history = snapshot.history
        rows = np.flatnonzero(positive_rows(history, snapshot.settings.events))
        chosen = zip(history.user[rows].tolist(), history.item[rows].tolist(), history.received_at[rows].tolist(), strict=True)
        self.chosen = sorted(chosen)
        self.codes = {user: code for code, user in enumerate(history.users)}

    def within(self, user: str, item: int, begin: int, end: int) -> bool:
        """Did this user choose this item in [begin, end)?"""
        code = self.codes.get(user, -1)
        place = bisect_left(self.chosen, (code, item, begin))
        return place < len(self.chosen) and self.chosen[place][:2] == (code, item) and self.chosen[place][2] < end


def shown(space: TrainingSpace, snapshot: Snapshot, names: tuple[str, ...]) -> Logged:
    """Logged slates, and those that something but not everything was chosen from, the newest `training.requests` of either at most.

    A slate whose day is not over yet is left out: what was not chosen may still be. Cost: 20 us per slate.
    """
    usable, choices, most = known_rankers(space.releases, names), Choices(snapshot), snapshot.settings.training.requests
    logged = Logged(deque(maxlen=most), deque(maxlen=most))
    for slate in finished(read_slates(space.log), snapshot):
        if slate.release in usable and (each := shown_of(slate, choices, len(names))) is not None:
            logged.every.append(each)
            labels = each.examples.labels
            if labels.any() and not labels.all():
                logged.chosen.append(each)
    return logged


def searched(space: TrainingSpace, snapshot: Snapshot) -> list[Searched]:
    """Every search of a known user whose day of choosing is over, with what was chosen of it. Cost: 30 us per search, and a look at every slate."""
    found, stems = [], Analyser.of(snapshot.settings.search).stems
    choices: Choices | None = None
    for offset, slate in read_slates(space.log):
        if offset > snapshot.log_to or not slate.user or slate.time + DAY_US > snapshot.as_of or not (q := slate.q):
            continue
        choices = choices or Choices(snapshot)
        items = np.frombuffer(slate.item_numbers, np.uint32)
        propensity = np.frombuffer(slate.propensities, np.float32)
        found.append(Searched(slate.time // US_PER_S, stems(q), items.astype(np.int64), propensity, chosen_from(slate, items, choices), q))
    return found


def finished(slates: Iterable[tuple[int, Slate]], snapshot: Snapshot) -> Iterator[Slate]:
    """Slates of known users, answered by the full pipeline, whose day of choosing lies inside the snapshot."""
    for offset, slate in slates:
        if offset <= snapshot.log_to and slate.user and slate.rung == Rung.FULL and slate.time + DAY_US <= snapshot.as_of:
            yield slate


def known_rankers(releases: ReleaseStore, names: tuple[str, ...]) -> set[str]:
    """Names of the kept releases whose ranker sees exactly these features."""
    return {name for name in releases.names() if names_of(releases, name) == names}


def names_of(releases: ReleaseStore, name: str) -> tuple[str, ...]:
    """The features of a release's ranker; none when it has no ranker or is damaged."""
    try:
        ranker = Ranker.load(releases.open(name, verify=False))
    except (ReleaseError, OSError, ValueError):
        return ()
    return ranker.names if ranker else ()


def shown_of(slate: Slate, choices: Choices, n_features: int) -> Shown | None:
    """A slate as examples; none when its features are of another width."""
    items = np.frombuffer(slate.item_numbers, np.uint32)
    features = np.frombuffer(slate.features, np.float32)
    if len(features) != len(items) * n_features:
        return None
    labels = chosen_from(slate, items, choices)
    return Shown(slate.time, Examples(features.reshape(len(items), n_features), labels, np.zeros(len(items), np.int64)), slate.q)


def chosen_from(slate: Slate, items: NDArray[np.uint32], choices: Choices) -> NDArray[np.float32]:
    """(k,) 1 where the item was chosen within a day of being shown."""
    return np.array([choices.within(slate.user, int(item), slate.time, slate.time + DAY_US) for item in items], np.float32)


def searches(slates: Sequence[Shown], at: int, n_features: int) -> Examples:
    """Examples of the searches from `at` on."""
    return joined([each.examples for each in slates if each.q and each.at >= at], n_features)


def feeds(slates: Sequence[Shown], at: int, n_features: int) -> Examples:
    """Examples of the slates from `at` on for which nothing was searched."""
    return joined([each.examples for each in slates if not each.q and each.at >= at], n_features)


def before(slates: Sequence[Shown], at: int, n_features: int) -> Examples:
    """Examples of the slates whose day ended before `at`."""
    return joined([each.examples for each in slates if each.at + DAY_US <= at], n_features)
