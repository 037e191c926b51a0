"""What the quality benches share: moments, training on windows before a cut, lists and models asked the same cases."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.evaluation.backtest import Backtest, plain
from vernal.evaluation.metrics import PerCase, list_ranks
from vernal.evaluation.splits import Cases, Moments, cases
from vernal.events.history import Catalogue, History
from vernal.features.definition import Plan, compile_plan
from vernal.features.walk import Walk
from vernal.ranking.features import feature_names
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Recommender
from vernal.retrieval.ials import Hyper
from vernal.retrieval.models import Content, ItemModels, fit
from vernal.retrieval.tuner import tune
from vernal.terms import DAY_S, US_PER_S
from vernal.training.examples import Examples, joined, simulate

DAY_US = DAY_S * US_PER_S


def moment(day: str) -> int:
    """UTC us of a day's first instant."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * US_PER_S


@dataclass
class World:
    """One log, with what is made of it once."""

    settings: Settings
    history: History
    catalogue: Catalogue
    plan: Plan = field(init=False)
    content: Content = field(init=False)

    def __post_init__(self) -> None:
        self.plan = compile_plan(self.settings)
        self.content = Content.of(self.catalogue, max(len(self.catalogue), self.history.n_items))

    @property
    def names(self) -> tuple[str, ...]:
        return feature_names(self.plan)

    def walk(self) -> Walk:
        return Walk(self.plan, self.settings, self.history, self.catalogue)

    def models(self, as_of: int, hyper: Hyper) -> ItemModels:
        return fit(self.history, self.catalogue, self.settings, as_of, self.settings.training.seed, hyper, self.content)

    def tuned(self, cut: int) -> Hyper:
        """Hyper-parameters of iALS, chosen on a validation window before the cut."""
        return tune(self.history, self.settings, cut, self.settings.training.seed)[0]

    def cases(self, begin: int, end: int, moments: Moments) -> Cases:
        return cases(self.history, self.settings.events, begin, end, moments)

    def recommender(self, models: ItemModels, ranker: Any) -> Recommender:
        return Recommender(Parts("bench", models, ranker), self.plan, plain(self.settings))


class Window(NamedTuple):
    """A past stretch that gives examples."""

    begin: int
    end: int
    moments: Moments


def weeks_before(cut: int, n: int, length: int, moments: Moments, step: int = 7 * DAY_US) -> list[Window]:
    """The last n windows that end at or before the cut, one per step, oldest first."""
    return [Window(cut - length - k * step, cut - k * step, moments) for k in range(n - 1, -1, -1)]


def past_examples(world: World, windows: Sequence[Window], hyper: Hyper) -> Examples:
    """Examples of the windows, each with item models as of its beginning. Windows may overlap; each is walked on its own."""
    training, parts = world.settings.training, []
    most = max(1, training.requests // len(windows))
    for number, window in enumerate(windows):
        asked = world.cases(*window).sample(most, training.seed + number)
        parts.append(simulate(world.walk(), world.models(window.begin, hyper), world.plan, world.settings, asked, training.seed + number))
    return joined(parts, len(world.names))


def asked_of(recommender: Recommender, walk: Walk, asked: Cases) -> list[NDArray[np.int32]]:
    """The list answered to each case."""
    test = Backtest(recommender, walk, asked)
    return [test.ask(case) for case in range(len(asked))]


def scored(lists: Sequence[NDArray[np.int32]], asked: Cases) -> PerCase:
    """Accuracy of one list per case."""
    return PerCase.of([list_ranks(items, asked.targets(case)) for case, items in enumerate(lists)])


def side_by_side(recommenders: Mapping[str, Recommender], walk: Walk, asked: Cases) -> dict[str, PerCase]:
    """Accuracy of several recommenders on one walk."""
    tests = {name: Backtest(recommender, walk, asked) for name, recommender in recommenders.items()}
    for case in range(len(asked)):
        for test in tests.values():
            test.ask(case)
    return {name: scored(test.slates, asked) for name, test in tests.items()}


def stacked(parts: Sequence[PerCase]) -> PerCase:
    """The cases of several stretches as one."""
    return PerCase(*(np.concatenate([getattr(part, name) for part in parts]) for name in PerCase.__dataclass_fields__))


class Stopwatch:
    """CPU seconds of named stages of this process."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    def run(self, stage: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        value = work()
        self.taken[stage] = self.taken.get(stage, 0.0) + time.process_time() - began
        return value

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(self.taken.items())
