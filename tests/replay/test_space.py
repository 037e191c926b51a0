"""A space in the past knows what had arrived, and nothing else."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.events.schema import Event, Item, Kind
from vernal.replay.space import Past, PastSpace
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.village import START_US, village_events, village_items, village_settings
from vernal.training.train import train

DAY_US = DAY_S * US_PER_S
DAYS, ITEMS = 20, village_items()
EVENTS = village_events(ITEMS, days=DAYS, per_day=40)


def records() -> Iterator[tuple[Kind, Any, int]]:
    """A village whose goods come in three deliveries, with an item renamed and one that no catalogue knows; every record with its arrival."""
    late = {item.item: (START_US, START_US + 6 * DAY_US, START_US + 13 * DAY_US)[number % 3] for number, item in enumerate(ITEMS)}
    rows = [(Kind.ITEMS, item, late[item.item]) for item in ITEMS]
    rows += [(Kind.EVENTS, event, event.time) for event in EVENTS]
    rows += [(Kind.ITEMS, Item("wine-2", title="renamed"), START_US + 9 * DAY_US)]
    rows += [(Kind.EVENTS, Event("odd", "view", "stranger", "contraband", START_US + 11 * DAY_US), START_US + 11 * DAY_US)]
    yield from sorted(rows, key=lambda row: row[2])


def shop(folder: Path, before: int) -> Workspace:
    """A live shop to which nothing had come at `before` but what arrived earlier."""
    workspace = Workspace(folder, village_settings(), ManualClock(before))
    for kind, record, at in records():
        if at < before:
            workspace.log.append(kind, [record], [at])
    return workspace


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    with shop(tmp_path_factory.mktemp("whole"), START_US + 2 * DAYS * DAY_US) as workspace:
        yield Past(workspace)


def same(one: Any, other: Any) -> bool:
    """Equal in every field, arrays by value."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


@settings(max_examples=12, deadline=None)
@given(after_s=st.integers(0, DAYS * DAY_S + 10))
def test_a_moment_sees_what_a_log_that_ended_then_holds(past: Past, tmp_path_factory: pytest.TempPathFactory, after_s: int) -> None:
    at = START_US + after_s * US_PER_S
    then = PastSpace(past, tmp_path_factory.mktemp("past"), at)
    with shop(tmp_path_factory.mktemp("live"), at) as live:
        assert then.log.end() == live.log.end()
        assert same(then.history(), live.history())
        assert same(then.catalogue(), live.catalogue())
        assert then.log.items_after(5) == live.log.items_after(5)


def test_a_release_made_in_the_past_is_the_one_a_live_shop_would_have_made(past: Past, tmp_path: Path) -> None:
    at = START_US + 15 * DAY_US
    replayed, _ = train(PastSpace(past, tmp_path / "past", at))
    with shop(tmp_path / "live", at) as live:
        lived, _ = train(live)
    assert replayed.manifest == lived.manifest


def test_the_present_moves_on(past: Past, tmp_path: Path) -> None:
    space = PastSpace(past, tmp_path, START_US + 2 * DAY_US)
    few = len(space.history())
    space.to(START_US + 10 * DAY_US)
    assert 0 < few < len(space.history()) < len(past.history)
    assert space.clock.now() == START_US + 10 * DAY_US
