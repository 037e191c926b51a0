"""Feature definitions compiled: settings go in, a `Plan` of integer tables comes out.

The plan is the whole definition: equal fingerprints mean equal values for equal logs, online and offline. Its `names` are the columns
of the point-in-time join: item values, then user values, then values of the pair (user x item, user x item.attribute).
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vernal.config import Aggregate, Rate, Settings, View, duration_s
from vernal.errors import ConfigError
from vernal.features import weights
from vernal.features.defaults import default_views
from vernal.features.program import (
    ADD,
    AGO,
    DISTINCT,
    EXTREME,
    FIRST,
    LAST,
    LEAST,
    MOST,
    NEWEST,
    NO_FLOOR,
    NUMBER,
    RATIO,
    SCALED,
    Builder,
    Measure,
    Output,
    Program,
)
from vernal.features.weights import EVER, HALF_LIFE, WINDOW, Weight
from vernal.terms import DAY_S, FIRST_TYPE_CODE, IMPRESSION, IMPRESSION_CODE, VALUE_SCALE

FORMAT = 1  # raised when the same definition starts to mean other values
ITEM, USER, PAIR = "item", "user", "pair"
AGGREGATES = ("count", "trend", "sum", "mean", "min", "max", "distinct", "last", "recency", "first_seen", "rate")
FROM_RING = {"min": LEAST, "max": MOST, "distinct": DISTINCT, "last": NEWEST}
WITHOUT_REACH = {"last", "recency", "first_seen"}


@dataclass(frozen=True, eq=False)
class Plan:
    """What is computed of items, users and pairs, as tables for the kernels.

    Example
    -------
    >>> plan = compile_plan(Settings())
    >>> plan.item_names[:2], plan.user_names[-1], plan.pair_names[0]
    (('item_view.count.6h', 'item_view.count.1d'), 'user_recency.recency', 'pair_history.count.7d')
    >>> plan.weights(1_700_000_100).shape == (plan.n_slots, plan.n_weights)
    True
    """

    item: Program
    user: Program
    pair: Program
    functions: tuple[Weight, ...]  # columns of the weight tables
    popular: tuple[int, ...]  # item cells behind `top`, one per half-life of retrieval.trending
    trending: tuple[str, ...]  # those half-lives, as written
    attributes: tuple[str, ...]
    types: tuple[str, ...]  # event types in the order of their codes, from FIRST_TYPE_CODE
    history: int  # K, raw events kept per user
    horizon_days: int

    @property
    def item_names(self) -> tuple[str, ...]:
        return self.item.names

    @property
    def user_names(self) -> tuple[str, ...]:
        return self.user.names

    @property
    def pair_names(self) -> tuple[str, ...]:
        return self.pair.names

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the point-in-time join."""
        return self.item_names + self.user_names + self.pair_names

    @property
    def n_slots(self) -> int:
        return weights.n_slots(self.horizon_days)

    @property
    def n_weights(self) -> int:
        return len(self.functions)

    def weights(self, at: int) -> NDArray[np.int64]:
        """(n_slots, n_weights) int64: the weight tables as seen from hop `at` (UTC s). Cost: a look-up, 2 ms the first time in a UTC day."""
        place = at % DAY_S
        if place not in self.tables:
            self.tables[place] = weights.table(list(self.functions), place, self.horizon_days)
        return self.tables[place]

    @cached_property
    def tables(self) -> dict[int, NDArray[np.int64]]:
        return {}

    @cached_property
    def all_weights(self) -> NDArray[np.int64]:
        """(288, n_slots, n_weights) int64: the table of every hop of a day, for passes over many hops."""
        return np.stack([self.weights(place) for place in range(0, DAY_S, 300)])

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of everything the values depend on besides the log."""
        tables = [program.essence for program in (self.item, self.user, self.pair)]
        whole = [FORMAT, tables, self.functions, self.popular, self.trending, self.attributes, self.types, self.history, self.horizon_days]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def compile_plan(settings: Settings) -> Plan:
    """The plan of these settings; the default views where they name none.

    Raises
    ------
    ConfigError
        An unknown event type or attribute, no or more than one aggregate in a view, an aggregate its entity cannot have,
        a window that is no whole number of its tiles or reaches beyond `state.horizon`.
    """
    compiler = Compiler(settings)
    for name, view in (settings.features or default_views(settings)).items():
        compiler.add(name, view)
    return compiler.plan()


class Compiler:
    """Turns views into cells and outputs, one at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.types = {IMPRESSION: IMPRESSION_CODE} | {
            name: FIRST_TYPE_CODE + place for place, name in enumerate(name for name in settings.events.types if name != IMPRESSION)
        }
        self.builders = {ITEM: Builder(), USER: Builder(), PAIR: Builder()}
        self.functions: dict[Weight, int] = {}
        self.horizon_days = math.ceil(duration_s(settings.state.horizon, "state.horizon") / DAY_S)

    def plan(self) -> Plan:
        popular = tuple(self.popular(half_life) for half_life in self.settings.retrieval.trending)
        self.reach(Weight(EVER, 0))
        programs = {entity: builder.program() for entity, builder in self.builders.items()}
        types = tuple(name for name in self.types if name != IMPRESSION)
        reads = (tuple(self.settings.retrieval.trending), tuple(self.settings.items.attributes), types, self.settings.state.history, self.horizon_days)
        return Plan(programs[ITEM], programs[USER], programs[PAIR], tuple(self.functions), popular, *reads)

    def popular(self, half_life: str) -> int:
        """The item cell of the decayed, weighted count of positives behind one popularity list."""
        named = [(self.types[name], kind) for name, kind in self.settings.events.types.items() if kind.weight > 0 and name != IMPRESSION]
        floors = tuple(NO_FLOOR if kind.min_value is None else round(kind.min_value * VALUE_SCALE) for _, kind in named)
        measure = Measure(tuple(code for code, _ in named), tuple(round(100 * kind.weight) for _, kind in named), 0, floors)
        return self.builders[ITEM].cell(ADD, measure, self.reach(Weight(HALF_LIFE, duration_s(half_life, "retrieval.trending"))))

    def reach(self, weight: Weight) -> int:
        return self.functions.setdefault(weight, len(self.functions))

    def add(self, name: str, view: View) -> None:
        """Compiles one view."""
        where = f"features.{name}"
        given = [aggregate for aggregate in AGGREGATES if getattr(view, aggregate) is not None]
        if len(given) != 1:
            raise ConfigError.invalid(where, given or "no aggregate", "exactly one aggregate", 'for example count = { event = "view", window = "7d" }')
        entity, relation = self.entity(view.entity, f"{where}.entity")
        target = Target(self, name, f"{where}.{given[0]}", entity, relation)
        target.add(given[0], getattr(view, given[0]))

    def entity(self, entity: str | list[str], where: str) -> tuple[str, int]:
        """(entity, relation): relation 0 is the item itself, 1 + a its attribute a."""
        if entity in (ITEM, USER, [ITEM], [USER]):
            return (entity if isinstance(entity, str) else entity[0]), 0
        if entity == [USER, ITEM]:
            return PAIR, 0
        if isinstance(entity, list) and len(entity) == 2 and entity[0] == USER and entity[1].startswith(f"{ITEM}."):
            return PAIR, 1 + self.attribute(entity[1].removeprefix(f"{ITEM}."), where)
        raise ConfigError.invalid(where, entity, '"user", "item", ["user", "item"] or ["user", "item.ATTRIBUTE"]')

    def attribute(self, name: str, where: str) -> int:
        known = self.settings.items.attributes
        if name not in known:
            raise ConfigError.unknown_key(where, name, known)
        return known.index(name)

    def codes(self, events: str | list[str], entity: str, where: str) -> list[int]:
        """Type codes of the named event types; of none named, all configured ones."""
        names = [events] if isinstance(events, str) else events
        for name in names:
            if name not in self.types:
                raise ConfigError.unknown_key(where, name, self.types)
            if name == IMPRESSION and entity != ITEM:
                raise ConfigError.invalid(where, name, "an event type of users", "impressions are counted for items only")
        return [self.types[name] for name in names] or [code for code in self.types.values() if code != IMPRESSION_CODE]


