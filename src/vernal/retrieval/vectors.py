"""Vectors by item number, searched with the masks of a request; items are put, changed and deleted between two searches.

A `base` of inverted lists (a single one up to `exact_below`, scanned whole), made at training, and an `extra` list of what came since. Both are int8 codes,
so a product is the same whether the item was found or asked for, and whichever of the two it is in. One writer at a time, any number of reading threads.
"""

import threading
from typing import Any, NamedTuple, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.ann import Ivf, Scan, assign, build, code_of, code_product, probe, quantise, scan_list
from vernal.retrieval.board import Board, Mask, new_board, place
from vernal.retrieval.hits import Hits
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.selection import BUFFER, Sieve, new_sieve, scores_of, shrink, unpack

GROWTH = 1_024  # rows
MERGE_AT = 20_000  # rows of extra, then they go into the lists of the base
PARTS = ("centroids", "reach", "start", "order", "codes", "scale")
ROWS = ("order", "codes", "scale")  # of PARTS, those with a row per item
NOBODY = new_board(1, 1, 1)


class VectorIndex(Protocol):
    """What search needs of an index of vectors; every one passes tests/conformance/test_vector_index.py."""

    @property
    def dim(self) -> int: ...
    def search(self, vector: F32, k: int, mask: Mask | None = None) -> Hits:
        """The k items of the largest positive products with the vector that the mask lets through; about, where the index is approximate."""
        ...

    def scores(self, vector: F32, items: I32) -> F32:
        """(n,) products with these items; 0 for one without a vector."""
        ...

    def rows(self, items: I32) -> F32:
        """(n, dim) vectors of these items, as exact as they are kept; zero for one without."""
        ...

    def put(self, items: I32, vectors: F32) -> None:
        """Sets the (n, dim) vectors of distinct items, for the next search; a zero row deletes."""
        ...

    def delete(self, items: I32) -> None: ...


class State(NamedTuple):
    """What one search reads; the writer replaces it whole."""

    base: Ivf
    extra: Ivf  # one list; rows of zeros are out of use
    blocked: Board  # items whose row of the base no longer counts
    row: I32  # (capacity,) item -> row of the base, or -2 - row of extra, or -1 = none
    everybody: Mask


