"""The log as columns: what training, audit and replay read.

`History` is in order of arrival (received_at, offset), so "what was available before T" is a prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vernal.terms import VALUE_LIMIT, VALUE_SCALE

SLOTS = 4  # values of one attribute that an item may have
DESCRIBED, HIDDEN = 1, 2  # bits of Catalogue.flags


@dataclass(frozen=True)
class History:
    """Events (and impressions, from slates) as parallel columns in order of arrival; n rows."""

    users: list[str]  # user code -> id
    user: NDArray[np.int32]  # (n,) code
    item: NDArray[np.int32]  # (n,) item number, -1 = none
    type: NDArray[np.uint8]  # (n,) event type code
    time: NDArray[np.int64]  # (n,) UTC us
    received_at: NDArray[np.int64]  # (n,) UTC us, ascending
    value: NDArray[np.int32]  # (n,) fixed point, 1/1000; 0 where the event had none
    offset: NDArray[np.int64]  # (n,)
    n_items: int  # item numbers are below this

    def __len__(self) -> int:
        return len(self.time)

    def available_before(self, at: int) -> int:
        """How many rows were received before `at` (UTC us): the cut of the one rule."""
        return int(np.searchsorted(self.received_at, at, side="left"))

    def before(self, at: int) -> "History":
        """The history as it was known at `at`; a view, no copy."""
        return self.rows(slice(0, self.available_before(at)))

    def rows(self, rows: slice | NDArray[np.int64] | NDArray[np.bool_]) -> "History":
        columns = ("user", "item", "type", "time", "received_at", "value", "offset")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


@dataclass(frozen=True)
class Catalogue:
    """What is known of the items, by item number."""

    ids: list[str]  # item number -> id
    titles: list[str]
    texts: list[str]
    attribute_names: list[str]
    attributes: NDArray[np.int32]  # (n_items, n_attributes, SLOTS) codes, 0 = none
    vocabularies: list[list[str]]  # per attribute: code -> value; code 0 is ""
    flags: NDArray[np.uint8]  # (n_items,) DESCRIBED | HIDDEN

    def __len__(self) -> int:
        return len(self.ids)


def fixed_point(value: float | None) -> int:
    """A value as state keeps it: thousandths, rounded half to even, cut at the int32 limit; none is 0.

    >>> fixed_point(1.2345), fixed_point(None), fixed_point(1e12)
    (1234, 0, 2147483000)
    """
    return 0 if value is None else round(max(-VALUE_LIMIT, min(VALUE_LIMIT, value)) * VALUE_SCALE)


def fixed_points(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.int32]:
    """`fixed_point` of many, bit for bit the same; (n,) -> (n,) int32."""
    clipped = np.clip(np.asarray(values, dtype=np.float64), -VALUE_LIMIT, VALUE_LIMIT)
    return np.rint(clipped * VALUE_SCALE).astype(np.int32)
