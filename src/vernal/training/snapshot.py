"""The log as training sees it: columns up to one offset, and how they are cut into windows and a last stretch."""

from dataclasses import dataclass

import numpy as np

from vernal.config import Settings, duration_s
from vernal.errors import TrainingError
from vernal.evaluation.splits import positive_rows
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

    @property
    def last_stretch(self) -> tuple[int, int]:
        """[begin, end) of the evaluation, UTC us."""
        return self.as_of - duration_s(self.settings.training.evaluate_last) * US_PER_S, self.as_of

    @property
    def windows(self) -> list[tuple[int, int]]:
        """[begin, end) of each past window, oldest first, that has a history to learn from before it."""
        length, (end, _) = duration_s(self.settings.training.window) * US_PER_S, self.last_stretch
        positive = positive_rows(self.history, self.settings.events)
        arrivals = self.history.received_at[positive]
        begins = [end - k * length for k in range(self.settings.training.windows, 0, -1)]
        return [(begin, begin + length) for begin in begins if int(np.searchsorted(arrivals, begin)) >= LEAST_BEFORE]
