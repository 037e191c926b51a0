"""The point-in-time join: for each (user, item, moment) the values that a server would have had then.

In: a `History` in order of arrival. Out: one row per example, columns `Plan.names`. An event is seen by an example if it was *received* before the
example's moment, however early it happened; nothing later can change a value (tests/features/test_join.py).
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.errors import TrainingError
from vernal.events.history import Catalogue, History
from vernal.features.batch import item_pass, user_pass
from vernal.features.definition import Plan
from vernal.features.tiles import order_by_item
from vernal.features.walk import named
from vernal.terms import HOP_S, IMPRESSION_CODE, OTHER_CODE, US_PER_S


class Moments(NamedTuple):
    """What each example may know, and from when it looks."""

    user_rows: NDArray[np.int64]  # (n,) history rows available for user state
    user_hop: NDArray[np.int64]  # (n,) UTC s
    item_rows: NDArray[np.int64]
    item_hop: NDArray[np.int64]

    @classmethod
    def at(cls, history: History, at: NDArray[np.int64], cut: NDArray[np.int64]) -> "Moments":
        """Moments `at` (UTC us) that know what was received before `cut`."""
        rows = np.searchsorted(history.received_at, np.minimum(at, cut), side="left").astype(np.int64)
        hops = at // US_PER_S // HOP_S * HOP_S
        return cls(rows, hops, rows, hops)


def point_in_time(
    plan: Plan,
    history: History,
    catalogue: Catalogue,
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    at: NDArray[np.int64],
    cut: NDArray[np.int64] | int | None = None,
) -> NDArray[np.float32]:
    """(n, len(plan.names)) float32: every value of n examples.

    Parameters
    ----------
    user, item : (n,) codes and numbers; a user of -1 has no history
    at : (n,) UTC us, the moment of each example
    cut : events received at or after it are not used although they came before `at` (features frozen at a cut); default: `at`

    Two threads: items beside users. Examples next to each other with the same user and moment share their work, so keep a request's candidates together.
    Cost: bench/features_speed.
    """
    moments = Moments.at(history, np.asarray(at, np.int64), np.asarray(at if cut is None else cut, np.int64))
    return read_out(plan, history, catalogue.attributes, np.asarray(user, np.int64), np.asarray(item, np.int64), moments)


def read_out(
    plan: Plan, history: History, attributes: NDArray[np.int32], user: NDArray[np.int64], item: NDArray[np.int64], moments: Moments
) -> NDArray[np.float32]:
    """`point_in_time` with separate moments for user and item state, as served requests have them."""
    backwards = np.flatnonzero(history.received_at[1:] < history.received_at[:-1])
    if len(backwards):
        raise TrainingError.unordered("history", int(backwards[0]) + 1)
    out = np.empty((len(user), len(plan.names)), np.float32)
    columns = (history.time, history.item, history.type, history.value)
    with ThreadPoolExecutor(1) as beside:  # the kernels hold no lock and write columns of their own
        items = beside.submit(fill_items, plan, history, columns, item, moments, out)
        fill_users(plan, history, columns, user, item, attributes, moments, out)
        items.result()
    return out


Columns = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]]


def fill_items(plan: Plan, history: History, columns: Columns, item: NDArray[np.int64], moments: Moments, out: NDArray[np.float32]) -> None:
    n_items = max(history.n_items, int(item.max(initial=-1)) + 1) + 1  # one more: no item, which has no events
    which = np.where(item < 0, n_items - 1, item)
    needed = np.zeros(n_items, np.bool_)
    needed[which] = True
    rows = np.flatnonzero((history.type != OTHER_CODE) & (history.item >= 0) & needed[history.item])
    rows, start = entity_rows(rows, history.item, n_items)
    examples, example_start = entity_examples(which, moments.item_rows, moments.item_hop, n_items)
    program = (plan.item.amounts, plan.item.cells, plan.item.outputs)
    item_pass(rows, start, columns, examples, example_start, moments.item_rows, moments.item_hop, program, plan.all_weights, plan.horizon_days, out, 0)


def fill_users(
    plan: Plan,
    history: History,
    columns: Columns,
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    attributes: NDArray[np.int32],
    moments: Moments,
    out: NDArray[np.float32],
) -> None:
    n_users = len(history.users) + 1  # one more: nobody, who has no events
    who = np.where(user < 0, n_users - 1, user)
    needed = np.zeros(n_users, np.bool_)
    needed[who] = True
    needed[: n_users - 1] &= named(history)[: n_users - 1]
    rows = np.flatnonzero((history.type != OTHER_CODE) & (history.type != IMPRESSION_CODE) & needed[history.user])
    rows, start = entity_rows(rows, history.user, n_users)
    examples, example_start = entity_examples(who, moments.user_rows, moments.user_hop, n_users)
    programs = [(program.amounts, program.cells, program.outputs) for program in (plan.user, plan.pair)]
    pairing = (programs[1], item, frozen(attributes))
    bounds = (plan.history, plan.horizon_days)
    limits, hops = moments.user_rows, moments.user_hop
    user_pass(rows, start, columns, examples, example_start, limits, hops, programs[0], plan.all_weights, bounds, pairing, out, plan.item.n_values)


def entity_rows(rows: NDArray[np.int64], entity: NDArray[np.int32], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(these history rows by entity, in order of arrival; where each entity's begin)."""
    order, start = order_by_item(entity[rows], len(rows), n)
    return rows[order], start


def entity_examples(entity: NDArray[np.int64], limits: NDArray[np.int64], hops: NDArray[np.int64], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(example numbers by entity, then by what they know and see from; where each entity's begin)."""
    order = np.lexsort((hops, limits, entity))
    return order, np.searchsorted(entity[order], np.arange(n + 1)).astype(np.int64)


def frozen(array: NDArray[np.int32]) -> NDArray[np.int32]:
    view = array.view()
    view.setflags(write=False)
    return view
