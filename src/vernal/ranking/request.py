"""A request, and what it comes to: names become numbers, the scenario fills the gaps, wrong words are answered with the right ones.

In: `Request` as decoded from JSON. Out: `Resolved`, all numbers. What a caller can only have got wrong is an error (a scenario, an attribute or
value that does not exist, n out of range); what may have been right yesterday is left out and reported in `notes` (an item unknown by now).
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from vernal.config import Scenario, Settings
from vernal.errors import ConfigError, RequestError
from vernal.ranking.filters import Filter
from vernal.ranking.ports import LiveTable
from vernal.terms import MAX_ID_BYTES, MAX_N

MOST_BOOST = 1_000.0
SHOWN_NAMES = 5  # unknown names spelled out in one note

Id = Annotated[str, Meta(max_length=MAX_ID_BYTES)]
NO_ITEMS = np.empty(0, np.int32)
NO_BOOSTS = (NO_ITEMS, np.empty((0, 2), np.int32), np.empty(0, np.float64))


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call for a slate, as it comes over the wire."""

    user: Id = ""  # empty: nobody known
    q: str = ""  # only what matches this text; empty: whatever suits the user
    scenario: str = "home"
    n: int | None = None  # items wanted; default: the scenario's
    filter: dict[str, str | list[str]] = {}  # attribute -> value or values; all attributes must match, any of the values
    exclude: Annotated[list[Id], Meta(max_length=10_000)] = []  # items never to show
    boost: Annotated[dict[str, float], Meta(max_length=1_000)] = {}  # "ITEM" or "ATTRIBUTE=VALUE" -> factor on the odds; below 1 = less of it
    pin: Annotated[list[Id], Meta(max_length=MAX_N)] = []  # items to place first, in this order, as far as filter, exclude and caps allow
    diversity: float | None = None  # 0..1; default: the scenario's
    context: dict[str, Any] = {}  # kept with the logged request; no feature reads it
    explain: bool = False
    item: Id = ""  # similar to this item, instead of for the user
    session: Annotated[list[Id], Meta(max_length=500)] = []  # items of the running session, oldest first, not yet sent as events
    facets: list[str] = []  # with q: attributes of which the values of everything that matches are counted
    highlight: bool = False  # with q: what of title and text matches


class Resolved(NamedTuple):
    """A request in numbers."""

    scenario: Scenario
    n: int
    repeats: bool
    diversity: float
    wanted: Filter
    exclude: NDArray[np.int32]
    pin: NDArray[np.int32]
    boost_items: NDArray[np.int32]  # (b,)
    boost_values: NDArray[np.int32]  # (c, 2) attribute column, code
    boost_logs: NDArray[np.float64]  # (b + c,) natural logs of the factors, items first
    like: int | None
    session: NDArray[np.int32]
    notes: tuple[str, ...]


def check_scenarios(settings: Settings) -> None:
    """Raises ConfigError when a scenario caps or filters by an attribute the catalogue does not have."""
    for name, scenario in settings.scenarios.items():
        for key, attributes in (("caps", scenario.caps), ("filter", scenario.filter)):
            for attribute in attributes:
                if attribute not in settings.items.attributes:
                    raise ConfigError.unknown_key(f"scenarios.{name}.{key}", attribute, settings.items.attributes)


def resolve(request: Request, settings: Settings, live: LiveTable | None) -> Resolved:
    """The request in numbers; without a live table only names that need none.

    Raises
    ------
    RequestError
        Unknown scenario, filter attribute or filter value; n, a boost or diversity out of range; `item` unknown.

    Cost: 8 us for a plain request.
    """
    scenario = scenario_of(request, settings)
    naming = Naming(settings.items.attributes, live)
    wanted = (*naming.clauses(scenario.filter, strict=False), *naming.clauses(request.filter, strict=True))
    boosts = naming.boosts(request.boost)
    return Resolved(
        scenario=scenario,
        n=within("$.n", scenario.n if request.n is None else request.n, 1, MAX_N),
        repeats=settings.events.repeats if scenario.repeats is None else scenario.repeats,
        diversity=within("$.diversity", scenario.diversity if request.diversity is None else request.diversity, 0, 1),
        wanted=wanted,
        exclude=naming.numbers("exclude", request.exclude),
        pin=naming.numbers("pin", request.pin),
        boost_items=boosts[0],
        boost_values=boosts[1],
        boost_logs=boosts[2],
        like=naming.like(request.item),
        session=naming.numbers("session", request.session),
        notes=tuple(naming.notes),
    )


