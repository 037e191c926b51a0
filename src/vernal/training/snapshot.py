"""The log as training sees it: columns up to one offset, and how they are cut into windows and a last stretch."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings, duration_s
from vernal.errors import TrainingError
from vernal.evaluation.splits import DAY_US, positive_rows
from vernal.events.history import Catalogue, History
from vernal.features.definition import Plan
from vernal.terms import US_PER_S
from vernal.training.ports import TrainingSpace

LEAST_POSITIVES = 1  # below this there is nothing to learn from at all
LEAST_BEFORE = 200  # positives a window needs before it, to be worth simulating


@dataclass(frozen=True)
class Snapshot:
    """The log as training sees it."""

    plan: Plan
    settings: Settings
    history: History
    catalogue: Catalogue
    log_to: int  # newest log offset in it
    as_of: int  # UTC us; everything in it was received before
    cut: int | None = None  # UTC us, beginning of the last stretch; default: as the settings say

    @classmethod
    def of(cls, space: TrainingSpace) -> "Snapshot":
        """The whole log up to its present end.

        Raises
        ------
        TrainingError
            Not one positive event.
        """
        until = space.log.end()
        history = space.history(until)
        found = int(positive_rows(history, space.settings.events).sum())
        if found < LEAST_POSITIVES:
            raise TrainingError.too_little("events", f"{found} positive events in {len(history)}", f"at least {LEAST_POSITIVES}")
        catalogue = space.catalogue(until)
        return cls(space.plan, space.settings, history, catalogue, until, int(history.received_at[-1]) + 1)

    @cached_property
    def last_stretch(self) -> tuple[int, int]:
        """[begin, end) of the evaluation, UTC us: `training.evaluate_last` at least.

        It begins on the grid of the windows, so that what a training makes of the time before it is what the next one makes too, until a window is over; where
        the log is so short that nothing would be left before it, as late as it can.
        """
        if self.cut is not None:
            return self.cut, self.as_of
        least = self.as_of - duration_s(self.settings.training.evaluate_last) * US_PER_S
        begin = self.on_grid(least, min(self.window_us, self.as_of - least))
        return begin if self.positives_before(begin) >= LEAST_BEFORE else least, self.as_of

    @cached_property
    def windows(self) -> list[tuple[int, int]]:
        """[begin, end) of each past window, oldest first, that has a history to learn from before it; the newest ends where the last stretch begins."""
        cut, length = self.last_stretch[0], self.window_us
        newest = self.on_grid(cut - 1, length)
        begins = [newest - k * length for k in range(self.settings.training.windows - 1, -1, -1)]
        return [(begin, min(begin + length, cut)) for begin in begins if self.positives_before(begin) >= LEAST_BEFORE]

    def number(self, at: int) -> int:
        """Windows between the origin of the grid and `at`: tells the draws of one window from those of another."""
        return max(0, at - self.origin) // self.window_us

    @property
    def window_us(self) -> int:
        return duration_s(self.settings.training.window) * US_PER_S

    def on_grid(self, at: int, step: int) -> int:
        """The last whole step up to `at` (UTC us), counted from the midnight before the first arrival."""
        return self.origin + (at - self.origin) // step * step

    @cached_property
    def origin(self) -> int:
        return int(self.history.received_at[0]) // DAY_US * DAY_US if len(self.history) else 0

    @cached_property
    def arrivals(self) -> NDArray[np.int64]:
        """When the positives arrived, UTC us, ascending."""
        return self.history.received_at[positive_rows(self.history, self.settings.events)]

    def positives_before(self, at: int) -> int:
        return int(np.searchsorted(self.arrivals, at))

    def known(self, at: int) -> History:
        """The history as of `at`, without the users who came later, as far as one is left."""
        known = self.history.before(at)
        return replace(known, users=known.users[: int(known.user.max(initial=0)) + 1])
