"""Groups of cases that a new release must not harm: new users, heavy users, new items, and every declared attribute's common values.

In: cases with their targets, the history before them. Out: (name, (n,) bool) pairs. What a user or an item was at a case is what was known at its moment.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.evaluation.splits import Cases, positive_rows
from vernal.events.history import SLOTS
from vernal.events.ports import EventLog
from vernal.events.reading import batches
from vernal.events.schema import Kind
from vernal.terms import DAY_S, US_PER_S
from vernal.training.snapshot import Snapshot

LEAST = 30  # requests a slice needs before anything is said of it
FEW = 3  # a user with fewer choices before the request is new
HEAVY = 0.9  # those with more choices than this share of the requests' users are heavy
NEW_US = 7 * DAY_S * US_PER_S  # an item first heard of less than this before the request, or after it, is new
VALUES = 4  # most common values of each declared attribute


class Slice(NamedTuple):
    """Some of the cases."""

    name: str
    cases: NDArray[np.bool_]  # (n,)


def slices(asked: Cases, snapshot: Snapshot, log: EventLog) -> list[Slice]:
    """The slices that have enough requests. Cost: a sort of the history's choices."""
    every = [*user_slices(asked, snapshot), new_items(asked, snapshot), *item_values(asked, snapshot), *user_values(asked, snapshot, log)]
    return [found for found in every if LEAST <= np.count_nonzero(found.cases) < len(asked)]


def user_slices(asked: Cases, snapshot: Snapshot) -> Iterator[Slice]:
    """New and heavy users, by their choices before each request."""
    history = snapshot.history
    rows = np.flatnonzero(positive_rows(history, snapshot.settings.events))
    order = np.lexsort((rows, history.user[rows]))
    key = history.user[rows][order].astype(np.int64) * (len(history) + 1) + rows[order]
    known = np.searchsorted(history.received_at, asked.at, side="left")  # rows received before each request
    own = asked.user.astype(np.int64) * (len(history) + 1)
    choices = np.searchsorted(key, own + known) - np.searchsorted(key, own)
    yield Slice("new users", choices < FEW)
    yield Slice("heavy users", choices > max(FEW, int(np.quantile(choices, HEAVY, method="lower"))))


def new_items(asked: Cases, snapshot: Snapshot) -> Slice:
    """Requests that went on to choose an item nobody had known for long."""
    history = snapshot.history
    first = np.full(history.n_items, np.iinfo(np.int64).max, np.int64)
    rows = np.flatnonzero(history.item >= 0)
    np.minimum.at(first, history.item[rows], history.received_at[rows])
    return Slice("new items", any_target(asked, first[asked.target] >= np.repeat(asked.at, np.diff(asked.start)) - NEW_US))


def any_target(asked: Cases, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) bool: cases of which a target is marked; every case has a target."""
    return np.logical_or.reduceat(marked, asked.start[:-1])


def item_values(asked: Cases, snapshot: Snapshot) -> Iterator[Slice]:
    """Requests that went on to choose an item with one of an attribute's most common values."""
    catalogue = snapshot.catalogue
    for place, name in enumerate(catalogue.attribute_names):
        codes = catalogue.attributes[asked.target, place]  # (targets, SLOTS)
        counts = np.bincount(codes.ravel(), minlength=len(catalogue.vocabularies[place]))
        counts[0] = 0
        for code in np.argsort(-counts, kind="stable")[: min(VALUES, np.count_nonzero(counts))]:
            yield Slice(f"{name} = {catalogue.vocabularies[place][code]}", any_target(asked, (codes == code).any(axis=1)))


def user_values(asked: Cases, snapshot: Snapshot, log: EventLog) -> Iterator[Slice]:
    """Requests of users with one of a declared attribute's most common values, as the log describes them now."""
    names = snapshot.settings.users.attributes
    if not names:
        return
    described = {record.user: record.attributes for batch in batches(log, frozenset({Kind.USERS})) for record in batch.records}
    users = [snapshot.history.users[user] for user in asked.user]
    for name in names:
        values = [described.get(user, {}).get(name, [])[:SLOTS] for user in users]
        for value, _ in Counter(value for each in values for value in each).most_common(VALUES):
            yield Slice(f"user {name} = {value}", np.array([value in each for each in values]))