def scenario_of(request: Request, settings: Settings) -> Scenario:
    try:
        return settings.scenario(request.scenario)
    except ConfigError:
        raise RequestError.unknown("scenario", request.scenario, [*settings.scenarios, "home", "similar", "search"]) from None


def within(where: str, got: Any, least: float, most: float) -> Any:
    """The number, when it is one and in range."""
    if not least <= got <= most:  # NaN is in no range
        raise RequestError.invalid(where, got, f"{least} to {most}")
    return got


class Naming:
    """Turns names into numbers and notes what it could not find."""

    def __init__(self, attributes: list[str], live: LiveTable | None) -> None:
        self.attributes, self.live = attributes, live
        self.notes: list[str] = []

    def numbers(self, where: str, items: list[str]) -> NDArray[np.int32]:
        """Numbers of the known items, in order, each once."""
        if not items:
            return NO_ITEMS
        found = {item: self.live.number(item) if self.live else None for item in dict.fromkeys(items)}
        self.note(where, [item for item, number in found.items() if number is None], "an unknown item")
        return np.array([number for number in found.values() if number is not None], np.int32)

    def note(self, where: str, names: list[str], what: str) -> None:
        if names:
            more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
            self.notes.append(f"{where}: ignored {what}: {', '.join(map(repr, names[:SHOWN_NAMES]))}{more}")

    def like(self, item: str) -> int | None:
        if not item:
            return None
        number = self.live.number(item) if self.live else None
        if number is None:
            raise RequestError.invalid("$.item", item, "an item the log or the catalogue has mentioned")
        return number

    def clauses(self, wanted: Mapping[str, str | list[str]], *, strict: bool) -> Filter:
        """The filter in codes. Strict: unknown values are errors; else noted, and nothing passes a clause without a known value."""
        made = []
        for attribute, values in wanted.items():
            column = self.column(attribute)
            names = [values] if isinstance(values, str) else list(values)
            if not names:
                raise RequestError.invalid(f"$.filter.{attribute}", names, "at least one value", "leave the attribute out to allow every value")
            codes = {name: self.code(column, name) for name in names}
            unknown = [name for name, code in codes.items() if code is None]
            if unknown and strict and self.live:
                raise RequestError.unknown(f"value of filter.{attribute}", unknown[0], self.live.known_values(column))
            self.note(f"filter.{attribute}", unknown, "a value no item has")
            made.append((column, tuple(sorted(code for code in codes.values() if code is not None))))
        return tuple(made)

    def column(self, attribute: str) -> int:
        if attribute not in self.attributes:
            raise RequestError.unknown("filter attribute", attribute, self.attributes)
        return self.attributes.index(attribute)

    def code(self, column: int, value: str) -> int | None:
        return self.live.code(column, value) if self.live else None

    def boosts(self, wanted: Mapping[str, float]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """(items, (column, code) pairs, log factors)."""
        if not wanted:
            return NO_BOOSTS
        items: dict[int, float] = {}
        values: dict[tuple[int, int], float] = {}
        unknown = []
        for name, factor in wanted.items():
            if not 0 < factor <= MOST_BOOST:
                raise RequestError.invalid(f"$.boost[{name!r}]", factor, f"above 0, at most {MOST_BOOST:g}", "to drop items, use exclude or filter")
            attribute, is_value, value = name.partition("=")
            if is_value and attribute in self.attributes:
                code = self.code(self.attributes.index(attribute), value)
                known = code is not None
                if code is not None:
                    values[self.attributes.index(attribute), code] = math.log(factor)
            else:
                number = self.live.number(name) if self.live else None
                known = number is not None
                if number is not None:
                    items[number] = math.log(factor)
            unknown += [] if known else [name]
        self.note("boost", unknown, "an unknown item or value")
        logs = np.array([*items.values(), *values.values()], np.float64)
        return np.array(list(items), np.int32), np.array(list(values), np.int32).reshape(-1, 2), logs