class Vectors:
    """Implements `VectorIndex`. Cost: docs/scale.md.

    Example
    -------
    >>> index = Vectors.of(np.array([3, 5], np.int32), np.eye(2, 8, dtype=np.float32), 100, np.zeros((0, 8), np.float32), seed=0)
    >>> index.put(np.array([9], np.int32), np.full((1, 8), 0.5, np.float32))
    >>> index.search(np.eye(8, dtype=np.float32)[0], 10).item.tolist()
    [3, 9]
    """

    def __init__(self, base: Ivf) -> None:
        self.lock = threading.Lock()
        self.state = fresh(base)

    @classmethod
    def of(cls, items: I32, vectors: F32, exact_below: int, queries: F32, seed: int) -> "Vectors":
        """An index of (n, dim) vectors of unit norm; `queries` are like those that will come: by them it is found how many lists to probe."""
        if len(items) <= exact_below:
            return cls(one_list(items, *quantise(vectors), len(items)))
        index = build(vectors, queries, seed, unit=True)
        return cls(index._replace(order=items[index.order]))

    @classmethod
    def opened(cls, arrays: dict[str, NDArray[Any]], n_probe: int) -> "Vectors":
        """The index of `arrays`, which stay where they are."""
        return cls(Ivf(**{part: arrays[part] for part in PARTS}, n_probe=n_probe))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The base; what was put since is in the log."""
        return {part: getattr(self.state.base, part) for part in PARTS}

    def __len__(self) -> int:
        """How many items have a vector."""
        return int((self.state.row != -1).sum())

    @property
    def n_probe(self) -> int:
        return self.state.base.n_probe

    @property
    def dim(self) -> int:
        return self.state.base.codes.shape[1]

    def search(self, vector: F32, k: int, mask: Mask | None = None) -> Hits:
        """As `VectorIndex`."""
        if not vector.any():
            return Hits.none()
        state, sieve = self.state, new_sieve(BUFFER * k)
        asked = Mask(mask.n, frozen(mask.flags), mask.need, frozen(mask.allowed)) if mask else state.everybody
        size = found(tuple(state.base), tuple(state.extra), tuple(state.blocked), tuple(NOBODY), tuple(asked), tuple(sieve), vector, k)
        items = np.empty(size, np.int32)
        unpack(sieve, size, items)
        return Hits(items, scores_of(sieve.keys[:size]))

    def scores(self, vector: F32, items: I32) -> F32:
        """As `VectorIndex`. Cost: 10 us for 300 items at 256 dimensions."""
        out = np.zeros(len(items), np.float32)
        if vector.any():
            products(tuple(self.state.base), tuple(self.state.extra), self.state.row, vector, items, out)
        return out

    def rows(self, items: I32) -> F32:
        """As `VectorIndex`."""
        state, out = self.state, np.zeros((len(items), self.dim), np.float32)
        for slot, item in enumerate(items.tolist()):
            row = int(state.row[item]) if item < len(state.row) else -1
            if row != -1:
                part, at = (state.base, row) if row >= 0 else (state.extra, -2 - row)
                out[slot] = part.codes[at] * part.scale[at]
        return out

    def put(self, items: I32, vectors: F32) -> None:
        """As `VectorIndex`; a reader may miss an item for the instant of its change. Cost: 20 us and 0.5 us per item; once in MERGE_AT items a merge."""
        with self.lock:
            kept = vectors.any(axis=1)
            self.state = appended(without(self.state, items), items[kept], vectors[kept])
            if self.state.extra.start[1] > MERGE_AT:
                self.state = fresh(merged(self.state))

    def delete(self, items: I32) -> None:
        with self.lock:
            self.state = without(self.state, items)


def one_list(items: I32, codes: NDArray[np.int8], scale: F32, n: int) -> Ivf:
    """The first n rows as a single list."""
    centre = np.zeros((1, codes.shape[1]), np.float32)
    return Ivf(*quantise(centre), np.array([0, n], np.int64), items, codes, scale, 1)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only view, so that kernels see one type whether it was fitted, loaded or merged."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def fresh(base: Ivf) -> State:
    """Nothing but a base."""
    row = np.full(int(base.order.max(initial=-1)) + 1, -1, np.int32)
    row[base.order] = np.arange(len(base.order), dtype=np.int32)
    nothing = one_list(np.empty(0, np.int32), np.empty((0, base.codes.shape[1]), np.int8), np.empty(0, np.float32), 0)
    return State(Ivf(**{part: frozen(getattr(base, part)) for part in PARTS}, n_probe=base.n_probe), nothing, new_board(1, GROWTH, 1), row, everybody(len(row)))


def everybody(n: int) -> Mask:
    return Mask(n, frozen(np.zeros(n, np.uint8)), 0, frozen(np.empty(0, np.uint8)))


def grown(array: NDArray[Any], n: int, fill: int) -> NDArray[Any]:
    """The array with room for n rows at least."""
    if n <= len(array):
        return array
    return np.concatenate([array, np.full((max(n, 2 * len(array), GROWTH) - len(array), *array.shape[1:]), fill, array.dtype)])


def without(state: State, items: I32) -> State:
    """The state in which these items have no vector."""
    items = items[items < len(state.row)]
    at, board = state.row[items], state.blocked
    state.extra.codes[-2 - at[at < -1]] = 0
    gone = items[at >= 0]
    if board.counts[0] + len(gone) > board.counts[1]:
        gone = np.concatenate([board.item_of[: board.counts[0]], gone])
        board = new_board(1, 2 * len(gone) + GROWTH, 1)
    block(gone, board)
    state.row[items] = -1
    return state._replace(blocked=board)


def appended(state: State, items: I32, vectors: F32) -> State:
    """The state with these vectors as further rows of extra; none of the items has one yet."""
    n, extra = int(state.extra.start[1]), state.extra
    end = n + len(items)
    order, codes, scale = (grown(array, end, 0) for array in (extra.order, extra.codes, extra.scale))
    order[n:end] = items
    codes[n:end], scale[n:end] = quantise(vectors)
    row = grown(state.row, int(items.max(initial=-1)) + 1, -1)
    row[items] = -2 - np.arange(n, end, dtype=np.int32)
    whole = state.everybody if len(row) == len(state.row) else everybody(len(row))
    return state._replace(extra=one_list(order, codes, scale, end), row=row, everybody=whole)


def merged(state: State) -> Ivf:
    """Base and extra as one index, in the lists of the base. Cost: a copy of the codes, and a product of every new row with every centroid."""
    base, extra, row = state.base, state.extra, state.row
    kept = np.flatnonzero(row[base.order] == np.arange(len(base.order)))
    n = int(extra.start[1])
    new = np.flatnonzero(row[extra.order[:n]] == -2 - np.arange(n))
    nearest = assign(extra.codes[new] * extra.scale[new, None], base.centroids * base.reach[:, None])
    lists = np.concatenate([np.repeat(np.arange(len(base.centroids), dtype=np.int32), np.diff(base.start))[kept], nearest])
    by_list = np.argsort(lists, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(lists, minlength=len(base.centroids)))]).astype(np.int64)
    both = {part: np.concatenate([getattr(base, part)[kept], getattr(extra, part)[new]])[by_list] for part in ROWS}
    return Ivf(base.centroids, base.reach, start, **both, n_probe=base.n_probe)


@njit(cache=True, nogil=True)
def block(items: I32, board: Board) -> None:
    for item in items:
        board.blocked[place(item, board.counts[1], board)] = 1


# plain tuples at the boundary, since for each named one the call would check its class in Python
@njit(cache=True, nogil=True)
def found(base, extra, blocked, nobody, mask, sieve, x, limit):  # type: ignore[no-untyped-def]
    """Leaves the best of base and extra as sorted keys; returns how many."""
    asked, kept = Mask(*mask), Sieve(*sieve)
    size = probe(Ivf(*base), x, limit, Board(*blocked), asked, kept)
    step = max(np.max(np.abs(x)), np.float32(1e-12)) / np.float32(127)
    state = Scan(size, kept.keys[size - 1] if size == limit else np.int64(0))
    state = scan_list(Ivf(*extra), 0, code_of(x, step), step, limit, state, Board(*nobody), asked, kept)
    return shrink(kept, state.size, limit)


@njit(cache=True, nogil=True)
def products(base, extra, row, x, items, out):  # type: ignore[no-untyped-def]
    """Fills the product of every item that has a vector."""
    base, extra, dim = Ivf(*base), Ivf(*extra), x.shape[0]
    step = max(np.max(np.abs(x)), np.float32(1e-12)) / np.float32(127)
    code = code_of(x, step)
    for at in range(items.shape[0]):
        if items[at] < 0 or items[at] >= row.shape[0]:
            continue
        place = row[items[at]]
        if place >= 0:
            out[at] = base.scale[place] * step * np.float32(code_product(base.codes[place], code, dim))
        elif place < -1 and -2 - place < extra.start[1]:
            out[at] = extra.scale[-2 - place] * step * np.float32(code_product(extra.codes[-2 - place], code, dim))
