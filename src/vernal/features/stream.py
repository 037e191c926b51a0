"""The stream worker: the one process that folds the log into user state, item state and the live table.

Records of a page go to item state, whose publication readers see at once, then to user state, whose commit carries the applied offset: an
acknowledged event counts once `state.offset()` has reached it. After a crash item state continues from its newest snapshot and user state from
its applied offset; each skips what it has. State of another plan is forgotten and folded again from the log.
"""

from collections.abc import Mapping
from pathlib import Path
from threading import Thread

import numpy as np

from vernal.clock import Clock
from vernal.config import Settings
from vernal.events.ports import EventLog
from vernal.events.reading import type_codes
from vernal.events.schema import Kind
from vernal.features.definition import Plan
from vernal.features.fold import fold_users
from vernal.features.items import ItemState
from vernal.features.page import Names, Page, rows_of
from vernal.features.ports import StateStore
from vernal.features.records import USER_PREFIX
from vernal.features.snapshot import Snapshot, forget, restore
from vernal.features.tiles import order_by_item
from vernal.features.weights import hop
from vernal.terms import HOP_S, IMPRESSION_CODE, OTHER_CODE, US_PER_S

PLAN_KEY = b"!plan"
PAGE = 10_000  # records folded at once
SNAPSHOT_EVERY = 500_000  # records; replaying as many takes a few seconds
AHEAD_S = 90  # how long before a hop its read-out begins
AHEAD_ITEMS = 20_000  # items read out ahead per step: a few milliseconds


