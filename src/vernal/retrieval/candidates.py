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
TOUCH_ROOM = 60_000  # items one source may touch in one request
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
    """Scratch memory of one thread, reused by every request; about 48 bytes per item. Grows with the catalogue."""

    def __init__(self, capacity: int, dim: int, limit: int, ring: int) -> None:
        self.capacity, self.dim, self.limit, self.ring = capacity, dim, limit, ring
        self.columns = np.zeros((capacity, sources.N_COLUMNS), np.float32)
        self.slot = np.full(capacity, -1, np.int32)
        self.blocked, self.asked = np.zeros(capacity, np.uint32), np.zeros(capacity, np.uint32)
        self.epoch = 0
        self.touched = np.empty((sources.N_SOURCES, max(TOUCH_ROOM, ring)), np.int32)
        self.n_touched, self.sizes = np.zeros(sources.N_SOURCES, np.int32), np.zeros(sources.N_SOURCES, np.int32)
        self.items, self.scores = np.empty((sources.N_SOURCES, limit), np.int32), np.empty((sources.N_SOURCES, limit), np.float32)
        self.keys, self.spare, self.bins = np.empty(BUFFER * limit, np.int64), np.empty(BUFFER * limit, np.int64), np.empty(N_BINS, np.int32)
        self.query, self.weight = np.empty(ring, np.int32), np.empty(ring, np.float32)
        self.normal, self.vector = np.empty((dim, dim), np.float32), np.empty(dim, np.float32)
        self.last, self.extra = np.empty(dim, np.float32), np.empty((0, dim), np.float32)

    def next_epoch(self) -> int:
        """A mark that no item carries yet."""
        if self.epoch == np.iinfo(np.uint32).max:
            self.blocked[:], self.asked[:], self.epoch = 0, 0, 0
        self.epoch += 1
        return self.epoch


_here = threading.local()


def workspace(capacity: int, dim: int, limit: int, ring: int) -> Workspace:
    """This thread's workspace, at least this large."""
    found: Workspace | None = getattr(_here, "workspace", None)
    if found is None or capacity > found.capacity or dim != found.dim or limit > found.limit or ring > found.ring:
        old = found or Workspace(0, dim, 0, 0)
        grown = max(capacity, old.capacity + old.capacity // 4 if capacity > old.capacity else old.capacity)
        found = _here.workspace = Workspace(grown, dim, max(limit, old.limit), max(ring, old.ring, 512))
    return found


def retrieve(models: ItemModels, ring: Ring, live: Live, request: Query, settings: Settings) -> Candidates:
    """Candidates for a user (or like an item) as of `request.now_s`.

    Parameters
    ----------
    ring : the user's recent events; empty for somebody new, who gets popular and new items.
    live : flags, popularity lists and ages as of the same moment.

    Cost: see bench/serve_latency; about 0.1 ms at 10^4 items.
    """
    work = workspace(max(live.n, models.n), models.factors.dim, request.k, len(ring.time))
    try:
        n_query = propose(models, ring, live, request, settings, work)
        return collect(models, live, request, n_query, work)
    except BaseException:
        _here.workspace = None  # half-filled scratch memory must not reach the next request
        raise


def propose(models: ItemModels, ring: Ring, live: Live, request: Query, settings: Settings, work: Workspace) -> int:
    """Fills the ranked list of every source in the workspace; returns the number of query items."""
    epoch, n = work.next_epoch(), live.n
    sources.block(request.exclude, n, work.blocked, epoch)
    n_query, n_history = read(ring, request, settings, n, work, epoch)
    mask = (n, live.flags, DESCRIBED if models.catalogue else 0, NO_MASK if request.allowed is None else request.allowed, work.blocked, epoch)
    c, e, t = models.covisitation, models.ease, models.content
    sources.propose(
        live.top, c.start, c.index, c.value, e.start, e.index, e.value, t.start, t.index, t.value, work.query, work.weight, n_query, n_history, request.k, *mask,
        work.columns, work.touched, work.n_touched, work.keys, work.spare, work.bins, work.items, work.scores, work.sizes,
    )
    work.extra = models.delta.follow(live)
    fold(models, n_query, work)
    work.sizes[sources.IALS] = nearest(models, (request.k + 1) // 2, mask, work) if n_query else 0
    return n_query


def read(ring: Ring, request: Query, settings: Settings, n: int, work: Workspace, epoch: int) -> tuple[int, int]:
    """Takes the ring in; a query by example replaces the query items and never proposes the example itself."""
    weights, least = compiled(settings.events)
    n_query, n_history = sources.read_ring(
        ring.time, ring.item, ring.type, ring.value, weights, least, request.now_s, n, not request.repeats, request.recent_events, request.half_life, HISTORY_HALF_LIFE_S,
        work.blocked, work.asked, epoch, work.columns, work.touched[sources.HISTORY], work.query, work.weight,
    )
    if request.like is not None:
        work.query[0], work.weight[0], n_query = request.like, 1.0, 1
        sources.block(work.query[:1], n, work.blocked, epoch)
    return n_query, n_history


def fold(models: ItemModels, n_query: int, work: Workspace) -> None:
    """The user's vector from the query items, and the vector of the newest of them."""
    f = models.factors
    fold_in(f.vectors, work.extra, work.query, work.weight, n_query, f.gram, f.reg, f.nu, f.unobserved, work.normal, work.vector)
    newest = int(work.query[0]) if n_query else -1
    if 0 <= newest < models.n:
        work.last[:] = f.vectors[newest]
    elif 0 <= newest < models.n + len(work.extra):
        work.last[:] = work.extra[newest - models.n]
    else:
        work.last[:] = 0


def nearest(models: ItemModels, limit: int, mask: tuple[Any, ...], work: Workspace) -> int:
    """Fills the iALS list: by the index or exactly, then the items newer than the models; returns its length."""
    vectors, index, buffers = models.factors.vectors, models.index, (work.keys, work.spare, work.bins)
    if index is None:
        size = sources.scan(vectors, 0, work.vector, limit, 0, *mask, *buffers)
    else:
        size = probe(index.centroids, index.start, index.order, index.codes, index.scale, vectors, index.n_probe, work.vector, limit, *mask, *buffers)
    if len(work.extra):
        size = sources.scan(work.extra, models.n, work.vector, limit, size, *mask, *buffers)
    unpack(work.keys, size, work.items[sources.IALS], work.scores[sources.IALS])
    return int(size)


def collect(models: ItemModels, live: Live, request: Query, n_query: int, work: Workspace) -> Candidates:
    """Merges the lists, fills all scores, and leaves the workspace clean."""
    item, bits = np.empty(request.k, np.int32), np.empty(request.k, np.uint32)
    n = merge.merge(work.items, work.sizes, SHARES, request.k, work.slot, item, bits)
    scores = np.empty((n, len(sources.SCORE_NAMES)), np.float32)
    merge.fill(item[:n], work.columns, models.factors.vectors, work.extra, work.vector, work.last, live.first_seen, request.now_s, scores)
    newest = int(work.query[0]) if n_query else -1
    for relation, column in ((models.covisitation, sources.COVISITATION_LAST), (models.ease, sources.EASE_LAST)):
        merge.fill_last(relation.start, relation.index, relation.value, newest, work.slot, column, scores)
    merge.clean(work.touched, work.n_touched, item[:n], work.columns, work.slot)
    return Candidates(item[:n], bits[:n], scores)
