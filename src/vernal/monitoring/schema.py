"""What is watched: columns, the stream each belongs to, and the share of the false-alarm promise each stream may spend.

A column is numeric (NaN is missing, +-inf is not finite) or categorical (an int64 key per value, `MISSING_KEY` is missing).
Numeric columns come first in every array of this room, then categorical ones, each in the order they were declared.
"""

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.errors import MonitoringError

MISSING_KEY: Final = int(np.iinfo(np.int64).min)


class Kind(StrEnum):
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class Stream(StrEnum):
    """Where a column or a statistic comes from; decides its budget and how loud its alarm is."""

    QUALITY = "quality"  # volume, missing, unseen, out of range, not finite: checked first, blocks training
    OUTCOME = "outcome"  # labels, calibration, business rates
    PREDICTION = "prediction"
    FEATURE = "feature"
    EMBEDDING = "embedding"


BUDGET: Final = {Stream.QUALITY: 0.40, Stream.OUTCOME: 0.30, Stream.PREDICTION: 0.15, Stream.FEATURE: 0.10, Stream.EMBEDDING: 0.05}


class Column(msgspec.Struct, frozen=True):
    """One watched column; `importance` is its share of the ranker's gain, 0..1."""

    name: str
    kind: Kind = Kind.NUMERIC
    stream: Stream = Stream.FEATURE
    importance: float = 0.0


class Schema(msgspec.Struct, frozen=True):
    """The watched columns, numeric before categorical.

    Example
    -------
    >>> schema = Schema.of([Column("country", Kind.CATEGORICAL), Column("price")])
    >>> schema.names
    ('price', 'country')
    """

    columns: tuple[Column, ...]
    score: str = ""  # the numeric column that holds the logit of the served probability; empty without labels

    @classmethod
    def of(cls, columns: Iterable[Column], score: str = "") -> "Schema":
        columns = list(columns)
        ordered = [c for kind in Kind for c in columns if c.kind == kind]
        names = [c.name for c in ordered]
        if len(set(names)) != len(names):
            raise MonitoringError.invalid("schema", sorted({n for n in names if names.count(n) > 1}), "every column named once")
        if score and Column(score).name not in [c.name for c in ordered if c.kind == Kind.NUMERIC]:
            raise MonitoringError.invalid("schema.score", score, "the name of a numeric column")
        return cls(tuple(ordered), score)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def n_numeric(self) -> int:
        return sum(c.kind == Kind.NUMERIC for c in self.columns)

    @property
    def score_at(self) -> int:
        """Place of the score among the columns, -1 without one."""
        return self.names.index(self.score) if self.score else -1


def keys_of(values: Sequence[str | None]) -> NDArray[np.int64]:
    """(n,) int64 keys of strings, the same on every machine; None is `MISSING_KEY`.

    Cost: one hash per distinct value.
    """
    known: dict[str | None, int] = {None: MISSING_KEY}
    for value in values:
        if value not in known:
            known[value] = int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "little", signed=True)
    return np.array([known[value] for value in values], np.int64)
