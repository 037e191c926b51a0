"""The definition of every feature once more, in plain Python over lists of events: slow, obvious, and sharing no code with the kernels but the plan's names.

Reads the settings' views, never the compiled tables.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vernal.config import Aggregate, Settings, View, duration_s
from vernal.features.defaults import default_views

DAY, HOUR, HOP = 86_400, 3_600, 300


@dataclass(frozen=True)
class Fact:
    """One event as the definitions see it."""

    user: int
    item: int
    type: int
    time: int  # us
    received_at: int  # us
    value: int  # thousandths


@dataclass(frozen=True)
class Oracle:
    settings: Settings
    attributes: Sequence[Sequence[Sequence[int]]]  # item -> attribute -> codes

    def row(self, facts: Sequence[Fact], user: int, item: int, at: int) -> list[float]:
        """The join's row of (user, item) at `at`, in the order item, user, pair."""
        known = [fact for fact in facts if fact.received_at < at and fact.type != 0]
        hop = at // 1_000_000 // HOP * HOP
        mine = sorted((f.time // 1_000_000, f.type, f.item & 0xFFFFFFFF, f.value) for f in known if f.user == user and f.type != 1)
        ring = mine[-self.settings.state.history :]
        theirs = [(f.time // 1_000_000, f.type, f.item, f.value) for f in known if f.item == item]
        parts: dict[str, list[float]] = {"item": [], "user": [], "pair": []}
        for view in (self.settings.features or default_views(self.settings)).values():
            if view.entity == "item":
                parts["item"] += self.values(view, theirs, theirs, hop)
            elif view.entity == "user":
                parts["user"] += self.values(view, mine, ring, hop)
            else:
                parts["pair"] += self.pair(view, ring, item, hop)
        return parts["item"] + parts["user"] + parts["pair"]

    def pair(self, view: View, ring: Sequence[tuple[int, int, int, int]], item: int, hop: int) -> list[float]:
        if view.entity[1] == "item":
            matching = [event for event in ring if event[2] == item]
            return self.values(view, matching, matching, hop)
        attribute = self.settings.items.attributes.index(view.entity[1].split(".")[1])
        codes = self.codes(item, attribute)
        matching = [event for event in ring for code in self.codes(event[2], attribute) if code in codes]  # once per shared value
        per_code = [[event for event in ring if code in self.codes(event[2], attribute)] for code in codes]
        if view.distinct is not None:
            return [sum(column) for column in zip(*(self.values(view, part, part, hop) for part in per_code), strict=True)] or self.values(view, [], [], hop)
        return self.values(view, matching, matching, hop)

    def codes(self, item: int, attribute: int) -> list[int]:
        return [code for code in self.attributes[item][attribute] if code] if item < len(self.attributes) else []

    def values(self, view: View, events: Sequence[tuple[int, int, int, int]], ring: Sequence[tuple[int, int, int, int]], hop: int) -> list[float]:
        if view.rate is not None:
            return [
                self.ratio(events, hop, w, self.types(view.rate.of), self.types(view.rate.per), view.rate.prior, view.rate.prior_mean)
                for w in weights_of(view.rate)
            ]
        kind = next(
            name for name in ("count", "trend", "sum", "mean", "min", "max", "distinct", "last", "recency", "first_seen") if getattr(view, name) is not None
        )
        aggregate: Aggregate = getattr(view, kind)
        types = self.types(aggregate.event)
        chosen = [event for event in (ring if kind in ("min", "max", "distinct", "last") else events) if event[1] in types]
        if kind == "recency":
            return [float(max(0, hop - max(e[0] for e in chosen))) if chosen else math.nan]
        if kind == "first_seen":
            return [float(max(0, hop - min(e[0] for e in chosen))) if chosen else math.nan]
        if kind == "last":
            newest = list(dict.fromkeys(e[2] for e in reversed(chosen) if e[2] != 0xFFFFFFFF))
            return [float(newest[n]) if n < len(newest) else math.nan for n in range(aggregate.n)]
        if kind == "trend":
            *shorter, longest = [self.read("count", chosen, hop, weight) / weight[1] for weight in weights_of(aggregate)]
            return [count / longest if longest else math.nan for count in shorter]
        return [self.read(kind, chosen, hop, weight) for weight in weights_of(aggregate)]

    def read(self, kind: str, events: Sequence[tuple[int, int, int, int]], hop: int, weight: tuple[str, int]) -> float:
        weighted = [(event, self.weight(event[0], hop, weight)) for event in events]
        unit = 65_536 if weight[0] == "half_life" else 1
        count, total = sum(w for _, w in weighted), sum(event[3] * w for event, w in weighted)
        inside = [event for event, w in weighted if w > 0]
        if kind == "count":
            return count / unit
        if kind == "sum":
            return total / (unit * 1_000)
        if kind == "mean":
            return (total / (unit * 1_000)) / (count / unit) if count else math.nan
        if kind == "distinct":
            return float(len({event[2] for event in inside if event[2] != 0xFFFFFFFF}))
        return (min if kind == "min" else max)(event[3] for event in inside) / 1_000 if inside else math.nan

    def ratio(
        self, events: Sequence[tuple[int, int, int, int]], hop: int, weight: tuple[str, int], of: set[int], per: set[int], prior: float, mean: float
    ) -> float:
        above, below = (self.read("count", [e for e in events if e[1] in types], hop, weight) for types in (of, per))
        return (above + prior * mean) / (below + prior) if below + prior > 0 else math.nan

    def types(self, names: str | list[str]) -> set[int]:
        codes = {"impression": 1} | {name: 2 + place for place, name in enumerate(self.settings.events.types)}
        wanted = [names] if isinstance(names, str) else names
        return {codes[name] for name in wanted} or {code for code in codes.values() if code != 1}

    def weight(self, time: int, hop: int, weight: tuple[str, int]) -> int:
        """The integer an event of second `time` counts with at `hop`."""
        kind, seconds = weight
        if hop // DAY - time // DAY > -(-duration_s(self.settings.state.horizon) // DAY):
            return 0
        if kind == "ever":
            return 1
        if kind == "window":
            grain = HOP if seconds <= HOUR else HOUR if seconds <= DAY else DAY
            return int(hop // grain - seconds // grain <= time // grain)
        tile = HOP if time // HOUR == hop // HOUR else HOUR if time // DAY == hop // DAY else DAY
        return round(65_536 * 2.0 ** (-max(0, hop - time // tile * tile) / seconds))


def weights_of(aggregate: object) -> list[tuple[str, int]]:
    half_lives, windows = getattr(aggregate, "half_life"), getattr(aggregate, "window")  # noqa: B009
    found = [("half_life", duration_s(text)) for text in ([half_lives] if isinstance(half_lives, str) else half_lives)]
    found += [("window", duration_s(text)) for text in ([windows] if isinstance(windows, str) else windows)]
    return found or [("ever", 0)]


def as_float32(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Rows as the join gives them."""
    return np.array(rows, dtype=np.float64).astype(np.float32)
