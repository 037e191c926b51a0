"""A small shop: films in three genres, users who keep to one, and a live table read out by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from vernal.config import Settings, parse
from vernal.events.history import DESCRIBED, SLOTS, Catalogue, History
from vernal.features.definition import compile_plan
from vernal.features.ports import Ring, UserState
from vernal.ranking.features import feature_names
from vernal.ranking.parts import Parts
from vernal.ranking.ranker import Ranker, fit_ranker
from vernal.retrieval import models

T = TypeVar("T")

GENRES = ["", "drama", "comedy", "horror"]
N_ITEMS, N_USERS, N_EVENTS = 120, 60, 2_400
NOW_S = 1_700_000_100
NOW_US = NOW_S * 1_000_000


def settings(**sections: Any) -> Settings:
    tree: dict[str, Any] = {"items": {"attributes": ["genre", "studio"]}, "events": {"types": {"view": {}, "buy": {"weight": 3}}}}
    return parse(tree | {"training": {"trees": 20}} | sections)


@dataclass(frozen=True)
class Table:
    """A live item table held in plain arrays."""

    values: np.ndarray
    attributes: np.ndarray
    flags: np.ndarray
    top: np.ndarray
    first_seen: np.ndarray
    n: int = N_ITEMS
    offset: int = 77
    hop: int = NOW_S // 300 * 300
    catalogue_version: int = 1
    reads: list[int] = field(default_factory=list)

    def id(self, number: int) -> str:
        return f"film{number}"

    def titles(self, number: int) -> str:
        return f"Film number {number}"

    def number(self, item: str) -> int | None:
        tail = item.removeprefix("film")
        return int(tail) if item.startswith("film") and tail.isdecimal() and int(tail) < self.n else None

    def code(self, attribute: int, value: str) -> int | None:
        known = self.known_values(attribute)
        return known.index(value) + 1 if value in known else None

    def known_values(self, attribute: int) -> list[str]:
        return GENRES[1:] if attribute == 0 else ["north", "south"]

    def consistent(self, read: Callable[[], T]) -> T:
        self.reads.append(1)
        return read()

    def with_top(self, rows: list[list[int]]) -> "Table":
        top = np.full((5, 500), -1, np.int32)
        for row, items in enumerate(rows):
            top[row, : len(items)] = items
        return replace(self, top=top)


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


def table(chosen: Settings, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    counts = np.bincount(history().item, minlength=N_ITEMS)
    values = (counts[:, None] * rng.random((N_ITEMS, len(compile_plan(chosen).item_names)))).astype(np.float32)
    flags, seen = np.full(N_ITEMS, DESCRIBED, np.uint8), np.full(N_ITEMS, NOW_S - 86_400, np.uint32)
    popular = np.argsort(-counts, kind="stable")[:80].tolist()
    return Table(values, attributes(), flags, np.empty(0), seen).with_top([popular[r:] for r in range(4)] + [[N_ITEMS - 1, N_ITEMS - 2, N_ITEMS - 3]])


def state(chosen: Settings, user: int | None = 0) -> UserState:
    """The state of a user of the history; of nobody known for none."""
    rows = np.flatnonzero(history().user == (-1 if user is None else user))[-50:]
    seen = history().rows(rows)
    ring = Ring((seen.time // 1_000_000).astype(np.uint32), seen.item.astype(np.uint32), seen.type, seen.value)
    return UserState(ring, np.full(len(compile_plan(chosen).user_names), len(rows), np.float32), 70)


def ranker(chosen: Settings) -> Ranker:
    names = feature_names(compile_plan(chosen))
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2_000, len(names))).astype(np.float32)
    labels = (features[:, 0] + features[:, 3] + features[:, 12] + rng.normal(size=2_000) > 1).astype(np.float32)
    return fit_ranker(features, labels, np.arange(2_000) // 20, chosen.training, names)


def parts(chosen: Settings) -> Parts:
    fitted = models.fit(history(), catalogue(), chosen, NOW_US, 0)
    return Parts("r0001-test", fitted, ranker(chosen), tuple((f"film{i}", i) for i in range(20)))
