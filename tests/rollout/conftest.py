"""A village in a real workspace, that can go on living."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Settings
from vernal.events.schema import Event, Kind
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.village import START_US, village_events, village_items, village_settings

sys.path.insert(0, str(Path(__file__).parent))


class Village(Workspace):
    """A workspace whose log holds the first days of a village; `live` appends more of them."""

    def __init__(self, root: Path, settings: Settings, days: int, per_day: int = 60, seed: int = 0, n_items: int = 60, n_users: int = 40) -> None:
        super().__init__(root, settings, ManualClock(START_US))
        self.events = village_events(items := village_items(n_items), n_users, days=90, per_day=per_day, seed=seed)
        self.log.append(Kind.ITEMS, items, [START_US] * len(items))
        self.day = 0
        self.live(days)

    def live(self, days: int) -> None:
        """Days pass: their events are in the log, and the clock stands at their end."""
        begin, end = (START_US + day * DAY_S * US_PER_S for day in (self.day, self.day + days))
        new: list[Event] = [event for event in self.events if begin <= event.time < end]
        self.log.append(Kind.EVENTS, new, [event.time for event in new])
        self.day += days
        self.clock = ManualClock(end)
        self.releases.clock = self.clock

    def with_training(self, **about: object) -> Settings:
        return msgspec.structs.replace(self.settings, training=msgspec.structs.replace(self.settings.training, **about))


Villages = Callable[..., Village]


@pytest.fixture(scope="module")
def villages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Villages]:
    """Makes villages: villages(days, settings, per_day=, seed=)."""
    opened: list[Village] = []

    def made(days: int = 30, settings: Settings | None = None, **about: int) -> Village:
        opened.append(Village(tmp_path_factory.mktemp("village"), settings or village_settings(), days, **about))
        return opened[-1]

    yield made
    for village in opened:
        village.close()
