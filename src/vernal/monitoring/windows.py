"""The log read forward, window by window: rows of every event type, sampled slates, and what was chosen.

In: a workspace. Out: `Seen`, one per window of arrival, each with what was known of users and items before it.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vernal.events.history import History
from vernal.events.reading import type_codes
from vernal.monitoring.ports import WatchedSpace
from vernal.monitoring.searches import SEARCHES, Searches
from vernal.monitoring.served import SERVED, Chosen, Served, Shown
from vernal.monitoring.streams import Arrivals, Events, Items, Rows
from vernal.terms import OTHER


class Seen(NamedTuple):
    """One window of the log; what nobody needs any more is let go of."""

    number: int
    rows: dict[str, Rows]  # per event type, and of searches
    shown: Shown | None
    chosen: Chosen

    def n(self, stream: str) -> int | None:
        """Rows of a stream; none where it was let go of."""
        found = self.shown if stream == SERVED else self.rows.get(stream)
        return found.n if found else None


class Reader:
    """The log read forward with what is known of users and items by then.

    Parameters
    ----------
    length : of a window, us
    within : us after a request in which a choice is its outcome
    """

    def __init__(self, space: WatchedSpace, length: int, within: int) -> None:
        self.length, self.settings = length, space.settings
        self.events = Events(type_codes(space.settings), Items(space.settings.items.attributes))
        self.arrivals = Arrivals(space.log, space.settings, self.events.items)
        self.served, self.searches = Served(space.log, space.plan, within), Searches()
        self.firsts = np.empty(0, np.int64)

    def until(self, end: int) -> History:
        """What is not out yet and came before the window `end`."""
        return self.arrivals.before(end * self.length)

    def windows(self, history: History, first: int, last: int) -> Iterator[Seen]:
        """The windows first..last - 1; what comes before and after only counts as seen."""
        starts = [history.available_before(number * self.length) for number in range(first, last + 1)]
        self.events.meet(history.rows(slice(0, starts[0])))
        self.served.sampled(first * self.length)
        self.searches.rows(self.served.taken(), first - 1)
        named = np.array(self.arrivals.named, np.int64)
        for number, begin, end in zip(range(first, last), starts[:-1], starts[1:], strict=True):
            window = history.rows(slice(begin, end))
            shown = self.served.window((number + 1) * self.length, window, self.arrivals.columns.users)
            rows = self.events.rows(window, number) | {SEARCHES: self.searches.rows(self.served.taken(), number)}
            yield Seen(number, rows, shown, Chosen.of(window, self.settings, named))
            self.firsts = self.events.items.first[window.item[window.item >= 0]]
        if len(history):
            del self.arrivals.named[: bisect_right(self.arrivals.named, int(history.offset.max()))]
        self.events.meet(history.rows(slice(starts[-1], None)))


def type_names(space: WatchedSpace) -> list[str]:
    return [*type_codes(space.settings), OTHER]
