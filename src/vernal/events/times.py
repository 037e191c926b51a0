"""Times at the edge to UTC microseconds: RFC 3339, times without a zone, and numbers in a declared or recognised unit.

The units cannot be confused: between 1973 and 2106 seconds, milli-, micro- and nanoseconds lie three decades apart. What fits none of them
is refused, never guessed.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from vernal.errors import ConfigError, EventError
from vernal.terms import DAY_S, US_PER_S

FIRST_US: Final = 0  # 1970
LAST_US: Final = (2**32 - 1) * US_PER_S  # 2106: state keeps whole seconds as uint32
UNITS: Final = {"s": US_PER_S, "ms": 1_000, "us": 1, "ns": 1 / 1_000}  # us per unit
PLAUSIBLE_S: Final = (100_000_000, 2**32)  # 1973..2106, where the units do not overlap
NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
CERTAIN: Final = 0.9  # share of values that must agree on a recognised unit
EXPECTED: Final = "RFC 3339 or a number of seconds since 1970"
FORMATS: Final = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")


def unit_of(number: float) -> str:
    """The unit in which a number is a time between 1973 and 2106; empty when there is none.

    >>> unit_of(1_732_150_000), unit_of(1_732_150_000_000), unit_of(42)
    ('s', 'ms', '')
    """
    low, high = PLAUSIBLE_S
    return next((unit for unit, us in UNITS.items() if low <= number * us / US_PER_S < high), "")


def to_us(value: Any, unit: str, timezone: str, where: str) -> int:
    """One time as UTC us.

    Raises
    ------
    EventError
        Not a time, in another unit than declared, or outside 1970..2106.
    """
    at = number_to_us(value, unit, where) if isinstance(value, int | float) and not isinstance(value, bool) else text_to_us(value, unit, timezone, where)
    if not FIRST_US <= at <= LAST_US:
        raise EventError.invalid(where, value, "a time between 1970 and 2106", looks_like(value, unit))
    return at


def number_to_us(value: float, unit: str, where: str) -> int:
    if value != value or value in (float("inf"), float("-inf")):
        raise EventError.invalid(where, value, EXPECTED)
    declared = unit if unit in UNITS else ""
    found = declared or (unit_of(value) if unit == "auto" else "")
    if not found:
        raise EventError.invalid(where, value, EXPECTED if unit == "auto" else "RFC 3339, as events.time_unit says", "send RFC 3339, or set events.time_unit")
    return value * round(UNITS[found]) if isinstance(value, int) and found != "ns" else round(value * UNITS[found])


def looks_like(value: Any, unit: str) -> str:
    """A hint when a number is a plausible time in another unit."""
    other = unit_of(value) if isinstance(value, int | float) else ""
    return f'this looks like {NAMES[other]}: set events.time_unit = "{other}"' if other and other != unit else ""


def text_to_us(value: Any, unit: str, timezone: str, where: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return number_to_us(float(value) if "." in value else int(value), unit, where)
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise EventError.invalid(where, value, EXPECTED, 'write for example "2026-11-21T09:30:00Z"') from None
    at = at if at.tzinfo else at.replace(tzinfo=zone(timezone))
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * DAY_S + since.seconds) * US_PER_S + since.microseconds


@lru_cache(maxsize=16)
def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError.invalid("events.timezone", name, "an IANA time zone", 'write for example "Europe/Berlin"') from None


def column_to_us(column: pl.Series, unit: str, timezone: str, where: str) -> pl.Series:
    """A column of times as UTC us (Int64); what cannot be read is null.

    Raises
    ------
    EventError
        The column holds no times, or its unit is not the declared one, or cannot be told.
    """
    zone(timezone)
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        return datetimes_to_us(column, timezone)
    if kind == pl.Date:
        return datetimes_to_us(column.cast(pl.Datetime("us")), timezone)
    if kind.is_numeric():
        return numbers_to_us(column, unit, where)
    if kind == pl.String:
        return texts_to_us(column, unit, timezone, where)
    raise EventError.invalid(where, str(kind), "times, as text, numbers or timestamps")


def datetimes_to_us(column: pl.Series, timezone: str) -> pl.Series:
    """Timestamps as UTC us; those without a zone are of `timezone` (of two equal hours in autumn the first; a skipped hour is null)."""
    if getattr(column.dtype, "time_zone", None) is None:
        column = column.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return column.dt.epoch("us")


def numbers_to_us(column: pl.Series, unit: str, where: str) -> pl.Series:
    if unit == "rfc3339":
        raise EventError.invalid(where, "numbers", "RFC 3339, as events.time_unit says", 'set events.time_unit = "auto"')
    middle = column.drop_nulls().median()
    if not isinstance(middle, int | float):
        return column.cast(pl.Int64, strict=False)
    found = unit if unit in UNITS else certain_unit(column, where)
    inside = column * UNITS[found] if found != "ns" else column / 1_000
    inside = inside.cast(pl.Float64).is_between(FIRST_US, LAST_US)
    if inside.sum() * 2 < len(column.drop_nulls()):
        raise EventError.invalid(where, middle, f"times between 1970 and 2106 in {NAMES[found]}", looks_like(middle, found) or "check events.columns.time")
    scaled = (column.cast(pl.Int64) * round(UNITS[found]) if column.dtype.is_integer() else column * UNITS[found]) if found != "ns" else column / 1_000
    return pl.select(pl.when(inside).then(scaled.cast(pl.Int64, strict=False)))[:, 0].rename(column.name)


def certain_unit(column: pl.Series, where: str) -> str:
    """The unit in which at least `CERTAIN` of the values are times; refuses when there is none."""
    middle = column.quantile(0.5, "nearest")
    found = unit_of(float(middle or 0))
    low, high = (bound * US_PER_S / UNITS.get(found, 1) for bound in PLAUSIBLE_S)
    if not found or column.cast(pl.Float64).is_between(low, high).sum() < CERTAIN * len(column.drop_nulls()):
        spread = f"{column.min()!r} .. {column.max()!r}"
        raise EventError.invalid(where, spread, "numbers in one unit of time since 1970", 'set events.time_unit to "s", "ms", "us" or "ns"')
    return found


def texts_to_us(column: pl.Series, unit: str, timezone: str, where: str) -> pl.Series:
    """Text as UTC us: digits are numbers in the unit, the rest ISO 8601 with or without zone."""
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.is_not_null().sum() * 2 > len(column.drop_nulls()):
        integers = column.cast(pl.Int64, strict=False)
        return numbers_to_us(integers if integers.null_count() == numbers.null_count() else numbers, unit, where)
    text = pl.col("text").str.strip_chars().str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T").str.replace(r"([zZ]| ?UTC| ?GMT)$", "+00:00")
    zoned = pl.coalesce(text.str.to_datetime(f"{form}%z", strict=False, time_unit="us", time_zone="UTC") for form in FORMATS[:2])
    naive = pl.coalesce(text.str.to_datetime(form, strict=False, time_unit="us") for form in FORMATS)
    frame = pl.DataFrame({"text": column}).select(zoned=zoned, naive=naive)
    found = frame["zoned"].dt.epoch("us").fill_null(datetimes_to_us(frame["naive"], timezone))
    if found.null_count() * 2 > len(column) and len(column.drop_nulls()):
        hint = 'write times as "2026-11-21T09:30:00Z" (day-first and month-first dates are not guessed)'
        raise EventError.invalid(where, column.drop_nulls()[0], EXPECTED, hint)
    return found.rename(column.name)


def written(at: int) -> str:
    """A time as RFC 3339.

    >>> written(1_483_271_606_000_000)
    '2017-01-01T11:53:26Z'
    """
    seconds, us = divmod(at, US_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{us:06d}Z" if us else f"{text}Z"
