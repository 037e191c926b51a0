"""A small shop: films in three genres, users who keep to one, and the live table that a walk over their history makes."""

from functools import cache
from typing import Any

import numpy as np

from vernal.config import Settings, parse
from vernal.events.history import DESCRIBED, SLOTS, Catalogue, History
from vernal.features.definition import compile_plan
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.ports import UserState
from vernal.features.walk import Walk
from vernal.ranking.features import feature_names
from vernal.ranking.parts import Parts
from vernal.ranking.ranker import Ranker, fit_ranker
from vernal.retrieval import models

GENRES = ["", "drama", "comedy", "horror"]
N_ITEMS, N_USERS, N_EVENTS = 120, 60, 2_400
NOW_S = 1_700_000_100
NOW_US = NOW_S * 1_000_000


def settings(**sections: Any) -> Settings:
    tree: dict[str, Any] = {"items": {"attributes": ["genre", "studio"]}, "events": {"types": {"view": {}, "buy": {"weight": 3}}}}
    return parse(tree | {"training": {"trees": 20}} | sections)


def attributes() -> np.ndarray:
    codes = np.zeros((N_ITEMS, 2, SLOTS), np.int32)
    codes[:, 0, 0] = 1 + np.arange(N_ITEMS) % 3
    codes[:, 1, 0] = 1 + np.arange(N_ITEMS) // 7 % 2
    return codes


def history(seed: int = 0) -> History:
    rng = np.random.default_rng(seed)
    user = rng.integers(0, N_USERS, N_EVENTS)
    liked = np.where(rng.random(N_EVENTS) < 0.8, user % 3, rng.integers(0, 3, N_EVENTS))
    item = np.minimum(rng.zipf(1.4, N_EVENTS) - 1, N_ITEMS // 3 - 2) * 3 + liked
    time = np.sort(NOW_US - rng.integers(1, 60 * 86_400, N_EVENTS) * 1_000_000)
    kind = rng.integers(2, 4, N_EVENTS).astype(np.uint8)
    users = [f"user{i}" for i in range(N_USERS)]
    return History(users, user.astype(np.int32), item.astype(np.int32), kind, time, time, np.zeros(N_EVENTS, np.int32), np.arange(1, N_EVENTS + 1), N_ITEMS)


def catalogue() -> Catalogue:
    ids, titles = [f"film{i}" for i in range(N_ITEMS)], [f"Film number {i}" for i in range(N_ITEMS)]
    vocabularies = [GENRES, ["", "north", "south"]]
    return Catalogue(ids, titles, [""] * N_ITEMS, ["genre", "studio"], attributes(), vocabularies, np.full(N_ITEMS, DESCRIBED, np.uint8))


def walk(chosen: Settings) -> Walk:
    """The shop as of now; its `items.state` is the writer of its `live` table, for tests that change something."""
    made = Walk(compile_plan(chosen), chosen, history(), catalogue())
    made.to(NOW_US)
    return made


def live_with_top(chosen: Settings, rows: list[list[int]]) -> LiveItems:
    """The shop's live table with other popularity lists."""
    items = walk(chosen).items
    items.table.top[:] = -1
    for row, numbers in enumerate(rows):
        items.table.top[row, : len(numbers)] = numbers
    return items.live


@cache
def states() -> Walk:
    return walk(settings())


def state(chosen: Settings, user: int | None = 0) -> UserState:
    """The state of a user of the history; of nobody known for none."""
    return user_state(compile_plan(chosen), None, NOW_S // 300 * 300, 0) if user is None else states().user(user, NOW_US)


def ranker(chosen: Settings) -> Ranker:
    names = feature_names(compile_plan(chosen))
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2_000, len(names))).astype(np.float32)
    labels = (features[:, 0] + features[:, 3] + features[:, 12] + rng.normal(size=2_000) > 1).astype(np.float32)
    return fit_ranker(features, labels, np.arange(2_000) // 20, chosen.training, names)


def parts(chosen: Settings) -> Parts:
    fitted = models.fit(history(), catalogue(), chosen, NOW_US, 0)
    return Parts("r0001-test", fitted, ranker(chosen), tuple((f"film{i}", i) for i in range(20)))
