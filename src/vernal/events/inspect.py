"""Files to a proposed `vernal.toml`: which file is what, which column holds what, the unit of time, which events are positives, whether items repeat.

Everything proposed is written out with the reason beside it, so that a wrong guess is seen and changed in one place.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from vernal.errors import EventError, VernalError
from vernal.events.checking import text_column
from vernal.events.files import LIST_SEPARATOR, ROW, Table, read_table
from vernal.events.times import column_to_us, unit_of

# Names under which the world keeps these columns, lower case without punctuation, the surest first.
NAMES: Final = {
    "user": "userid user customerid customer householdid memberid visitorid accountid clientid profileid personid viewerid uid userno reviewerid account "
    "household visitor member client fullvisitorid anonymousid",
    "item": "itemid item productid product articleid movieid filmid bookid trackid songid videoid showid postid newsid sku asin stockcode contentid listingid "
    "jobid businessid adid gameid courseid recipeid artistid venueid locationid poiid iid itemno article movie book track song video",
    "time": "timestamp time eventtime ts datetime createdat occurredat eventtimestamp transactiontimestamp unixreviewtime invoicedate orderdate purchasedate "
    "transactiondate eventdate date tdat visitstarttime created when localtime",
    "type": "eventtype event type action eventname behavior behaviortype interaction interactiontype feedbacktype activity",
    "value": "value rating score stars salesvalue price amount revenue total overall playcount quantity watchtime duration",
    "session": "sessionid session basketid orderid visitid invoice invoiceno cartid usersession",
    "event_id": "eventid messageid eventuuid uuid insertid",
    "received_at": "receivedat ingestedat arrivedat loadedat",
    "title": "title name producttitle productname itemname movietitle displayname label headline producttype shorttitle",
    "text": "description text summary overview abstract body content plot about longdescription detaildesc",
}
MINIMA: Final = {5: 4.0, 10: 7.0, 100: 70.0}  # top of a rating scale -> what counts as liked
PURCHASE_SIGNS: Final = ("basket", "order", "invoice", "sales", "price", "quantity", "transaction", "amount", "revenue")
WEIGHTS: Final = {
    "view": 1.0,
    "click": 2.0,
    "play": 2.0,
    "listen": 2.0,
    "like": 5.0,
    "cart": 5.0,
    "wishlist": 5.0,
    "purchase": 10.0,
    "buy": 10.0,
    "order": 10.0,
}
MOST_TYPES: Final = 30
REPEATS_FROM: Final = 0.1  # share of events about an item that the user had before, from which repeats are proposed


@dataclass(frozen=True)
class Found:
    """One file and what it is."""

    path: Path
    table: Table
    kind: str  # events, items, users
    columns: dict[str, str]  # role -> column


def inspect(files: Sequence[Path]) -> str:
    """A commented `vernal.toml` for these files.

    Raises
    ------
    EventError
        No file has a user, an item and a time.

    Cost: reads every file once.
    """
    found = [look(path) for path in files]
    events = [one for one in found if one.kind == "events"]
    if not events:
        seen = "; ".join(f"{one.path.name} ({', '.join(one.table.columns[:12])})" for one in found)
        raise EventError.invalid(
            "vernal init", seen, "a file with a user, an item and a time", "rename its columns to user, item and time, or write vernal.toml by hand"
        )
    parts = [*events_text(events), *items_text([one for one in found if one.kind == "items"]), *users_text([one for one in found if one.kind == "users"])]
    return "\n".join(["# Written by `vernal init`; every key is explained by `vernal config explain`.", "", *parts]) + "\n"


def look(path: Path) -> Found:
    """What a file is, by its columns: events have a user, an item and a time; a catalogue one row per item; a user file one per user."""
    table = read_table(path)
    columns = {role: name for role in NAMES if (name := column_for(role, table.columns))}
    if "user" in columns and "item" in columns and columns["user"] != columns["item"]:
        return Found(path, table, "events", columns)
    if "user" in columns and "item" not in columns:
        return Found(path, table, "users", columns)
    if "item" not in columns:
        unique = [name for name in table.columns if normal(name).endswith("id") and table.frame[name].n_unique() == table.frame.height]
        if not unique:
            raise EventError.invalid(str(path), f"the columns {', '.join(table.columns)}", "a column of user or item ids", "rename it to user_id or item_id")
        columns["item"] = unique[0]
    return Found(path, table, "items", columns)


def column_for(role: str, columns: Iterable[str]) -> str:
    """The column whose name is surest for a role, or ""."""
    by_name = {normal(name): name for name in reversed(list(columns))}
    return next((by_name[name] for name in NAMES[role].split() if name in by_name), "")


def normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def events_text(found: list[Found]) -> list[str]:
    """The [events] tables, from the first file's columns and all files' rows."""
    first = found[0]
    if "time" not in first.columns:
        raise EventError.invalid(str(first.path), f"the columns {', '.join(first.table.columns)}", "a column of times", "rename it to time")
    columns = {role: name for role, name in first.columns.items() if role in ("user", "item", "type", "time", "value", "session", "event_id", "received_at")}
    kinds, default, why = event_types(first, columns)
    share = repeat_share(first, columns)
    lines = [
        "[events]",
        f"files = {listed(str(one.path) for one in found)}",
        *time_lines(first, columns["time"]),
        f"repeats = {'true' if share >= REPEATS_FROM else 'false'}  # {share:.0%} of events are about an item the user had before",
        f"default_type = {quoted(default)}  # {why}",
        "",
        "[events.columns]",
        *(f"{role} = {quoted(columns.get(role, ''))}" for role in ("user", "item", "type", "time", "value", "session", "event_id", "received_at")),
        "",
    ]
    return lines + [line for name, count in kinds for line in type_lines(first, columns, name, count, alone=len(kinds) == 1)]


def time_lines(found: Found, column: str) -> list[str]:
    """The unit or zone of the time column, where it needs one."""
    series = found.table.frame[column]
    try:
        column_to_us(series, "auto", "UTC", f"{found.path.name} column {column!r}")
    except VernalError as error:
        return [f"# {error.expected}: the times of {column!r} were not understood; {error.hint}", 'time_unit = "auto"']
    digits = series.cast(pl.Float64, strict=False).median() if series.dtype.is_numeric() or series.dtype == pl.String else None
    if isinstance(digits, int | float):
        return [f'time_unit = "{unit_of(float(digits))}"  # as in {series.drop_nulls()[0]}']
    zoned = getattr(series.dtype, "time_zone", None) or (series.dtype == pl.String and str(series.drop_nulls()[0]).endswith(("Z", "z", "+00:00")))
    return [] if zoned else ['timezone = "UTC"  # times carry no zone; name the one they were written in, for example "Europe/Berlin"']


def event_types(found: Found, columns: dict[str, str]) -> tuple[list[tuple[str, int]], str, str]:
    """Types with their counts, most frequent first; the default type; and why."""
    if "type" in columns:
        counts = text_column(found.table, columns["type"], "type").drop_nulls().value_counts(sort=True).rows()
        if 0 < len(counts) <= MOST_TYPES:
            return counts, counts[0][0], f"the most frequent value of {columns['type']!r}; for rows without one"
        del columns["type"]
    default = guessed_type(found, columns)
    return [(default, found.table.frame.height)], default, "there is no type column; every row is one of these"


def guessed_type(found: Found, columns: dict[str, str]) -> str:
    value = normal(columns.get("value", ""))
    if value in ("rating", "stars", "score", "overall"):
        return "rating"
    return "purchase" if any(sign in normal(name) for name in found.table.columns for sign in PURCHASE_SIGNS) else "view"


def type_lines(found: Found, columns: dict[str, str], name: str, count: int, *, alone: bool) -> list[str]:
    """One [events.types.*] table: weight by what the name says, positives by the scale of the values."""
    weight = next((weight for word, weight in reversed(WEIGHTS.items()) if word in name.lower() and not alone), 1.0)
    lines = [f"[events.types.{key(name)}]  # {count:,} events", f"weight = {weight}"]
    least = liked_from(found, columns, name)
    return [*lines, *([f"min_value = {least}  # what counts as liked on this scale"] if least is not None else []), ""]


def liked_from(found: Found, columns: dict[str, str], name: str) -> float | None:
    """The least positive value when the values of a type are ratings on a known scale."""
    if "value" not in columns or not re.search("rat|star|score|overall|review", f"{name} {columns['value']}".lower()):
        return None
    values = found.table.frame[columns["value"]].cast(pl.Float64, strict=False)
    if "type" in columns:
        values = values.filter(text_column(found.table, columns["type"], "type") == name)
    top, distinct = values.max(), values.n_unique()
    return MINIMA.get(round(top)) if isinstance(top, float) and distinct <= 101 else None


def repeat_share(found: Found, columns: dict[str, str]) -> float:
    """Share of events about an item that the same user had at an earlier time."""
    pairs = found.table.frame.select(columns["user"], columns["item"], columns["time"]).unique()
    return 1 - pairs.select(columns["user"], columns["item"]).n_unique() / max(1, pairs.height)


def items_text(found: list[Found]) -> list[str]:
    if not found:
        return ["# No catalogue was given: items are known by their ids. `vernal init EVENTS ITEMS` adds titles, filters and content.", ""]
    first = found[0]
    names = [name for name in first.table.columns if name != first.columns["item"]]
    title, text = first.columns.get("title", ""), [first.columns["text"]] if "text" in first.columns else []
    attributes = [name for name in names if name not in (title, *text) and is_category(first.table.frame[name])]
    if title in names and is_category(first.table.frame[title]) and first.table.frame[title].n_unique() * 4 < first.table.frame.height:
        attributes.append(title)  # a title shared by many items is a category as well
    return [
        "[items]",
        f"files = {listed(str(one.path) for one in found)}",
        f"id = {quoted(first.columns['item'])}",
        f"title = {quoted(title)}",
        f"text = {listed([title, *text] if title else text)}",
        f"attributes = {listed(attributes)}",
        "",
    ]


def is_category(column: pl.Series) -> bool:
    """Whether a column is worth filtering by: text, lists or whole numbers with few values for many rows."""
    if column.dtype == pl.String and column.str.contains(LIST_SEPARATOR, literal=True).any():
        column = column.str.split(LIST_SEPARATOR)
    if isinstance(column.dtype, pl.List):
        column = column.explode()
    elif not (column.dtype in (pl.String, pl.Boolean, pl.Categorical) or column.dtype.is_integer()):
        return False
    distinct, n = column.drop_nulls().n_unique(), len(column)
    return 2 <= distinct <= max(20, n // 20) and column.name != ROW


def users_text(found: list[Found]) -> list[str]:
    if not found:
        return []
    first = found[0]
    names = [name for name in first.table.columns if name != first.columns["user"] and is_category(first.table.frame[name])]
    return ["[users]", f"files = {listed(str(one.path) for one in found)}", f"id = {quoted(first.columns['user'])}", f"attributes = {listed(names)}", ""]


def quoted(text: str) -> str:
    """A TOML string."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in plain) + '"'


def key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else quoted(text)


def listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(quoted(text) for text in texts)}]"
