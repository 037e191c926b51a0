"""A file's columns to the columns of events, every row checked; what is dropped is named, row by row.

In: a `Table` as it was read. Out: rows that are events (`user, item, type, time, value, session, event_id, received_at`, times in UTC us, time never
after received_at) and the numbers of the others with the reason.
"""

from dataclasses import dataclass

import polars as pl

from vernal.config import Events
from vernal.errors import EventError, nearest
from vernal.events.files import ROW, Table
from vernal.events.schema import Event
from vernal.events.times import column_to_us
from vernal.terms import DAY_S, EVENT_ID, ITEM, MAX_ID_BYTES, RECEIVED_AT, SESSION, TIME, TYPE, US_PER_S, USER, VALUE

REASON = "_reason"
TEXTS = (USER, ITEM, TYPE, SESSION, EVENT_ID)
TOLERANCE_US = DAY_S * US_PER_S  # a clock may run ahead by a day; such times are moved to now


@dataclass(frozen=True)
class Checked:
    """One file's rows, apart: events, and the rest."""

    table: Table
    frame: pl.DataFrame  # the columns of events, ROW
    dropped: pl.DataFrame  # ROW, REASON
    notes: list[str]


def wanted_columns(events: Events) -> list[str]:
    """The columns of a file that vernal.toml names."""
    columns = events.columns
    names = (columns.user, columns.item, columns.type, columns.time, columns.value, columns.event_id, columns.session, columns.received_at)
    return [name for name in names if name]


def check_events(table: Table, events: Events, now: int) -> Checked:
    """The events in a table.

    Raises
    ------
    EventError
        A configured column is missing, holds no ids, times or numbers, or its unit of time is not the declared one.
    """
    frame = table.frame.select(ROW, *columns_of(table, events))
    frame = frame.with_columns(pl.coalesce(RECEIVED_AT, TIME).clip(upper_bound=now).alias(RECEIVED_AT))
    frame = frame.with_columns(reason(events, now).alias(REASON))
    dropped = frame.filter(pl.col(REASON).is_not_null()).select(ROW, REASON)
    kept = frame.filter(pl.col(REASON).is_null()).drop(REASON)
    moved = int((kept[TIME] > kept[RECEIVED_AT]).sum())
    kept = kept.with_columns(pl.min_horizontal(TIME, RECEIVED_AT).alias(TIME))
    return Checked(table, kept, dropped, [*table.notes, *notes_on(kept, table, events, moved)])


def columns_of(table: Table, events: Events) -> list[pl.Series]:
    """The eight columns of events, converted; absent ones are empty."""
    names, n, where = events.columns, table.frame.height, table.path.name
    require(table, {"user": names.user, "item": names.item, "time": names.time}, optional={"value": names.value, "event_id": names.event_id})
    texts = {USER: names.user, ITEM: names.item, TYPE: names.type, SESSION: names.session, EVENT_ID: names.event_id}
    out = [text_column(table, found, to) for to, found in texts.items()]
    out[2] = out[2].fill_null(events.default_type)
    out.append(column_to_us(table.frame[names.time], events.time_unit, events.timezone, f"{where} column {names.time!r}").alias(TIME))
    arrival = names.received_at if names.received_at in table.frame.columns else ""
    empty = pl.Series(RECEIVED_AT, [None] * n, pl.Int64)
    out.append(column_to_us(table.frame[arrival], events.time_unit, events.timezone, f"{where} column {arrival!r}").alias(RECEIVED_AT) if arrival else empty)
    out.append(number_column(table, names.value))
    return out


def require(table: Table, needed: dict[str, str], optional: dict[str, str]) -> None:
    """Raises when a column that vernal.toml names is not in the file."""
    for setting, name in (needed | {key: value for key, value in optional.items() if value}).items():
        if name not in table.columns:
            hint = nearest(name, table.columns) or f'set events.columns.{setting} = "..." in vernal.toml, or run `vernal init {table.path.name}`'
            raise EventError.invalid(str(table.path), f"the columns {', '.join(table.columns)}", f"a column {name!r} (events.columns.{setting})", hint)


