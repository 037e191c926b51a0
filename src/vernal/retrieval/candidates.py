"""One retrieval: a user's recent events in, a few hundred candidates with all their scores out.

Sources: popularity lists, own history, co-visitation, local EASE, iALS fold-in, content, new items. Filters, exclusions, seen and hidden
items are masked inside the scans, never afterwards, so a filtered request still gets its full number of candidates. The answer depends on
its arguments only; equal scores are ordered by item number.
"""

import threading
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal import terms
from vernal.config import Settings
from vernal.events.history import DESCRIBED
from vernal.features.ports import Ring
from vernal.retrieval import merge, sources
from vernal.retrieval.ann import Ivf, probe
from vernal.retrieval.board import Board, Mask, new_board
from vernal.retrieval.ials import Factors, fold_in
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.models import ItemModels
from vernal.retrieval.ports import Live
from vernal.retrieval.positives import Rules, compiled
from vernal.retrieval.relations import Relations
from vernal.retrieval.selection import BUFFER, Sieve, new_sieve, unpack

NO_MASK = np.empty(0, np.uint8)
NO_ITEMS = np.empty(0, np.int32)
HISTORY_HALF_LIFE_S = 60.0 * terms.DAY_S  # the best half-life of own purchases on a grocery log
TOUCH_ROOM = 10_000  # items the relations may touch in one request; the newest events come first
# Shares of the candidates by source, in the order of terms.SOURCES; own history only where repeats are allowed. What matches a query stands alone.
SHARES = np.array([0.25, 0.25, 0.15, 0.2, 0.2, 0.08, 0.07, 1.0], np.float32)


class Query(NamedTuple):
    """What one retrieval is asked."""

    now_s: int  # UTC s
    recent_events: int = 50  # newest positive events that query the item models
    half_life: float = 30.0 * terms.DAY_S  # s; of an event's weight in that query
    exclude: NDArray[np.int32] = NO_ITEMS  # item numbers never to propose
    allowed: NDArray[np.uint8] | None = None  # (n,) 1 = may be proposed; None = all
    repeats: bool = False  # may items of the ring be proposed
    like: int | None = None  # "similar to this item" instead of "for this user"
    matches: NDArray[np.int32] = NO_ITEMS  # items that match the text asked for, best first; empty = nothing was asked for, and the sources propose
    k: int = 300


class Candidates(NamedTuple):
    """Candidates in retrieval order: sources take turns in proportion to their shares."""

    item: I32  # (n,) item numbers, distinct
    sources: NDArray[np.uint32]  # (n,) bit s is set when terms.SOURCES[s] proposed it
    scores: F32  # (n, len(score_names())), all filled for every candidate


def score_names() -> list[str]:
    """Names of the columns of `Candidates.scores`."""
    return list(sources.SCORE_NAMES)


class Workspace:
    """Scratch memory of one thread, reused by every request: about 1 MB, whatever the size of the catalogue."""

    def __init__(self, dim: int, k: int, ring: int, blocked: int) -> None:
        self.dim, self.k, self.ring, self.blocked = dim, k, ring, blocked
        self.board = new_board(sources.ON_BOARD, TOUCH_ROOM + ring + blocked, (sources.N_SOURCES + 1) * k)
        self.sieve = new_sieve(BUFFER * k)
        items, sizes = np.empty((sources.N_LISTS, k), np.int32), np.zeros(sources.N_LISTS, np.int32)
        self.lists = sources.Lists(items, sizes, np.empty(ring + 1, np.int32), np.empty(ring + 1, np.float32))
        self.trending, self.lists_of_trending = sources.trending_of(np.full((2, 0), -1, np.int32)), b""
        vectors = np.empty((2, dim), np.float32)
        self.flat = (tuple(self.board), tuple(self.sieve), tuple(self.lists), vectors[0], vectors[1])  # what `gathered` takes

    def trending_of(self, top: I32) -> sources.Trending:
        """The popularity lists as requests use them, made anew when one of them has changed."""
        if (lists := top.tobytes()) != self.lists_of_trending:
            self.trending, self.lists_of_trending = sources.trending_of(top), lists
        return self.trending


