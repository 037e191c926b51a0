"""What retrieval needs of the live item table."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


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


class Titled(Protocol):
    """Live tables that also know titles; new items are then mapped by title and attributes, else by attributes only."""

    def titles(self, number: int) -> str: ...
