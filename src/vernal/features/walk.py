"""History walked forward: live item tables and user states as they were at each moment, made by the code that serving runs.

In: a `History` and a `Catalogue`. Out: at every stop, the picture a server would have had then. Nothing received at or after the stop is in it. The
catalogue has no past of its own: attributes, flags and titles are those given, and an item is new when its first event comes. Where it must be exactly what
was served, `Retold` takes catalogue records from the log as they came.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.events.history import Catalogue, History
from vernal.features.definition import Plan
from vernal.features.fold import fold_user, user_state
from vernal.features.live import LiveItems
from vernal.features.past import PastItems
from vernal.features.ports import UserState
from vernal.features.tiles import order_by_item
from vernal.features.weights import hop
from vernal.terms import IMPRESSION_CODE, OTHER_CODE, US_PER_S


class Walk:
    """A moment that moves forward through a history.

    Parameters
    ----------
    plan, settings : what is computed
    history : in order of arrival
    catalogue : of the same items
    room : how many there will be, where not all are in it

    Example
    -------
    >>> from vernal.features.definition import compile_plan
    >>> from vernal.testing.tiny import tiny_world
    >>> settings, history, catalogue = tiny_world()
    >>> walk = Walk(compile_plan(settings), settings, history, catalogue)
    >>> walk.to(int(history.received_at[50]))
    >>> walk.live.offset == int(history.offset[49])
    True
    """

    def __init__(self, plan: Plan, settings: Settings, history: History, catalogue: Catalogue, room: int = 1) -> None:
        self.plan, self.settings, self.history, self.catalogue = plan, settings, history, catalogue
        self.items = PastItems(plan, catalogue, room)
        self.rows = 0  # rows of the history that are in

    @property
    def live(self) -> LiveItems:
        return self.items.live

    def to(self, at_us: int) -> None:
        """Moves to `at_us`: everything received before it is in, as of its hop. Moving back is not possible and changes nothing.

        Values of items are as of the hop once they are read out (`LiveItems.read_out`). Cost: that of `PastItems`, and 0.1 us per event.
        """
        end = self.history.available_before(at_us)
        self.through(int(self.history.offset[end - 1]) if end else 0, hop(at_us))

    def through(self, offset: int, hop_s: int) -> None:
        """Moves on until everything up to a log offset is in, as of a hop."""
        end = int(np.searchsorted(self.history.offset, offset, side="right"))
        if end > self.rows:
            self.take(self.rows, end)
        self.items.advance(hop_s, offset)

    def take(self, first: int, last: int) -> None:
        history = self.history
        counted = np.flatnonzero((history.item[first:last] >= 0) & (history.type[first:last] != OTHER_CODE)) + first
        numbers = history.item[counted].astype(np.int64)
        self.items.take(numbers, history.time[counted] // US_PER_S, history.type[counted], history.value[counted])
        mentioned = np.flatnonzero(history.item[first:last] >= 0) + first
        new, at = np.unique(history.item[mentioned], return_index=True)
        self.items.see(new.astype(np.int64), history.received_at[mentioned[at]] // US_PER_S)
        self.rows = last

    def user(self, user: int, at_us: int) -> UserState:
        """A user (code) as of `at_us`. Cost: 0.3 us per event of theirs so far."""
        end = self.history.available_before(at_us)
        return self.user_through(user, int(self.history.offset[end - 1]) if end else 0, at_us)

    def user_through(self, user: int, offset: int, at_us: int) -> UserState:
        """A user (code; -1 = unknown) at `at_us`, from everything up to a log offset."""
        order, start = self.by_user
        history, mine = self.history, order[start[user] : start[user + 1]] if user >= 0 else order[:0]
        mine = mine[: np.searchsorted(mine, np.searchsorted(history.offset, offset, side="right"))]
        record = None
        if len(mine):
            record = fold_user(self.plan, None, history.time[mine] // US_PER_S, history.item[mine].astype(np.int64), history.type[mine], history.value[mine])
        return user_state(self.plan, record, hop(at_us), offset)

    @cached_property
    def by_user(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(rows that enter user state, by user and in order of arrival; where each user's begin)."""
        history = self.history
        rows = np.flatnonzero((history.type != IMPRESSION_CODE) & (history.type != OTHER_CODE) & named(history)[history.user])
        order, start = order_by_item(history.user[rows], len(rows), len(history.users))
        return rows[order], start


def named(history: History) -> NDArray[np.bool_]:
    """(n_users,) bool: false for the empty id, which stands for "nobody in particular" and has no state."""
    return np.array([bool(user) for user in history.users] or [False], dtype=np.bool_)
