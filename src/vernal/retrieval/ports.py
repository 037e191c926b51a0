"""What retrieval needs of the live item table, and what a custom retriever must offer."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.events.history import Catalogue, History
from vernal.features.ports import Ring


class Live(Protocol):
    """The live item table, as far as retrieval reads it; `features.live.LiveItems` is one."""

    @property
    def n(self) -> int:
        """Item numbers are below this; it only grows."""
        ...

    @property
    def attributes(self) -> NDArray[np.int32]:
        """(capacity, n_attributes, SLOTS) codes, 0 = none."""
        ...

    @property
    def flags(self) -> NDArray[np.uint8]:
        """(capacity,) DESCRIBED | HIDDEN."""
        ...

    @property
    def top(self) -> NDArray[np.int32]:
        """(n_half_lives + 1, 500) item numbers, most popular first, -1 padded; the last row holds the newest items."""
        ...

    @property
    def first_seen(self) -> NDArray[Any]:
        """(capacity,) UTC s of the first mention; 0 = never."""
        ...


class Retriever(Protocol):
    """A retriever of your own, named in `retrieval.custom`. It is fitted in training, saved in the release and asked at every request.

    `propose` runs on the request path: stay under a millisecond, never call the network.
    """

    name: str

    def fit(self, history: History, catalogue: Catalogue, settings: Settings, as_of: int, seed: int) -> None:
        """Learns from `history`, which holds only what was received before `as_of` (UTC us)."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything learnt, as arrays; they are saved in the release and hashed."""
        ...

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Takes back what `arrays` gave, memory-mapped and read-only."""
        ...

    def propose(self, ring: Ring, live: Live, now_s: int, n: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """At most n distinct item numbers, best first, and their scores. Masked items are dropped by the caller."""
        ...

    def score(self, ring: Ring, live: Live, now_s: int, items: NDArray[np.int32]) -> NDArray[np.float32]:
        """(n,) float32: scores of items that other retrievers proposed; finite."""
        ...


class Titled(Protocol):
    """Live tables that also know titles; new items are then mapped by title and attributes, else by attributes only."""

    def titles(self, number: int) -> str: ...