class StreamWorker:
    """Folds the log, step by step.

    Parameters
    ----------
    log, state : where records come from and where user records go; this is the store's only writer
    live_dir : directory of the live item table and of snapshots
    plan, settings, clock : definitions, event types, the present

    Example
    -------
    >>> import tempfile
    >>> from vernal.clock import ManualClock
    >>> from vernal.events.schema import Event
    >>> from vernal.features.definition import compile_plan
    >>> from vernal.testing.memory import MemoryLog, MemoryState
    >>> settings, clock = Settings(), ManualClock()
    >>> log, state = MemoryLog(clock), MemoryState()
    >>> worker = StreamWorker(log, state, Path(tempfile.mkdtemp()), compile_plan(settings), settings, clock)
    >>> log.append(Kind.EVENTS, [Event("e1", "view", "ada", "book", clock.now())])
    [Receipt(offset=1, duplicate=False)]
    >>> worker.step(), worker.step(), state.offset(), worker.items.live.number("book")
    (1, 0, 1, 0)
    >>> worker.close()
    """

    def __init__(self, log: EventLog, state: StateStore, live_dir: Path, plan: Plan, settings: Settings, clock: Clock) -> None:
        self.log, self.state, self.live_dir, self.plan, self.clock = log, state, live_dir, plan, clock
        self.codes = type_codes(settings)
        self.writing: Thread | None = None
        self.snapshots_given_up = 0
        if state.get(PLAN_KEY) != plan.fingerprint.encode():
            state.drop()
            state.commit([(PLAN_KEY, plan.fingerprint.encode())], [], 0)
        self.names = Names(log.items_after)
        self.items = restore(plan, live_dir, log.end()) or self.from_beginning(0)
        self.saved = self.items.offset
        self.items.advance(max(hop(clock.now()), self.items.hop))

    def step(self) -> int:
        """Folds the next page; returns how many records were in it, 0 when the log's end was reached.

        Raises
        ------
        DiskFull
            The state could not be committed; the page is folded again by the next step.

        Cost: about 10 us per event, one fdatasync per step.
        """
        after = min(self.items.offset, self.state.offset())
        records = self.fold(self.read(after)) if self.log.end() > after else 0
        now = max(hop(self.clock.now()), self.items.hop)
        if now > self.items.hop:
            self.items.advance(now)
        self.look_ahead(now)
        if self.items.offset - self.saved >= SNAPSHOT_EVERY:
            self.save()
        return records

    def fold(self, page: Page) -> int:
        """Brings item state, then user state to the end of a page."""
        if page.records:
            self.fold_items(page, max(hop(self.clock.now()), hop(page.received_at)))
            self.fold_users(page)
        return page.records

    def close(self) -> None:
        """Writes a snapshot, so that the next start has little to fold. The log and the store stay open."""
        self.save()
        if self.writing:
            self.writing.join()

    def read(self, after: int) -> Page:
        """The records after an offset as columns."""
        return Page(list(self.log.read(after, PAGE)), self.codes, self.names)

    def fold_items(self, page: Page, now: int) -> None:
        """Brings the live table to the end of the page."""
        if page.last <= self.items.offset:
            return
        if any(offset > self.items.offset for offset in page.erased.values()):
            self.items = self.from_beginning(page.last)
            self.items.advance(now, page.last)
            forget(self.live_dir)
            self.saved = 0
            return
        self.take(self.items, page, page.erased)
        if now > self.items.hop:
            self.items.advance(now, page.last)
        else:
            self.items.publish(page.last)

    def take(self, items: ItemState, page: Page, erased: Mapping[str, int]) -> None:
        """Folds what a page says of items; erased users' events before their erasure are left out."""
        numbers, seen_s = page.mentioned
        if len(numbers) and numbers[-1] >= items.n:
            items.mention(self.names.ids[items.n : int(numbers[-1]) + 1], 0)
        items.see(numbers, seen_s)
        for offset, number, record in page.catalogue:
            if offset > items.offset:
                items.upsert(number, record)
        columns = page.columns
        rows = np.flatnonzero((columns.offset > items.offset) & (columns.type != OTHER_CODE) & (columns.item >= 0) & page.kept(erased))
        items.fold(columns.item[rows], columns.time[rows], columns.type[rows], columns.value[rows])

    def fold_users(self, page: Page) -> None:
        """Brings user state to the end of the page."""
        done, columns, names = self.state.offset(), page.columns, page.users
        erased = {user: offset for user, offset in page.erased.items() if offset > done}
        rows = np.flatnonzero((columns.offset > done) & (columns.type > IMPRESSION_CODE) & page.kept(erased) & page.has_user())
        users, local = np.unique(columns.user[rows], return_inverse=True)
        order, starts = order_by_item(local, len(rows), len(users))
        rows = rows[order]
        keys = [USER_PREFIX + names[user].encode() for user in users.tolist()]
        records = [None if names[user] in erased else record for user, record in zip(users.tolist(), self.state.get_many(keys), strict=True)]
        folded = fold_users(self.plan, records, starts, columns.time[rows], columns.item[rows], columns.type[rows], columns.value[rows])
        self.state.commit(zip(keys, folded, strict=True), [USER_PREFIX + user.encode() for user in erased], max(done, page.last))

    def from_beginning(self, until: int) -> ItemState:
        """Item state folded anew from the whole log up to an offset, without the events of users who were erased."""
        items = ItemState(self.plan, self.live_dir)
        erased = {record.user: offset for offset, _, record in rows_of(list(self.log.read(0, 2**62, frozenset({Kind.ERASURES}))), Kind.ERASURES)}
        while items.offset < until:
            page = self.read(items.offset)
            if not page.records:
                break
            self.take(items, page, erased)
            items.offset = page.last
        return items

    def look_ahead(self, now: int) -> None:
        """Reads a slice of the items out at the next hop, when it is near."""
        if self.clock.now() // US_PER_S >= now + HOP_S - AHEAD_S:
            self.items.prepare(now + HOP_S, AHEAD_ITEMS)

    def save(self) -> None:
        """Starts writing a snapshot unless one is being written."""
        if self.writing and self.writing.is_alive():
            return
        self.saved = self.items.offset
        self.writing = Thread(target=self.write, args=(Snapshot(self.items),))
        self.writing.start()

    def write(self, snapshot: Snapshot) -> None:
        """Writes a snapshot; one that finds no room is given up, since the one before it and the log hold everything."""
        try:
            snapshot.write(self.live_dir)
        except OSError:
            self.snapshots_given_up += 1
