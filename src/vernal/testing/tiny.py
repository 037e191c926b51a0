"""A tiny world: a few users and items with a few hundred events, the same for the same seed."""

import numpy as np

from vernal.config import Events, EventType, Items, Settings
from vernal.events.history import DESCRIBED, SLOTS, Catalogue, History
from vernal.terms import FIRST_TYPE_CODE, US_PER_S, VALUE_SCALE

START_US = 1_700_000_000 * US_PER_S
COLOURS = ["", "red", "green", "blue"]


def tiny_settings() -> Settings:
    """Two event types (view, buy), one item attribute (colour)."""
    types = {"view": EventType(weight=0.2), "buy": EventType(weight=1.0)}
    return Settings(events=Events(types=types), items=Items(attributes=["colour"]))


def tiny_world(n_events: int = 400, n_users: int = 12, n_items: int = 30, days: int = 20, seed: int = 0) -> tuple[Settings, History, Catalogue]:
    """Settings, history in order of arrival (a tenth of it late by up to a day) and catalogue."""
    draw = np.random.default_rng(seed)
    received = START_US + np.sort(draw.integers(0, days * 86_400 * US_PER_S, n_events))
    late = np.where(draw.random(n_events) < 0.1, draw.integers(0, 86_400 * US_PER_S, n_events), 0)
    history = History(
        users=[f"user{number}" for number in range(n_users)],
        user=draw.integers(0, n_users, n_events).astype(np.int32),
        item=draw.integers(0, n_items, n_events).astype(np.int32),
        type=(FIRST_TYPE_CODE + draw.integers(0, 2, n_events)).astype(np.uint8),
        time=received - late,
        received_at=received,
        value=(draw.integers(0, 5, n_events) * VALUE_SCALE).astype(np.int32),
        offset=np.arange(1, n_events + 1, dtype=np.int64),
        n_items=n_items,
    )
    return tiny_settings(), history, tiny_catalogue(n_items, draw)


def tiny_catalogue(n_items: int, draw: np.random.Generator) -> Catalogue:
    attributes = np.zeros((n_items, 1, SLOTS), np.int32)
    attributes[:, 0, 0] = draw.integers(1, len(COLOURS), n_items)
    ids = [f"item{number}" for number in range(n_items)]
    titles = [f"{COLOURS[code]} thing {number}" for number, code in enumerate(attributes[:, 0, 0])]
    return Catalogue(ids, titles, [""] * n_items, ["colour"], attributes, [list(COLOURS)], np.full(n_items, DESCRIBED, np.uint8))