_here = threading.local()


def workspace(dim: int, k: int, ring: int, blocked: int) -> Workspace:
    """This thread's workspace, at least this large."""
    found: Workspace | None = getattr(_here, "workspace", None)
    if found is None or dim != found.dim or k > found.k or ring > found.ring or blocked > found.blocked:
        old = found or Workspace(dim, 1, 511, 300)
        found = _here.workspace = Workspace(dim, max(k, old.k), max(ring, old.ring), max(blocked, old.blocked))
    return found


def retrieve(models: ItemModels, ring: Ring, live: Live, request: Query, settings: Settings) -> Candidates:
    """Candidates for a user (or like an item) as of `request.now_s`.

    Parameters
    ----------
    ring : the user's recent events; empty for somebody new, who gets popular and new items.
    live : flags, popularity lists and ages as of the same moment.

    Cost: see bench/serve_latency; about 0.2 ms at 10^4 items.
    """
    k = request.k
    work = workspace(models.factors.dim, k, len(ring.time), len(request.exclude) + 1)
    found = merge.Found(np.empty(k, np.int32), np.empty(k, np.uint32), np.empty((k, len(sources.SCORE_NAMES)), np.float32))
    mask = (live.n, live.flags, DESCRIBED if models.catalogue else 0, NO_MASK if request.allowed is None else request.allowed)
    like = -1 if request.like is None else request.like
    asked = (request.now_s, request.recent_events, request.half_life, HISTORY_HALF_LIFE_S, request.repeats, like, k)
    n = gathered(
        (tuple(ring), tuple(compiled(settings.events)), asked, request.exclude, request.matches),
        (*work.trending_of(live.top), live.first_seen, mask),
        (*models.flat[:2], models.delta.follow(live)),
        models.flat[2],
        work.flat,
        tuple(found),
    )
    return Candidates(found.item[:n], found.sources[:n], found.scores[:n])


# hot: plain tuples at the boundary, since for each named one the call would check its class in Python
@njit(cache=True, nogil=True)
def gathered(query, table, models, index, scratch, out):  # type: ignore[no-untyped-def]
    """Asks every source, merges what they propose and fills all scores into `out`; returns the number of candidates."""
    ring, rules, asked = Ring(*query[0]), Rules(*query[1]), sources.Asked(*query[2])
    trending, first_seen, mask = sources.Trending(*table[:4]), table[4], Mask(*table[5])
    relations, factors, extra = Relations(*models[0]), Factors(*models[1]), models[2]
    board, sieve, lists = Board(*scratch[0]), Sieve(*scratch[1]), sources.Lists(*scratch[2])
    user, last = scratch[3], scratch[4]
    matches = query[4]
    n_query = sources.propose(ring, rules, asked, query[3], matches, trending, relations, board, mask, sieve, lists)
    fold_in(factors, extra, lists.query, lists.weight, n_query, user)
    last[:] = 0
    newest, size, limit = -1, 0, (asked.k + 1) // 2
    if n_query:
        newest = lists.query[0]
        if newest < factors.vectors.shape[0]:
            last[:] = factors.vectors[newest]
        elif newest < factors.vectors.shape[0] + extra.shape[0]:
            last[:] = extra[newest - factors.vectors.shape[0]]
        if matches.shape[0] == 0:
            if index is None:  # decided when the call is compiled
                size = sources.scan(factors.vectors, 0, user, limit, 0, board, mask, sieve)
            else:
                size = probe(Ivf(*index), user, limit, board, mask, sieve)
            if extra.shape[0]:
                size = sources.scan(extra, factors.vectors.shape[0], user, limit, size, board, mask, sieve)
            unpack(sieve, size, lists.items[sources.IALS])
    lists.sizes[sources.IALS] = size
    vectors = merge.Vectors(factors.vectors, extra, user, last)
    return merge.collect(lists, SHARES, board, trending, relations, vectors, first_seen, asked.now_s, newest, merge.Found(*out))
