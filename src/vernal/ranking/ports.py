"""What ranking needs of the live item table and of the time a request may take."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vernal.retrieval.ports import Live

T = TypeVar("T")


class LiveTable(Live, Protocol):
    """The live item table, as far as ranking reads it; `features.live.LiveItems` is one."""

    @property
    def values(self) -> NDArray[np.float32]:
        """(capacity, n_item_values) in Plan.item_names order, as of `hop` for items that were read out."""
        ...

    def read_out(self, numbers: NDArray[np.int32] | None = None) -> None:
        """Sees to it that the values of these items, or of all, are as of `hop`."""
        ...

    @property
    def offset(self) -> int:
        """Newest log offset folded into this table."""
        ...

    @property
    def hop(self) -> int:
        """UTC s of the read-outs."""
        ...

    @property
    def catalogue_version(self) -> int:
        """Changes whenever attributes or flags of any item change."""
        ...

    def names(self, numbers: NDArray[np.int32]) -> list[tuple[str, str]]:
        """(id, title) of items."""
        ...

    def titles(self, number: int) -> str: ...

    def number(self, item: str) -> int | None:
        """An item's number; none for an item the log never mentioned."""
        ...

    def code(self, attribute: int, value: str) -> int | None:
        """A value's code in the vocabulary of an attribute column; none for a value no item ever had."""
        ...

    def value(self, attribute: int, code: int) -> str:
        """The value behind a code."""
        ...

    def known_values(self, attribute: int) -> list[str]: ...

    def consistent(self, read: Callable[[], T]) -> T:
        """What `read` returns when the table did not change while it ran."""
        ...
