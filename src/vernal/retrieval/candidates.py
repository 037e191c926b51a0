"""One retrieval: a user's recent events in, a few hundred candidates with all their scores out.

Sources: popularity lists, own history, co-visitation, local EASE, iALS fold-in, content, new items. Filters, exclusions, seen and hidden
items are masked inside the scans, never afterwards, so a filtered request still gets its full number of candidates. The answer depends on
its arguments only; equal scores are ordered by item number.
"""

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal import terms
from vernal.config import Settings
from vernal.events.history import DESCRIBED
from vernal.features.ports import Ring
from vernal.retrieval import merge, sources
from vernal.retrieval.ann import probe
from vernal.retrieval.ials import fold_in
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.models import ItemModels
from vernal.retrieval.ports import Live
from vernal.retrieval.positives import compiled
from vernal.retrieval.selection import BUFFER, N_BINS, unpack

NO_MASK = np.empty(0, np.uint8)
NO_ITEMS = np.empty(0, np.int32)
HISTORY_HALF_LIFE_S = 60.0 * terms.DAY_S  # the best half-life of own purchases on a grocery log
TOUCH_ROOM = 10_000  # items the relations may touch in one request; the newest events come first
N_COLUMNS = sources.HISTORY_COUNT + 1  # columns added up by item on the board
# Shares of the candidates by source, in the order of terms.SOURCES; own history only where repeats are allowed.
SHARES = np.array([0.25, 0.25, 0.15, 0.2, 0.2, 0.08, 0.07], np.float32)


class Query(NamedTuple):
    """What one retrieval is asked."""

    now_s: int  # UTC s
    recent_events: int = 50  # newest positive events that query the item models
    half_life: float = 30.0 * terms.DAY_S  # s; of an event's weight in that query
    exclude: NDArray[np.int32] = NO_ITEMS  # item numbers never to propose
    allowed: NDArray[np.uint8] | None = None  # (n,) 1 = may be proposed; None = all
    repeats: bool = False  # may items of the ring be proposed
    like: int | None = None  # "similar to this item" instead of "for this user"
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

    def __init__(self, dim: int, limit: int, ring: int, blocked: int) -> None:
        self.dim, self.limit, self.ring, self.most_blocked = dim, limit, ring, blocked
        self.most = TOUCH_ROOM + ring + blocked  # rows for what the sources touch; the candidates have room beyond
        rows = self.most + (sources.N_SOURCES + 1) * limit
        self.table, self.counts = np.empty(1 << int(2 * rows - 1).bit_length(), np.int32), np.zeros(1, np.int32)
        self.item_of, self.slot, self.blocked = np.empty(rows, np.int32), np.full(rows, -1, np.int32), np.zeros(rows, np.uint8)
        self.columns = np.zeros((N_COLUMNS, rows), np.float32)
        self.sizes = np.zeros(sources.N_SOURCES, np.int32)
        self.items, self.scores = np.empty((sources.N_SOURCES, limit), np.int32), np.empty((sources.N_SOURCES, limit), np.float32)
        self.keys, self.spare, self.bins = np.empty(BUFFER * limit, np.int64), np.empty(BUFFER * limit, np.int64), np.empty(N_BINS, np.int32)
        self.query, self.weight = np.empty(ring + 1, np.int32), np.empty(ring + 1, np.float32)
        self.normal, self.vector, self.last = np.empty((dim, dim), np.float32), np.empty(dim, np.float32), np.empty(dim, np.float32)
        self.lookup = (self.table, self.item_of)
        self.board = (*self.lookup, self.blocked, self.slot, self.columns, self.counts)
        self.buffers = (self.keys, self.spare, self.bins)


_here = threading.local()


def workspace(dim: int, limit: int, ring: int, blocked: int) -> Workspace:
    """This thread's workspace, at least this large."""
    found: Workspace | None = getattr(_here, "workspace", None)
    if found is None or dim != found.dim or limit > found.limit or ring > found.ring or blocked > found.most_blocked:
        old = found or Workspace(dim, 1, 511, 255)
        found = _here.workspace = Workspace(dim, max(limit, old.limit), max(ring, old.ring), max(blocked, old.most_blocked))
    return found


def retrieve(models: ItemModels, ring: Ring, live: Live, request: Query, settings: Settings) -> Candidates:
    """Candidates for a user (or like an item) as of `request.now_s`.

    Parameters
    ----------
    ring : the user's recent events; empty for somebody new, who gets popular and new items.
    live : flags, popularity lists and ages as of the same moment.

    Cost: see bench/serve_latency; about 0.1 ms at 10^4 items.
    """
    top = live.top
    work = workspace(models.factors.dim, request.k, len(ring.time), len(request.exclude) + top.size)
    mask = (live.n, live.flags, DESCRIBED if models.catalogue else 0, NO_MASK if request.allowed is None else request.allowed)
    like = -1 if request.like is None else request.like
    n_query = sources.propose(
        *ring, *compiled(settings.events), request.now_s, request.repeats, request.recent_events, request.half_life, HISTORY_HALF_LIFE_S, like, request.exclude, top,
        models.relations.start, models.relations.entries, work.query, work.weight, request.k, work.most, *mask, *work.board, *work.buffers, work.items, work.scores, work.sizes,
    )
    extra = models.delta.follow(live)
    work.sizes[sources.IALS] = nearest(models, extra, n_query, request.k, mask, work)
    item, bits, scores = np.empty(request.k, np.int32), np.empty(request.k, np.uint32), np.empty((request.k, len(sources.SCORE_NAMES)), np.float32)
    n = merge.collect(
        work.items, work.sizes, SHARES, request.k, *work.board, models.relations.start, models.relations.entries, models.factors.vectors, extra, work.vector, work.last,
        live.first_seen, request.now_s, work.query[0] if n_query else -1, item, bits, scores,
    )
    return Candidates(item[:n], bits[:n], scores[:n])


def nearest(models: ItemModels, extra: F32, n_query: int, k: int, mask: tuple[Any, ...], work: Workspace) -> int:
    """Folds the query in and fills the iALS list: by the index or exactly, then from the items newer than the models; returns its length."""
    f, limit, masks = models.factors, (k + 1) // 2, (*mask, *work.lookup, work.blocked)
    fold_in(f.vectors, extra, work.query, work.weight, n_query, f.gram, f.reg, f.nu, f.unobserved, work.normal, work.vector)
    work.last[:] = vector_of(models, extra, int(work.query[0])) if n_query else 0
    if not n_query:
        return 0
    if models.index is None:
        size = sources.scan(f.vectors, 0, work.vector, limit, 0, *masks, *work.buffers)
    else:
        size = probe(*models.index.parts, models.index.n_probe, work.vector, limit, *masks, *work.buffers)
    if len(extra):
        size = sources.scan(extra, models.n, work.vector, limit, size, *masks, *work.buffers)
    unpack(work.keys, size, work.items[sources.IALS], work.scores[sources.IALS])
    return int(size)


def vector_of(models: ItemModels, extra: F32, item: int) -> F32 | float:
    """(dim,) float32: an item's vector; 0 where none is known."""
    if item < models.n:
        return models.factors.vectors[item]
    return extra[item - models.n] if item < models.n + len(extra) else 0.0
