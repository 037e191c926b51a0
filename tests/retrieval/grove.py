"""A small world: users with tastes, items with attributes, a live table; everything real, only small."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vernal.config import parse
from vernal.events.history import DESCRIBED, SLOTS, Catalogue, History
from vernal.features.ports import Ring

DAY_US = 86_400_000_000
NOW_US = 1_700_000_000_000_000
N_ITEMS, N_GROUPS = 120, 4


@dataclass
class LiveTable:
    """A live item table as plain arrays."""

    n: int
    attributes: NDArray[np.int32]
    flags: NDArray[np.uint8]
    top: NDArray[np.int32]
    first_seen: NDArray[np.uint32]


def history_of(seed: int, n_users: int = 60, n_events: int = 1_500) -> History:
    """Users who take items of their own group nine times in ten."""
    random = np.random.default_rng(seed)
    user = random.integers(0, n_users, n_events).astype(np.int32)
    group = np.where(random.random(n_events) < 0.9, user % N_GROUPS, random.integers(0, N_GROUPS, n_events))
    item = (group + N_GROUPS * np.floor(30 * random.random(n_events) ** 2)).astype(np.int32)
    time = np.sort(random.integers(NOW_US - 40 * DAY_US, NOW_US, n_events))
    kind = random.integers(2, 4, n_events).astype(np.uint8)
    return History([f"u{u}" for u in range(n_users)], user, item, kind, time, time, np.zeros(n_events, np.int32), np.arange(1, n_events + 1), N_ITEMS)


def catalogue_of(n: int = N_ITEMS) -> Catalogue:
    """Items whose attribute is their group and whose title has two words."""
    attributes = np.zeros((n, 1, SLOTS), np.int32)
    attributes[:, 0, 0] = np.arange(n) % N_GROUPS + 1
    titles = [f"kind{i % N_GROUPS} shelf{i % 10}" for i in range(n)]
    return Catalogue([f"i{i}" for i in range(n)], titles, [""] * n, ["group"], attributes, [["", "a", "b", "c", "d"]], np.full(n, DESCRIBED, np.uint8))


def live_of(history: History, catalogue: Catalogue) -> LiveTable:
    """The live table after the whole history."""
    n = len(catalogue)
    top = np.full((3, 500), -1, np.int32)
    counts = np.bincount(history.item, minlength=n)
    top[0, :n] = np.argsort(-counts, kind="stable")
    top[1, :n] = np.argsort(-np.bincount(history.item[-200:], minlength=n), kind="stable")
    top[2, :n] = np.arange(n)[::-1]
    first_seen = np.full(n, NOW_US // 1_000_000 - 5 * 86_400, np.uint32)
    return LiveTable(n, catalogue.attributes, catalogue.flags.copy(), top, first_seen)


def ring_of(history: History, user: int) -> Ring:
    rows = np.flatnonzero(history.user == user)
    return Ring((history.time[rows] // 1_000_000).astype(np.uint32), history.item[rows].astype(np.uint32), history.type[rows], history.value[rows])


SETTINGS = parse(
    {
        "events": {"types": {"view": {"weight": 1}, "buy": {"weight": 4}}},
        "retrieval": {"ials_dim": 16, "min_events": 2, "ease_neighbours": 20, "ease_ridge": 5.0, "covisitation_neighbours": 10},
    }
)
