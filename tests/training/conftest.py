"""A village in a real workspace."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Settings
from vernal.events.schema import Kind
from vernal.testing.village import village_events, village_items, village_settings

Village = Callable[..., Workspace]


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    """Makes workspaces whose log holds a village: village(name, settings, seed=...)."""
    opened = []

    def made(name: str = "village", settings: Settings | None = None, **about: int) -> Workspace:
        events = village_events(items := village_items(), **about)
        workspace = Workspace(tmp_path / name, settings or village_settings(), ManualClock(events[-1].time + 1))
        opened.append(workspace)
        workspace.log.append(Kind.ITEMS, items, [events[0].time] * len(items))
        workspace.log.append(Kind.EVENTS, events, [event.time for event in events])
        return workspace

    yield made
    for workspace in opened:
        workspace.close()
