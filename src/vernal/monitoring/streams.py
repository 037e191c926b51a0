"""From the log to the rows that are watched: one stream per event type, cut into windows of arrival.

In: events in order of arrival. Out, per window and type: how many there were, and of a sample of them value, lag (arrival minus event time), gap since the
user's previous event of the type, how many the user has in the window and the different hours the user was there in (robots), whether user and item were
known, and the item's categories. A type has a watch of its own, so that a fault in rare purchases is not thinned out by many views. Slates count as
impressions.
"""

from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.events.catalogue import CatalogueBuilder, flags_of
from vernal.events.history import DESCRIBED, Catalogue, History
from vernal.events.ports import EventReader
from vernal.events.reading import CHUNK, COLUMNS, Columns, type_codes
from vernal.events.schema import Kind as Record
from vernal.features.columns import grown
from vernal.monitoring.bins import TOP, Bins, Floats, Keys, edges_of, known_of
from vernal.monitoring.schema import MISSING_KEY, Column, Kind, Schema, Stream
from vernal.monitoring.summaries import Summary
from vernal.terms import DAY_S, HOUR_S, IMPRESSION_CODE, OTHER, OTHER_CODE, US_PER_S, VALUE_SCALE

MOST_ROWS: Final = 20_000  # of one stream and window that are summarised; the rest only counts as volume
LONGEST_GAP_S: Final = 128.0 * DAY_S  # also of a user's first event
NUMBERS: Final = ("value", "lag", "gap", "events_of_user", "hours_of_user")
IDENTITIES: Final = ("user", "item")
READ: Final = frozenset({Record.EVENTS, Record.SLATES, Record.ITEMS})
NONE_BROUGHT: Final = np.zeros((0, 0), np.bool_)
KNOWN, NEW = 0, 1  # keys of identities; NEW is in no bins, so it counts as never seen before


class Rows(NamedTuple):
    """One window of a stream."""

    n: int  # rows there were
    numeric: Floats  # (sampled, n_numeric)
    categorical: Keys  # (sampled, n_categorical)
    brought: NDArray[np.bool_] = NONE_BROUGHT  # (sampled, n_categorical) categories that came with new goods, not by a change of old ones

    def summary(self, bins: Bins) -> Summary:
        """Its summary; the number of rows is that of all of them.

        A category that the bins do not know but that came with new goods is no fault of the data, and says nothing of the categories that were known: such
        a row counts in that column as others of the window do.
        """
        keys = self.categorical
        for column in np.flatnonzero(self.brought.any(axis=0)).tolist():
            strange = ~np.isin(keys[:, column], bins.known[bins.start[column] : bins.start[column + 1]]) & (keys[:, column] != MISSING_KEY)
            new, others = np.flatnonzero(strange & self.brought[:, column]), np.flatnonzero(~strange)
            if len(new) and len(others):
                keys = keys.copy() if keys is self.categorical else keys
                keys[new, column] = keys[others[np.arange(len(new)) % len(others)], column]
        made = Summary.of(bins, self.numeric, keys)
        made.flat[0] = self.n
        return made


class Items:
    """What is known of the items so far, by number: described or mentioned before, and the first value of each attribute."""

    def __init__(self, attributes: Sequence[str]) -> None:
        self.attributes = tuple(attributes)
        self.known = np.zeros(0, np.bool_)
        self.codes = np.zeros((0, len(self.attributes)), np.int32)
        self.first = np.zeros(0, np.int64)  # offset of an item's first event, 0 = none yet
        self.brought: list[dict[int, bool]] = [{} for _ in self.attributes]  # code -> whether it came with an item that had none before

    @classmethod
    def of(cls, catalogue: Catalogue, n_items: int) -> Self:
        """What a catalogue says."""
        made, n = cls(catalogue.attribute_names), len(catalogue)
        made.grow(max(n_items, n))
        made.known[:n] = (catalogue.flags & DESCRIBED) > 0
        made.codes[:n] = catalogue.attributes[:, :, 0]
        return made

    def grow(self, n: int) -> None:
        """Room for the items numbered below n."""
        if n > len(self.known):
            room = max(n, 2 * len(self.known))
            self.known, self.codes, self.first = grown(self.known, room), grown(self.codes, room), grown(self.first, room)

    def describe(self, number: int, codes: Sequence[Sequence[int]], described: bool) -> None:
        """Takes a record of the catalogue."""
        self.known[number] |= described
        for attribute, found in enumerate(codes):
            code, brought = found[0] if found else 0, self.brought[attribute]
            brought.setdefault(code, self.codes[number, attribute] == 0)
            self.codes[number, attribute] = code

    def keys(self, item: NDArray[np.int32]) -> Keys:
        """(n, 1 + n_attributes) whether it was known, then its categories."""
        out = np.full((len(item), 1 + len(self.attributes)), MISSING_KEY, np.int64)
        there = item >= 0
        out[there, 0] = np.where(self.known[item[there]], KNOWN, NEW)
        codes = self.codes[item[there]].astype(np.int64)
        out[there, 1:] = np.where(codes > 0, codes, MISSING_KEY)
        return out

    def brought_by(self, keys: Keys) -> NDArray[np.bool_]:
        """Where keys are categories that came with new goods."""
        return np.column_stack([np.isin(column, [code for code, new in brought.items() if new]) for column, brought in zip(keys.T, self.brought, strict=True)])

    def meet(self, item: NDArray[np.int32], offset: NDArray[np.int64]) -> None:
        """Takes the events of a window."""
        there = item >= 0
        numbers, at = np.unique(item[there], return_index=True)
        new = self.first[numbers] == 0
        self.first[numbers[new]] = offset[there][at[new]]
        self.known[numbers] = True


