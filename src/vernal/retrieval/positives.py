"""What counts as a sign of taste, and the user x item matrix made of it.

In: a `History` and the event types of the config. Out: one row per positive event, and sparse matrices of its distinct pairs.
Nothing received at or after `as_of` is ever used: callers cut the history first (`History.before`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal import config, terms
from vernal.events.history import History

N_CODES = 256  # event type codes fit one byte


def type_weights(events: config.Events) -> NDArray[np.float32]:
    """(256,) float32: how much one event of a type code says about taste; 0 = never a positive. The largest is 1."""
    weights = np.zeros(N_CODES, np.float32)
    for code, kind in enumerate(events.types.values(), terms.FIRST_TYPE_CODE):
        weights[code] = kind.weight
    return weights / max(weights.max(), np.float32(1e-9))


def least_values(events: config.Events) -> NDArray[np.int32]:
    """(256,) int32, fixed point: the least value with which an event of a type code is a positive."""
    least = np.full(N_CODES, np.iinfo(np.int32).min, np.int32)
    for code, kind in enumerate(events.types.values(), terms.FIRST_TYPE_CODE):
        if kind.min_value is not None:
            least[code] = round(kind.min_value * terms.VALUE_SCALE)
    return least


@dataclass(frozen=True)
class Positives:
    """Positive events as parallel columns, in order of arrival."""

    user: NDArray[np.int32]  # (n,) user code
    item: NDArray[np.int32]  # (n,) item number
    weight: NDArray[np.float32]  # (n,) 0..1
    time: NDArray[np.int64]  # (n,) UTC s
    n_users: int
    n_items: int

    @classmethod
    def of(cls, history: History, events: config.Events) -> "Positives":
        """The positive events of a history."""
        weights, least = type_weights(events)[history.type], least_values(events)[history.type]
        rows = np.flatnonzero((weights > 0) & (history.item >= 0) & (history.value >= least))
        return cls(history.user[rows], history.item[rows], weights[rows], history.time[rows] // terms.US_PER_S, len(history.users), history.n_items)

    def __len__(self) -> int:
        return len(self.item)

    def rows(self, rows: NDArray[np.bool_]) -> "Positives":
        return Positives(self.user[rows], self.item[rows], self.weight[rows], self.time[rows], self.n_users, self.n_items)


class Rules(NamedTuple):
    """What makes an event a positive, by type code."""

    weights: NDArray[np.float32]  # (256,) type_weights
    least: NDArray[np.int32]  # (256,) least_values


class Matrix(NamedTuple):
    """A sparse matrix in compressed rows; columns ascend within a row."""

    start: NDArray[np.int64]  # (n_rows + 1,)
    column: NDArray[np.int32]  # (nnz,)
    value: NDArray[np.float32]  # (nnz,)
    n_columns: int

    @property
    def n_rows(self) -> int:
        return len(self.start) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n_rows,) entries per row."""
        return np.diff(self.start)

    def transposed(self) -> "Matrix":
        """The same matrix by columns. Cost: one stable sort of nnz."""
        order = np.argsort(self.column, kind="stable")
        row = np.repeat(np.arange(self.n_rows, dtype=np.int32), self.lengths)[order]
        return Matrix(starts(self.column, self.n_columns), row, self.value[order], self.n_rows)


def starts(rows: NDArray[np.int32], n_rows: int) -> NDArray[np.int64]:
    """(n_rows + 1,) int64: where each row begins once entries are ordered by row."""
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))]).astype(np.int64)


def pairs(positives: Positives, min_events: int, cap: int = 1_000) -> Matrix:
    """The (n_users, n_items) matrix of distinct pairs, value = the strongest positive of the pair.

    Parameters
    ----------
    min_events : items with fewer positive events get no entries.
    cap : newest pairs kept per user: a bot with 10^5 items would otherwise cost 10^10 pairs of items.
    """
    enough = np.bincount(positives.item, minlength=positives.n_items) >= min_events
    kept = positives.rows(enough[positives.item])
    key = kept.user.astype(np.int64) * positives.n_items + kept.item
    order = np.lexsort((kept.time, key))
    key, weight, time = key[order], kept.weight[order], kept.time[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    if not len(first):
        return Matrix(np.zeros(positives.n_users + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), positives.n_items)
    strongest = np.maximum.reduceat(weight, first)
    newest = time[np.append(first[1:], len(key)) - 1]
    user, item = (key[first] // positives.n_items).astype(np.int32), (key[first] % positives.n_items).astype(np.int32)
    rows = newest_per_user(user, newest, positives.n_users, cap)
    return Matrix(starts(user[rows], positives.n_users), item[rows], strongest[rows], positives.n_items)


def newest_per_user(user: NDArray[np.int32], time: NDArray[np.int64], n_users: int, cap: int) -> NDArray[np.int64]:
    """Row numbers, ascending, of the newest `cap` rows of each user; rows are ordered by user."""
    if np.bincount(user, minlength=n_users).max() <= cap:
        return np.arange(len(user))
    order = np.lexsort((-time, user))
    rank = np.arange(len(user)) - starts(user, n_users)[user[order]]
    return np.sort(order[rank < cap])


_compiled: dict[int, tuple[config.Events, Rules]] = {}


def compiled(events: config.Events) -> Rules:
    """The rules of a config, made once per settings object: the request path asks every time."""
    found = _compiled.get(id(events))
    if found is None or found[0] is not events:
        if len(_compiled) > 64:
            _compiled.clear()
        found = _compiled[id(events)] = (events, Rules(type_weights(events), least_values(events)))
    return found[1]