@dataclass(frozen=True)
class Target:
    """Where one view's cells and outputs go."""

    compiler: Compiler
    name: str
    where: str
    entity: str
    relation: int

    @property
    def builder(self) -> Builder:
        return self.compiler.builders[self.entity]

    def add(self, kind: str, aggregate: Aggregate | Rate) -> None:
        if isinstance(aggregate, Rate):
            self.add_rate(aggregate)
        elif kind in FROM_RING and self.entity == ITEM:
            raise ConfigError.invalid(
                self.where,
                kind,
                "an aggregate items can have",
                "min, max, distinct and last are read from a user's recent events: use entity user or [user, item]",
            )
        elif kind == "last" and self.entity == PAIR:
            raise ConfigError.invalid(self.where, kind, "an aggregate pairs can have", 'the last items belong to the user: entity = "user"')
        else:
            self.add_aggregate(kind, aggregate)

    def add_aggregate(self, kind: str, aggregate: Aggregate) -> None:
        codes = self.compiler.codes(aggregate.event, self.entity, f"{self.where}.event")
        count = Measure.counting(codes)
        if kind in WITHOUT_REACH and (aggregate.window or aggregate.half_life):
            raise ConfigError.invalid(self.where, "a window or half-life", f"none: {kind} looks at everything")
        if kind in FROM_RING and aggregate.half_life:
            raise ConfigError.invalid(f"{self.where}.half_life", aggregate.half_life, f"a window: {kind} cannot decay")
        if kind in ("recency", "first_seen"):
            self.put(f"{kind}", AGO, self.cell(LAST if kind == "recency" else FIRST, count, 0))
        elif kind == "last":
            for place in range(aggregate.n):
                self.put(f"last.{place + 1}", NUMBER, self.cell(NEWEST, count, place))
        elif kind in FROM_RING:
            for suffix, weight in self.reaches(aggregate.window, []):
                self.put(f"{kind}{suffix}", SCALED if kind == "distinct" else EXTREME, self.cell(FROM_RING[kind], count, self.compiler.reach(weight)))
        elif kind == "trend":
            self.add_trend(codes, aggregate)
        else:
            self.add_sums(kind, codes, aggregate)

    def add_sums(self, kind: str, codes: Sequence[int], aggregate: Aggregate) -> None:
        """count, sum and mean, once per window and half-life."""
        for suffix, weight in self.reaches(aggregate.window, aggregate.half_life):
            column = self.compiler.reach(weight)
            if kind == "count":
                self.put(f"count{suffix}", SCALED, self.cell(ADD, Measure.counting(codes), column), scale=weight.unit)
                continue
            total = self.cell(ADD, Measure.summing(codes), column)
            if kind == "sum":
                self.put(f"sum{suffix}", SCALED, total, scale=weight.unit * VALUE_SCALE)
            else:
                self.put_ratio(f"mean{suffix}", total, self.cell(ADD, Measure.counting(codes), column), (weight.unit * VALUE_SCALE, weight.unit))

    def add_trend(self, codes: Sequence[int], aggregate: Aggregate) -> None:
        """The mean frequency over each half-life but the last, relative to that over the last."""
        if aggregate.window or isinstance(aggregate.half_life, str) or len(aggregate.half_life) < 2:
            got = f"half_life {aggregate.half_life}, window {aggregate.window}"
            raise ConfigError.invalid(self.where, got, "two half-lives or more and no window", 'for example trend = { half_life = ["1d", "14d"] }')
        *shorter, (_, longest) = self.reaches([], aggregate.half_life)
        below = self.cell(ADD, Measure.counting(codes), self.compiler.reach(longest))
        for suffix, weight in shorter:
            above = self.cell(ADD, Measure.counting(codes), self.compiler.reach(weight))
            self.put_ratio(f"trend{suffix}", above, below, (weight.unit * weight.seconds, longest.unit * longest.seconds))

    def add_rate(self, rate: Rate) -> None:
        above = Measure.counting(self.compiler.codes(rate.of, self.entity, f"{self.where}.of"))
        below = Measure.counting(self.compiler.codes(rate.per, self.entity, f"{self.where}.per"))
        for suffix, weight in self.reaches(rate.window, rate.half_life):
            column = self.compiler.reach(weight)
            cells = (self.cell(ADD, above, column), self.cell(ADD, below, column))
            self.put_ratio(f"rate{suffix}", *cells, (weight.unit, weight.unit), (rate.prior, rate.prior_mean))

    def cell(self, op: int, measure: Measure, weight: int) -> int:
        return self.builder.cell(op, measure, weight, self.relation)

    def put(self, suffix: str, op: int, cell: int, scale: float = 1.0) -> None:
        self.builder.outputs.append(Output(f"{self.name}.{suffix}", op, cell, 0, scale))

    def put_ratio(self, suffix: str, above: int, below: int, scales: tuple[float, float], prior: tuple[float, float] = (0.0, 0.0)) -> None:
        self.builder.outputs.append(Output(f"{self.name}.{suffix}", RATIO, above, below, *scales, *prior))

    def reaches(self, windows: str | list[str], half_lives: str | list[str]) -> Iterator[tuple[str, Weight]]:
        """(name suffix, weight function) of every half-life and window; of none, everything within the horizon."""
        for text in [half_lives] if isinstance(half_lives, str) else half_lives:
            yield f".{text}", Weight(HALF_LIFE, self.positive(text, "half_life"))
        for text in [windows] if isinstance(windows, str) else windows:
            yield f".window_{text}", self.window(text)
        if not windows and not half_lives:
            yield "", Weight(EVER, 0)

    def window(self, text: str) -> Weight:
        seconds = self.positive(text, "window")
        step = weights.grain(seconds)
        if seconds % step:
            raise ConfigError.invalid(
                f"{self.where}.window", text, f"a multiple of its tile of {step} s", "windows are tile-aligned: 5 min up to 1h, 1 h up to 1d, else whole days"
            )
        if seconds > self.compiler.horizon_days * DAY_S:
            raise ConfigError.invalid(f"{self.where}.window", text, f"at most state.horizon = {self.compiler.settings.state.horizon}")
        return Weight(WINDOW, seconds)

    def positive(self, text: str, key: str) -> int:
        seconds = duration_s(text, f"{self.where}.{key}")
        if seconds <= 0:
            raise ConfigError.invalid(f"{self.where}.{key}", text, "more than nothing")
        return seconds
