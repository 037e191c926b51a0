"""Ranking examples from what was really shown: logged slates with the features the ranker saw, labelled by what their user chose within a day.

In: the slates of the log, a history. Out: `Examples` in the columns of the present plan. A slate counts when the full pipeline answered it under a release
that is kept and whose ranker knows the same features; shown items are fewer but truer than simulated ones, so both are learnt from.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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


def shown(space: TrainingSpace, snapshot: Snapshot, names: tuple[str, ...]) -> list[Shown]:
    """Every logged slate that something was chosen from, oldest first, the newest `training.requests` at most.

    A slate whose day is not over yet is left out: what was not chosen may still be. Cost: 20 us per slate.
    """
    usable, choices = known_rankers(space.releases, names), Choices(snapshot)
    found = [shown_of(slate, choices, len(names)) for slate in finished(read_slates(space.log), snapshot) if slate.release in usable]
    return [each for each in found if each is not None][-snapshot.settings.training.requests :]


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
    """A slate as examples; none when nothing or everything was chosen, or its features are of another width."""
    items = np.frombuffer(slate.item_numbers, np.uint32)
    features = np.frombuffer(slate.features, np.float32)
    if len(features) != len(items) * n_features:
        return None
    labels = chosen_from(slate, items, choices)
    if labels.all() or not labels.any():
        return None
    return Shown(slate.time, Examples(features.reshape(len(items), n_features), labels, np.zeros(len(items), np.int64)), slate.q)


def chosen_from(slate: Slate, items: NDArray[np.uint32], choices: Choices) -> NDArray[np.float32]:
    """(k,) 1 where the item was chosen within a day of being shown."""
    return np.array([choices.within(slate.user, int(item), slate.time, slate.time + DAY_US) for item in items], np.float32)


def searches(slates: list[Shown], at: int, n_features: int) -> Examples:
    """Examples of the searches from `at` on."""
    return joined([each.examples for each in slates if each.q and each.at >= at], n_features)


def before(slates: list[Shown], at: int, n_features: int) -> Examples:
    """Examples of the slates whose day ended before `at`."""
    return joined([each.examples for each in slates if each.at + DAY_US <= at], n_features)
