"""What the ranker sees of each candidate: one row, gathered in one pass.

In: candidates with retrieval scores, the user's state, the live item table. Out: (n, f) float32 whose columns are `feature_names(plan)`; training
and serving call the same function, so they cannot differ. NaN means unknown: a candidate no retriever scored, a user whose state cannot be read.

A retrieval score is given as it is and as its share of the best among the candidates: the share keeps its meaning while the scale drifts. How well a candidate
matches the text that was asked for comes last; NaN where nothing was asked for.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.features.definition import Plan
from vernal.features.pairs import pair_query, pair_rows
from vernal.features.ports import UserState
from vernal.ranking.ports import LiveTable
from vernal.retrieval.candidates import Candidates, score_names
from vernal.terms import DAY_S, HOP_S, HOUR_S, US_PER_S

CONTEXT = ("context.hour", "context.weekday", "context.ring")  # UTC hour 0..23, weekday 0 = Monday, raw events known of the user
QUERY = ("query.lexical", "query.semantic", "query.relevance", "query.clicks", "query.words")  # see retrieval.matching.Matches; words = of the query
Floats = NDArray[np.float32]
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Moment(NamedTuple):
    """When, and how much may be spent: without `slow`, user and pair values stay unknown."""

    hop: int  # UTC s
    slow: bool = True

    @classmethod
    def at(cls, now_us: int, *, slow: bool = True) -> "Moment":
        """The moment of a request at UTC us."""
        return cls(now_us // US_PER_S // HOP_S * HOP_S, slow)


def feature_names(plan: Plan) -> tuple[str, ...]:
    """Columns of `assemble`, in order."""
    retrieval = [f"retrieval.{name}" for name in score_names()]
    return (*retrieval, *(f"{name}.share" for name in retrieval), *plan.item_names, *plan.user_names, *plan.pair_names, *CONTEXT, *QUERY)


def assemble(plan: Plan, candidates: Candidates, user: UserState, live: LiveTable, moment: Moment, match: Floats | None = None) -> NDArray[np.float32]:
    """(n, f) float32 features of the candidates, f = len(feature_names(plan)).

    Parameters
    ----------
    user : values as of `moment.hop`; not read without `moment.slow`
    match : (n, len(QUERY)) how well each matches what was asked for; none = nothing was

    Cost: 25 us of its own and that of `pair_values`, at 300 candidates x 70 features.
    """
    live.read_out(candidates.item)
    scores, item_values, n_user, n_pair = candidates.scores, live.values, plan.user.n_values, plan.pair.n_values
    user_values = user.values if moment.slow else np.full(n_user, np.nan, np.float32)
    width = 2 * scores.shape[1] + item_values.shape[1] + n_user + n_pair + len(CONTEXT)
    out = np.empty((len(scores), width + len(QUERY)), np.float32)
    out[:, width:] = np.nan if match is None else match
    gathered(candidates.item, scores, (item_values, live.attributes, live.n), user_values, pair_query(plan, user.ring, moment.hop), n_pair, tuple(moment), out)
    return out


@njit(nogil=True, cache=True)
def gathered(item, scores, live, user, pairs, n_pair, moment, out):  # type: ignore[no-untyped-def]
    """Fills the first columns of `out` with rows of scores | shares | item values | user values | pair values | context. Whether slow values are wanted is a
    flag and not another type, which would be compiled in the middle of the first hurried request."""
    table, attributes, n_items = live
    events, n, at, weights, program = pairs
    hop, slow = moment
    pull(item, table, attributes)
    pair = np.full((len(item), n_pair), np.float32(np.nan), np.float32)
    if slow and n_pair > 0:
        pair_rows(events, n, at, weights, program, item, attributes[:n_items], pair)
    context = np.empty(3, np.float32)
    context[0], context[1], context[2] = hop % DAY_S // HOUR_S, (hop // DAY_S + EPOCH_WEEKDAY) % 7, n if slow else np.nan
    gather(item, scores, table, user, pair, context, out)


@njit(nogil=True, cache=True)
def pull(item: NDArray[np.int32], values: Floats, attributes: NDArray[np.int32]) -> float:
    """Touches every cache line of the candidates' rows, so that they load side by side and not one after another.

    12 us at 1M items, and takes 65 us off the two passes that follow. The sum keeps the compiler from leaving it out.
    """
    total, width, n_attributes = np.float32(0), values.shape[1], attributes.shape[1]
    for r in range(len(item)):
        for v in range(0, width, 16):
            total += values[item[r], v]
        if width:
            total += values[item[r], width - 1]
        if n_attributes:
            total += np.float32(attributes[item[r], 0, 0] + attributes[item[r], n_attributes - 1, 0])
    return float(total)


@njit(nogil=True, cache=True)
def gather(item: NDArray[np.int32], scores: Floats, table: Floats, user: Floats, pair: Floats, context: Floats, out: Floats) -> None:
    """The rows, once the pair values are known."""
    n, n_scores = scores.shape
    n_items, n_user, n_pair = table.shape[1], len(user), pair.shape[1]
    a, b = 2 * n_scores, 2 * n_scores + n_items
    c, d = b + n_user, b + n_user + n_pair
    most = column_maxima(scores)
    for r in range(n):
        for s in range(n_scores):
            out[r, s] = scores[r, s]
            out[r, n_scores + s] = scores[r, s] / most[s]
        for v in range(n_items):
            out[r, a + v] = table[item[r], v]
        out[r, b:c] = user
        for p in range(n_pair):
            out[r, c + p] = pair[r, p]
        out[r, d : d + len(context)] = context


@njit(nogil=True, cache=True)
def column_maxima(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Greatest score of each column; 1 where nothing is above 0. NaN rows count for nothing."""
    most = np.zeros(scores.shape[1], np.float32)
    for r in range(scores.shape[0]):
        for s in range(scores.shape[1]):
            if scores[r, s] > most[s]:
                most[s] = scores[r, s]
    for s in range(len(most)):
        if most[s] <= 0:
            most[s] = 1
    return most