class Events:
    """The streams of events: what was seen so far, and the rows of the next window.

    Parameters
    ----------
    codes : `type_codes(settings)`
    items : what is known of the items before the first window
    """

    def __init__(self, codes: Mapping[str, int], items: Items) -> None:
        self.types = {code: name for name, code in codes.items()} | {OTHER_CODE: OTHER}
        self.items = items
        self.last = np.zeros((max(self.types) + 1, 0), np.int64)  # (n_types, n_users) time of the newest event, 0 = none

    def rows(self, window: History, number: int) -> dict[str, Rows]:
        """Rows per type of the next window; what it holds counts as seen afterwards.

        Parameters
        ----------
        window : its rows only; user codes are the same from window to window
        number : decides which rows are sampled

        Cost: 0.4 us per event.
        """
        self.make_room(window)
        new_user: NDArray[np.bool_] = np.all(self.last == 0, axis=0)
        shown, made = window.type == IMPRESSION_CODE, {}
        hours = {True: hours_of_users(window.rows(shown)), False: hours_of_users(window.rows(~shown))}  # being shown something is not doing something
        for code, name in self.types.items():
            at = np.flatnonzero(window.type == code)
            made[name] = self.of_type(window.rows(at), code, new_user, hours[code == IMPRESSION_CODE], np.random.default_rng([number, code]))
        self.meet(window)
        return made

    def make_room(self, window: History) -> None:
        self.last = np.pad(self.last, ((0, 0), (0, max(0, len(window.users) - self.last.shape[1]))))

    def meet(self, window: History) -> None:
        """What was in a window counts as seen."""
        self.make_room(window)
        np.maximum.at(self.last, (window.type, window.user), window.time)
        self.items.meet(window.item, window.offset)

    def of_type(self, window: History, code: int, new_user: NDArray[np.bool_], hours: Keys, draw: np.random.Generator) -> Rows:
        gap, count = self.paced(window, code)
        kept = np.arange(len(window)) if len(window) <= MOST_ROWS else np.sort(draw.choice(len(window), MOST_ROWS, replace=False))
        sample = window.rows(kept)
        value = np.where(sample.value == 0, np.nan, sample.value / VALUE_SCALE)
        lag = (sample.received_at - sample.time) / US_PER_S
        user = np.where(new_user[sample.user], NEW, KNOWN)
        numeric = np.column_stack([value, lag, gap[kept], count[kept], hours[sample.user]])
        items = self.items.keys(sample.item)
        brought = np.pad(self.items.brought_by(items[:, 1:]), ((0, 0), (len(IDENTITIES), 0))) if self.items.attributes else NONE_BROUGHT
        return Rows(len(window), numeric, np.column_stack([user, items]).astype(np.int64), brought)

    def paced(self, window: History, code: int) -> tuple[Floats, Floats]:
        """(n,) seconds since the user's previous event of the type, and how many the user has in the window."""
        order = np.lexsort((np.arange(len(window)), window.user))
        user, time = window.user[order], window.time[order]
        first = np.ones(len(window), np.bool_)
        first[1:] = user[1:] != user[:-1]
        before = np.concatenate([[0], time[:-1]])[: len(time)]
        before = np.where(first, self.last[code, user], before)
        gap, count = np.empty(len(window)), np.empty(len(window))
        gap[order] = np.where(before > 0, np.clip((time - before) / US_PER_S, 0.0, LONGEST_GAP_S), LONGEST_GAP_S)
        count[order] = np.bincount(np.cumsum(first) - 1)[np.cumsum(first) - 1] if len(window) else 0
        return gap, count

    def schema(self, name: str) -> Schema:
        """The columns of a stream, each named after it: `purchase.value`."""
        numeric, categorical = (Column(f"{name}.{each}", stream=Stream.QUALITY) for each in NUMBERS), (*IDENTITIES, *self.items.attributes)
        return Schema.of([*numeric, *(Column(f"{name}.{each}", Kind.CATEGORICAL, Stream.QUALITY) for each in categorical)])

    def labels(self, name: str, values: Sequence[Sequence[str]], bins: Bins) -> dict[str, list[str]]:
        """What the commonest categories of each column are called.

        Parameters
        ----------
        values : per attribute: code -> value
        """
        made = {f"{name}.{each}": ["known"] for each in IDENTITIES}
        for a, attribute in enumerate(self.items.attributes):
            column = len(IDENTITIES) + a
            keys = bins.known[bins.start[column] : bins.start[column + 1]][:TOP]
            made[f"{name}.{attribute}"] = [values[a][key] for key in keys.tolist()]
        return made

    def bins(self, windows: Sequence[Rows]) -> Bins:
        """Bins of the past windows of one stream. A category without events is known where old goods were relabelled; one that goods brought has no frequency
        yet, and is new when its first events come."""
        numeric, categorical = np.concatenate([w.numeric for w in windows]), np.concatenate([w.categorical for w in windows])
        identities = [np.array([KNOWN], np.int64)] * len(IDENTITIES)
        categories = []
        for a in range(len(self.items.attributes)):
            found, brought = known_of(categorical[:, len(IDENTITIES) + a]), self.items.brought[a]
            listed = np.array([code for code in np.unique(self.items.codes[:, a]).tolist() if code > 0 and not brought.get(code)], np.int64)
            categories.append(np.concatenate([found, np.setdiff1d(listed, found)]))
        return Bins.of(np.array([edges_of(column) for column in numeric.T]), [*identities, *categories])


