"""A market stall: price, weight and the served logit, a country and a device; as healthy or as broken as a test wants it."""

from typing import NamedTuple

import numpy as np

from vernal.monitoring.bins import Bins
from vernal.monitoring.reference import Reference, Window
from vernal.monitoring.schema import MISSING_KEY, Column, Kind, Schema, Stream
from vernal.monitoring.summaries import Outcomes, Summary

SCHEMA = Schema.of(
    [Column("price", importance=0.3), Column("weight"), Column("score", stream=Stream.PREDICTION), Column("country", Kind.CATEGORICAL)], score="score"
)


class Trouble(NamedTuple):
    price: float = 0.0  # added, in sd
    missing: float = 0.02  # share of prices
    scale: float = 1.0  # of prices
    new: float = 0.0  # share of countries never seen
    worth: float = 1.0  # of the logit of price in the label
    base: float = 0.0


HEALTHY = Trouble()


def rows(seed: int, n: int = 2_000, trouble: Trouble = HEALTHY):
    random = np.random.default_rng(seed)
    z = random.standard_normal((n, 2)) + np.array([trouble.price, 0.0])
    score = -1.0 + 0.8 * z[:, 0] + 0.4 * z[:, 1]
    price = np.where(random.random(n) < trouble.missing, np.nan, np.exp(z[:, 0]) * trouble.scale)
    country = np.where(random.random(n) < trouble.new, 999, random.choice(6, n, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04]))
    chance = 1 / (1 + np.exp(-(-1.0 + trouble.base + 0.8 * trouble.worth * z[:, 0] + 0.4 * z[:, 1])))
    label = (random.random(n) < chance).astype(np.uint8)
    return np.stack([price, z[:, 1], score], axis=1), country[:, None].astype(np.int64), Outcomes(1 / (1 + np.exp(-score)), label)


def bins() -> Bins:
    numeric, categorical, _ = rows(1, 20_000)
    return Bins.frozen(numeric, categorical)


BINS = bins()


def summary(seed: int, n: int = 2_000, trouble: Trouble = HEALTHY, labelled: bool = True) -> Summary:
    numeric, categorical, outcomes = rows(seed, n, trouble)
    return Summary.of(BINS, numeric, categorical, outcomes if labelled else None, SCHEMA.score_at)


def reference(windows: int = 35, **segments: Summary) -> Reference:
    return Reference.of(SCHEMA, BINS, [Window(t, summary(100 + t)) for t in range(windows)], segments)


NO_CATEGORY = np.full((1, 1), MISSING_KEY)