def text_column(table: Table, name: str, to: str) -> pl.Series:
    """A column of ids as text: whole numbers without ".0", empty text as null; an absent column is null throughout."""
    if name not in table.frame.columns:
        return pl.Series(to, [None] * table.frame.height, pl.String)
    column = table.frame[name]
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise EventError.invalid(f"{table.path.name} column {name!r}", str(column.dtype), "ids, as text or whole numbers")
    if column.dtype.is_float() and (column.drop_nulls().is_nan() | (column.drop_nulls() == column.drop_nulls().floor())).all():
        column = column.fill_nan(None).cast(pl.Int64, strict=False)
    return column.cast(pl.String).replace("", None).alias(to)


def number_column(table: Table, name: str) -> pl.Series:
    """A column of values; NaN and empty text are null, text that is no number becomes infinity so that its row is named."""
    if name not in table.frame.columns:
        return pl.Series(VALUE, [None] * table.frame.height, pl.Float64)
    column = table.frame[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars().replace("", None)
    values = column.cast(pl.Float64, strict=False)
    unreadable = column.is_not_null() & values.is_null()
    if unreadable.sum() * 2 > len(column):
        example = column.filter(unreadable)[0]
        raise EventError.invalid(f"{table.path.name} column {name!r}", example, "numbers", 'choose another column with events.columns.value, or set it to ""')
    return values.set(unreadable, float("inf")).fill_nan(None).alias(VALUE)


def reason(events: Events, now: int) -> pl.Expr:
    """Why a row is dropped; null for a good one. The first reason counts."""
    scaled = [name for name, kind in events.types.items() if kind.min_value is not None]  # their zero lies elsewhere: a negative is no cancellation
    long = pl.any_horizontal(pl.col(name).str.len_bytes() > MAX_ID_BYTES for name in TEXTS)
    nul = pl.any_horizontal(pl.col(name).str.contains("\x00", literal=True) for name in TEXTS)
    return (
        pl.when(pl.col(USER).is_null())
        .then(pl.lit("missing user"))
        .when(pl.col(TIME).is_null())
        .then(pl.lit("missing or unreadable time"))
        .when((pl.col(TIME) < 0) | (pl.col(TIME) > now + TOLERANCE_US))
        .then(pl.lit("time before 1970 or in the future"))
        .when(long)
        .then(pl.lit(f"id longer than {MAX_ID_BYTES} bytes"))
        .when(nul)
        .then(pl.lit("NUL in an id"))
        .when(pl.col(VALUE).is_infinite())
        .then(pl.lit("value is not a finite number"))
        .when((pl.col(VALUE) < 0) & ~pl.col(TYPE).is_in(scaled))
        .then(pl.lit("negative value (a cancellation or return)"))
    )


def reason_against(event: Event, given: int | None, events: Events, now: int) -> str | None:
    """Why an import drops an event whose time was given as UTC us `given`; none = it does not. Cost: 1 ms."""
    row = {USER: event.user, ITEM: event.item, TYPE: event.type, SESSION: event.session, EVENT_ID: event.event_id, TIME: given, VALUE: event.value}
    kinds = dict.fromkeys(TEXTS, pl.String) | {TIME: pl.Int64, VALUE: pl.Float64}
    found: str | None = pl.DataFrame([row], schema={name: kinds[name] for name in row}).select(reason(events, now)).item()
    return found


def notes_on(kept: pl.DataFrame, table: Table, events: Events, moved: int) -> list[str]:
    """What a user should know about rows that were kept."""
    notes = []
    if moved:
        notes.append(f"{moved} events happened after they arrived; their time was set to their arrival")
    without = int(kept[ITEM].is_null().sum())
    if without:
        notes.append(f"{without} events name no item")
    unknown = kept.filter(~pl.col(TYPE).is_in(list(events.types)))[TYPE].value_counts(sort=True).head(5)
    if unknown.height:
        listed = ", ".join(f"{name} ({count})" for name, count in unknown.rows())
        notes.append(f"types that events.types does not name are kept and counted by nothing: {listed}")
    unread = [name for name in table.columns if name not in wanted_columns(events)]
    if unread:
        notes.append(f"columns not read: {', '.join(unread[:12])}")
    return notes
