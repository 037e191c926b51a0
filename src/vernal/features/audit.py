"""The skew audit: features of served slates, recomputed from the log by the bulk pass and compared with what the ranker saw.

A difference of a single bit is a mismatch; the rate must be 0. Only what a log can know is compared: item, user and pair values of slates that used the user's
state (the full rung, no session items in the request). Item attributes are those of the moment of the slate.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.events.archive import Archive
from vernal.events.catalogue import CatalogueBuilder
from vernal.events.history import SLOTS, History
from vernal.events.ports import EventLog
from vernal.events.reading import batches, read_history, read_slates, type_codes
from vernal.events.schema import Item, Kind, Slate
from vernal.features.definition import Plan
from vernal.features.join import Moments, read_out
from vernal.features.weights import hop

SHOWN = 20  # mismatches described in a report


class Mismatch(NamedTuple):
    """One value that differs."""

    rec_id: str
    item: str
    feature: str
    served: float
    recomputed: float


class AuditReport(NamedTuple):
    """What an audit compared and found."""

    slates: int
    rows: int  # items of those slates
    values: int
    mismatches: int
    examples: list[Mismatch]

    @property
    def rate(self) -> float:
        """Share of values that differ; 0 when nothing was compared."""
        return self.mismatches / self.values if self.values else 0.0


def audit(
    log: EventLog,
    archive: Archive | None,
    plan: Plan,
    settings: Settings,
    columns: Sequence[str],
    *,
    after: int = 0,
    rungs: Collection[str] = ("full",),
    seed: int = 0,
    releases: Collection[str] | None = None,
    until: int | None = None,
    history: History | None = None,
) -> AuditReport:
    """Recomputes `settings.audit.sample` slates drawn from those with offsets in (after, until].

    Parameters
    ----------
    columns : names of the columns of `Slate.features`; those of the plan are compared, the ranker's own are not
    rungs : rungs whose slates saw every feature
    releases : only what these answered; none = whoever answered
    history : of the log up to `until`, where the caller has read it already

    Slates from before the newest erasure are left out: what they saw of the erased user is gone, as ordered. Cost: one reading of the log.
    """
    erased = max((batch.last for batch in batches(log, frozenset({Kind.ERASURES}))), default=0)
    told = ((offset, slate) for offset, slate in read_slates(log, after) if until is None or offset <= until)
    answered = (slate for _, slate in told if releases is None or slate.release in releases)
    usable = [slate for slate in answered if comparable(slate, erased, len(columns), rungs)]
    chosen = np.random.default_rng(seed).permutation(len(usable))[: settings.audit.sample]
    slates = sorted((usable[place] for place in chosen), key=lambda slate: slate.item_offset)
    if not slates:
        return AuditReport(0, 0, 0, 0, [])
    if history is None:
        newest = max(max(slate.item_offset, slate.user_offset) for slate in slates)
        history = read_history(log, archive, type_codes(settings), newest)
    wanted = [(place, name) for place, name in enumerate(columns) if name in plan.names]
    return compared(slates, recomputed(log, plan, settings, history, slates), plan, wanted, len(columns))


def comparable(slate: Slate, erased: int, width: int, rungs: Collection[str]) -> bool:
    """Whether everything this slate saw of features is in the log."""
    whole = len(slate.features) == 4 * width * len(slate.items) and slate.items
    return bool(whole and slate.rung in rungs and slate.item_offset >= erased and not json.loads(slate.request).get("session"))


def recomputed(log: EventLog, plan: Plan, settings: Settings, history: History, slates: Sequence[Slate]) -> Iterator[NDArray[np.float32]]:
    """Per slate, in order of item_offset: (n_items, len(plan.names)) float32."""
    places = {user: place for place, user in enumerate(history.users) if user}
    past = PastAttributes(log, settings, history.n_items)
    for version, same in groupby(slates, key=lambda slate: past.version(slate.item_offset)):
        group = list(same)
        attributes = past.at(version)
        sizes = [len(slate.items) for slate in group]
        user = np.repeat([places.get(slate.user, -1) for slate in group], sizes)
        item = np.concatenate([np.frombuffer(slate.item_numbers, np.uint32) for slate in group]).astype(np.int64)
        seen = [np.searchsorted(history.offset, [getattr(slate, name) for slate in group], side="right") for name in ("user_offset", "item_offset")]
        hops = [[hop(slate.time) for slate in group], [slate.hop for slate in group]]
        moments = Moments(*(np.repeat(np.asarray(column, np.int64), sizes) for column in (seen[0], hops[0], seen[1], hops[1])))
        rows = read_out(plan, history, attributes, user.astype(np.int64), item, moments)
        yield from np.split(rows, np.cumsum(sizes)[:-1])


class PastAttributes:
    """Item attributes as of a log offset, moving forward."""

    def __init__(self, log: EventLog, settings: Settings, n_items: int) -> None:
        names = log.items_after(0)
        numbers = {item: number for number, item in enumerate(names)}
        self.records: list[tuple[int, int, Item]] = [
            (offset, numbers[record.item], record)
            for batch in batches(log, frozenset({Kind.ITEMS}))
            for offset, record in enumerate(batch.records, batch.first)
        ]
        self.offsets = np.array([offset for offset, _, _ in self.records], np.int64)
        self.builder = CatalogueBuilder(list(settings.items.attributes))
        self.table = np.zeros((max(n_items, len(names)), len(settings.items.attributes), SLOTS), np.int32)
        self.taken = 0

    def version(self, offset: int) -> int:
        """How many records had come by this offset."""
        return int(np.searchsorted(self.offsets, offset, side="right"))

    def at(self, version: int) -> NDArray[np.int32]:
        """(n_items, n_attributes, SLOTS) int32 after that many records."""
        for _, number, record in self.records[self.taken : version]:
            self.table[number] = 0
            for attribute, codes in enumerate(self.builder.put(number, record)):
                self.table[number, attribute, : len(codes)] = codes
        self.taken = max(self.taken, version)
        return self.table


def compared(slates: Sequence[Slate], rows: Iterator[NDArray[np.float32]], plan: Plan, wanted: Sequence[tuple[int, str]], width: int) -> AuditReport:
    """Counts values whose bits differ (every NaN is alike)."""
    served_columns, own_columns = [place for place, _ in wanted], [plan.names.index(name) for _, name in wanted]
    n_rows, differing, examples = 0, 0, list[Mismatch]()
    for slate, made in zip(slates, rows, strict=True):
        served = np.frombuffer(slate.features, np.float32).reshape(-1, width)[:, served_columns]
        again = made[:, own_columns]
        differs = (served.view(np.uint32) != again.view(np.uint32)) & ~(np.isnan(served) & np.isnan(again))
        n_rows, differing = n_rows + len(served), differing + int(differs.sum())
        for row, column in np.argwhere(differs)[: SHOWN - len(examples)].tolist():
            examples.append(Mismatch(slate.rec_id, slate.items[row], wanted[column][1], float(served[row, column]), float(again[row, column])))
    return AuditReport(len(slates), n_rows, n_rows * len(wanted), differing, examples)
