"""A shop in this process whose people are simulated: the server's own parts answer, moment by moment, and learn from nothing but what they logged."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Settings
from vernal.evaluation.baselines import Popularity
from vernal.events.schema import Kind
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.records import user_key
from vernal.features.weights import hop
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Ranked, Recommender
from vernal.ranking.request import Request
from vernal.replay.simulator import Arrival, Asked, World
from vernal.serving.answers import slate_record
from vernal.serving.folding import Folding
from vernal.serving.slates import seed_of
from vernal.terms import DAY_S, US_PER_S
from vernal.training.train import train

DAY_US = DAY_S * US_PER_S
K = 10  # items in a slate
STEP_US = 3_600 * US_PER_S  # what arrives is taken in this often


class Shop:
    """The shop as its server has it; `to` moves it on, `answer` answers."""

    def __init__(self, folder: Path, world: World, settings: Settings) -> None:
        self.world, self.clock = world, ManualClock(world.begin)
        self.workspace = Workspace(folder, settings, self.clock)
        self.folding = Folding(self.workspace)
        self.recommender: Recommender | None = None
        self.asked = 0
        self.workspace.log.append(Kind.ITEMS, world.catalogue(world.begin, world.begin + 1))
        self.folding.catch_up()
        self.live = LiveItems.attach(self.workspace.live_dir)

    def to(self, at: int, arrived: list[Arrival]) -> None:
        """What came in until `at`, and the items that are new by then, are in everything."""
        new = self.world.catalogue(self.clock.at + 1, at + 1)
        log = self.workspace.log
        if arrived:
            log.append(Kind.EVENTS, [arrival.event for arrival in arrived], [max(self.clock.at, arrival.at) for arrival in arrived])
        self.clock.at = at
        if new:
            log.append(Kind.ITEMS, new)
        self.folding.catch_up()

    def train(self) -> None:
        release, _ = train(self.workspace)
        self.recommender = Recommender(Parts.of(release, self.workspace.plan), self.workspace.plan, self.workspace.settings)

    def ranked(self, user: str, at: int, seed: int) -> Ranked:
        assert self.recommender is not None
        record, offset = self.folding.state.get_with_offset(user_key(user))
        return self.recommender.recommend(Request(user=user, n=K), user_state(self.workspace.plan, record, hop(at), offset), self.live, at, seed)

    def answered(self, asked: Asked, logged: NDArray[np.bool_]) -> tuple[list[str], list[Ranked]]:
        """(rec_ids, slates) of requests; those that are `logged` are in the log as the server has them there."""
        names, slates, records = [], [], []
        for user, at, kept in zip(asked.user.tolist(), asked.at.tolist(), logged.tolist(), strict=True):
            name, person = f"s{self.asked}", self.world.person(user)
            self.asked += 1
            ranked = self.ranked(person, at, seed_of(name))
            names.append(name)
            slates.append(ranked)
            if kept:
                records.append(slate_record(ranked, Request(user=person, n=K), name, at, 0))
        if records:
            self.workspace.log.append(Kind.SLATES, records)
        return names, slates

    def close(self) -> None:
        self.folding.close()
        self.workspace.close()


class Positives(NamedTuple):
    """Every event so far, for lists that know everything at once."""

    item: list[int]
    at_s: list[int]


def popular(kind: Popularity, item: NDArray[np.int64], at_s: NDArray[np.int64], now_s: int, n_items: int) -> NDArray[np.int32]:
    """(K,) one of the lists of `evaluation.baselines.grid` at a moment."""
    age = now_s - at_s
    weight = 0.5 ** (age / kind.reach_s) if kind.decayed else ((age <= kind.reach_s) if kind.reach_s else np.ones(len(age)))
    counts = np.bincount(item, weight, n_items)
    return np.lexsort((np.arange(n_items), -counts))[:K].astype(np.int32)