def hours_of_users(window: History) -> Keys:
    """(n_users,) in how many different hours each user was there: people sleep."""
    hour = window.time // (HOUR_S * US_PER_S)
    first = int(hour.min()) if len(hour) else 0
    pairs = np.unique(window.user.astype(np.int64) << 32 | (hour - first))
    return np.bincount(pairs >> 32, minlength=len(window.users)).astype(np.int64)


class Arrivals:
    """The log read forward, window by window.

    Parameters
    ----------
    items : moves along: what the catalogue said before the end of the newest window is in it
    """

    def __init__(self, log: EventReader, settings: Settings, items: Items) -> None:
        self.log, self.items = log, items
        self.columns = Columns([], type_codes(settings))
        self.catalogue = CatalogueBuilder(list(items.attributes))
        self.described: deque[tuple[int, int, list[list[int]], bool]] = deque()  # arrival, item, codes, is it described: not before their time
        self.after = 0  # offset that was read up to
        self.waiting = self.columns.history()
        self.named = array("q")  # offsets of events that name the slate they came of, ascending

    def before(self, end: int) -> History:
        """Every row that is not out yet and was received before `end` (UTC us); what comes later than its window is in the next one.

        Cost: 2 us per event.
        """
        parts, until = [self.waiting], self.log.end()
        while self.after < until and not (len(parts[-1]) and parts[-1].received_at[-1] >= end):
            parts.append(self.more(until))
        self.waiting = joined(parts)
        n = self.waiting.available_before(end)
        out, self.waiting = self.waiting.rows(slice(0, n)), self.waiting.rows(slice(n, None))
        self.describe(end)
        return out

    def more(self, until: int) -> History:
        """The next stretch of the log."""
        columns, last = self.columns, until
        fresh = self.log.items_after(columns.n_items)
        columns.numbers.update(zip(fresh, range(columns.n_items, columns.n_items + len(fresh)), strict=True))
        columns.n_items += len(fresh)
        for batch in self.log.read(self.after, CHUNK, READ):
            last = batch.last
            if batch.kind is Record.ITEMS:
                for record in batch.records:
                    number = columns.numbers[record.item]
                    self.described.append((batch.received_at, number, self.catalogue.put(number, record), bool(flags_of(record) & DESCRIBED)))
            else:
                columns.add(batch)
                if batch.kind is Record.EVENTS:
                    self.named.extend(offset for offset, event in enumerate(batch.records, batch.first) if event.rec_id)
        self.after = last
        made = columns.history()
        columns.parts = {name: [] for name in COLUMNS}
        return made

    def values(self) -> list[list[str]]:
        """Per attribute: code -> value."""
        return [list(codes) for codes in self.catalogue.codes]

    def describe(self, end: int) -> None:
        self.items.grow(self.columns.n_items)
        while self.described and self.described[0][0] < end:
            _, number, coded, described = self.described.popleft()
            self.items.describe(number, coded, described)


def joined(parts: Sequence[History]) -> History:
    """Histories of one reading, one after another."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return replace(parts[-1], **columns)
