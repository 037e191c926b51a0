"""A workspace as it was at a moment: what training, the gate and the keeper run on while the past is replayed.

In: a workspace whose log has everything. Out: `PastSpace`, the same log cut where the moment cuts it, a clock that stands at the moment, and releases and
data of its own. What had not arrived is not there: no event, no catalogue record, no number of an item nobody had mentioned.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vernal.clock import ManualClock
from vernal.config import Settings
from vernal.events.archive import Archive
from vernal.events.history import Catalogue, History
from vernal.events.reading import batches, read_catalogue
from vernal.events.schema import Kind
from vernal.features.definition import Plan
from vernal.memo import Memo
from vernal.release import ReleaseStore
from vernal.replay.past import PastLog
from vernal.replay.ports import ReplaySpace
from vernal.retrieval.encoders import Encoder
from vernal.rollout.certificate import Keys, admission

ROWLESS = frozenset({Kind.ITEMS, Kind.USERS, Kind.ERASURES})  # records that are no rows of a history


class Past:
    """A log read once, so that each of many moments costs a slice.

    Parameters
    ----------
    space : the workspace that is replayed; its log is only read
    """

    def __init__(self, space: ReplaySpace) -> None:
        self.space, self.end = space, space.log.end()
        self.history = space.history(self.end)
        self.offsets, self.arrivals, self.items = rowless(space, self.end)
        self.mentioned = np.maximum.accumulate(self.history.item, dtype=np.int64) if len(self.history) else np.empty(0, np.int64)
        self.described: tuple[tuple[int, int], Catalogue] | None = None

    @property
    def stretch(self) -> tuple[int, int]:
        """[begin, end) of all arrivals, UTC us."""
        arrivals = self.history.received_at
        return (int(arrivals[0]), int(arrivals[-1]) + 1) if len(arrivals) else (0, 0)

    def offset(self, at: int) -> int:
        """The last offset received before `at` (UTC us): arrivals never go back along the log."""
        rows, others = self.history.available_before(at), int(np.searchsorted(self.arrivals, at))
        return max(int(self.history.offset[rows - 1]) if rows else 0, int(self.offsets[others - 1]) if others else 0)

    def rows(self, until: int) -> int:
        """How many rows of the history have offsets up to `until`."""
        return int(np.searchsorted(self.history.offset, until, side="right"))

    def n_items(self, until: int) -> int:
        """How many items had been mentioned: numbers are given in order of first mention."""
        rows, others = self.rows(until), int(np.searchsorted(self.offsets, until, side="right"))
        return 1 + max(int(self.mentioned[rows - 1]) if rows else -1, int(self.items[others - 1]) if others else -1)

    def history_until(self, until: int) -> History:
        """What `read_history` of the log cut at `until` gives, without reading; users are numbered by first row, so theirs is a prefix too."""
        cut = self.history.rows(slice(0, self.rows(until)))
        n_users = int(cut.user.max()) + 1 if len(cut) else 0
        return replace(cut, users=self.history.users[:n_users], n_items=self.n_items(until))

    def catalogue_until(self, until: int) -> Catalogue:
        """The catalogue as of an offset; read again only where a record or an item came in between."""
        key = (int(np.searchsorted(self.offsets, until, side="right")), self.n_items(until))
        if self.described is None or self.described[0] != key:
            log = PastLog(self.space.log, until, key[1])
            self.described = key, read_catalogue(log, self.space.settings.items, until)
        return self.described[1]


def rowless(space: ReplaySpace, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(offset, arrival, greatest item number so far) of every record that is no row of a history."""
    numbers = {item: number for number, item in enumerate(space.log.items_after(0))}
    offsets: list[int] = []
    arrivals: list[int] = []
    items: list[int] = []
    for batch in batches(space.log, ROWLESS, until=end):
        offsets += range(batch.first, batch.last + 1)
        arrivals += [batch.received_at] * len(batch.records)
        items += [numbers.get(record.item, -1) if batch.kind is Kind.ITEMS else -1 for record in batch.records]
    greatest = np.maximum.accumulate(np.array(items, np.int64)) if items else np.empty(0, np.int64)
    return np.array(offsets, np.int64), np.array(arrivals, np.int64), greatest


class PastSpace:
    """The workspace at a moment that moves forward; implements what training and rollout need of a space.

    Parameters
    ----------
    past : the log, read
    folder : where its releases and its data are kept
    at : UTC us
    settings : under which it is replayed; default those of the workspace
    """

    def __init__(self, past: Past, folder: Path, at: int, settings: Settings | None = None) -> None:
        self.past, self.data, self.settings = past, folder, settings or past.space.settings
        folder.mkdir(parents=True, exist_ok=True)
        self.clock = ManualClock(at)
        self.log = PastLog(past.space.log, 0)
        self.releases = ReleaseStore(folder / "releases", self.clock, admission(Keys(folder / "keys")))
        self.to(at)

    @property
    def archive(self) -> Archive:
        """That of the workspace: readers leave an archive alone that goes on after the log they read."""
        return self.past.space.archive

    @property
    def plan(self) -> Plan:
        return self.past.space.plan

    @property
    def root(self) -> Path:
        return self.past.space.root

    def encoder(self, name: str) -> Encoder:
        return self.past.space.encoder(name)

    @property
    def memo(self) -> Memo:
        """None: a catalogue that grows makes everything anew."""
        return Memo(None)

    def to(self, at: int) -> None:
        """Moves the present; what was received before it is there."""
        self.clock.at, self.log.until = at, self.past.offset(at)
        self.log.n_items = self.past.n_items(self.log.until)

    def history(self, until: int | None = None) -> History:
        return self.past.history_until(self.seen(until))

    def catalogue(self, until: int | None = None) -> Catalogue:
        return self.past.catalogue_until(self.seen(until))

    def seen(self, until: int | None) -> int:
        return self.log.until if until is None else min(until, self.log.until)
