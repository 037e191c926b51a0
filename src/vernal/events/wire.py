"""JSON from the network to records: native events, items and users, bare or in CloudEvents envelopes, as object, array, `{"events": [...]}` or NDJSON.

In: a body. Out: one `Event` (`Item`, `User`) or one `Rejection` per record, in order. One bad record never fails its batch; only a body that is
no JSON at all, or holds too many records, is refused whole. Fields that Vernal does not know are kept in `properties`.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from vernal.config import Events, Items, Users
from vernal.errors import EventError, RequestError, VernalError
from vernal.events.fields import Rejection, attribute_values, content_id, identifier, mapping, number, optional_identifier, position, storable, text
from vernal.events.schema import Event, Item, User
from vernal.events.times import to_us
from vernal.terms import ANONYMOUS_ID, EVENT_ID, ITEM, MAX_BATCH_EVENTS, POSITION, PROPERTIES, REC_ID, SESSION, TIME, TYPE, USER, VALUE

NATIVE = frozenset({EVENT_ID, TYPE, USER, ANONYMOUS_ID, ITEM, TIME, VALUE, SESSION, REC_ID, POSITION, PROPERTIES})
ENVELOPE = "specversion"


def decode_events(body: bytes, now: int, events: Events) -> list[Event | Rejection]:
    """The events of a body.

    Parameters
    ----------
    body
        JSON or NDJSON, UTF-8.
    now
        UTC us; later times are moved here, missing times are here.
    events
        Gives `time_unit`, `timezone`, `default_type`.

    Raises
    ------
    RequestError
        Not JSON, or more than `MAX_BATCH_EVENTS`.

    Cost: about 6 us per event.
    """
    return decoded(records_of(body, "events"), lambda raw, where: event_of(unwrapped(raw, where), now, events, where), "$.events")


def decode_items(body: bytes, now: int, items: Items) -> list[Item | Rejection]:
    """The items of a body; see `decode_events`."""
    return decoded(records_of(body, "items"), lambda raw, where: item_of(mapping(raw, where), now, items, where), "$.items")


def decode_users(body: bytes, now: int, users: Users) -> list[User | Rejection]:
    """The users of a body; see `decode_events`."""
    return decoded(records_of(body, "users"), lambda raw, where: user_of(mapping(raw, where), now, users, where), "$.users")


def decoded(records: list[Any], make: Callable[[Any, str], Any], where: str) -> list[Any]:
    """Each record made, or its rejection."""
    out: list[Any] = []
    for index, raw in enumerate(records):
        try:
            out.append(raise_or_make(raw, make, f"{where}[{index}]"))
        except VernalError as error:
            out.append(Rejection.of(index, error, raw.text if isinstance(raw, Broken) else raw))
    return out


def raise_or_make(raw: Any, make: Callable[[Any, str], Any], where: str) -> Any:
    if isinstance(raw, Broken):
        raise EventError.invalid(where, raw.text[:80], f"JSON ({raw.why})")
    return make(raw, where)


class Broken(msgspec.Struct, frozen=True):
    """A line of NDJSON that is no JSON."""

    text: str
    why: str


def records_of(body: bytes, name: str) -> list[Any]:
    """The records in a body, whichever of the four forms it has."""
    try:
        tree = any_json(body)
        lines = tree if isinstance(tree, list) else tree[name] if isinstance(tree, dict) and isinstance(tree.get(name), list) else [tree]
    except ValueError as error:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith(b"{") or b"}" not in lines[0]:
            raise RequestError.invalid("body", str(error), "JSON or one JSON object per line", "check that the body is UTF-8 and whole") from None
        lines = [line_of(line) for line in lines]
    if len(lines) > MAX_BATCH_EVENTS:
        raise RequestError.invalid(
            f"$.{name}", f"{len(lines)} records", f"at most {MAX_BATCH_EVENTS} in one call", "send them in several calls, or import a file"
        )
    return lines


def any_json(body: bytes) -> Any:
    """JSON, also with the NaN and Infinity that some encoders write; ValueError when it is none.

    The lenient second reading exists so that one NaN in one event does not fail its batch.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        try:
            return json.loads(body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def line_of(line: bytes) -> Any:
    try:
        return any_json(line)
    except ValueError as error:
        return Broken(line.decode("utf-8", "replace"), str(error))


def unwrapped(raw: Any, where: str) -> Mapping[str, Any]:
    """A native event out of its CloudEvents 1.0 envelope; the envelope's id, type and time fill what the event does not say."""
    record = mapping(raw, where)
    if ENVELOPE not in record:
        return record
    inner = dict(mapping(record.get("data"), f"{where}.data"))
    inner.setdefault(EVENT_ID, f"{record.get('source', '')}#{record.get('id', '')}")
    inner.setdefault(TYPE, str(record.get("type", "")).rpartition(".")[2] or None)
    if "time" in record:
        inner.setdefault(TIME, record["time"])
    return inner


def event_of(raw: Mapping[str, Any], now: int, events: Events, where: str) -> Event:
    """One native event, checked.

    Raises
    ------
    EventError
        The first field that breaks its rule.
    """
    given = raw.get(TIME)
    time = now if given is None else to_us(given, events.time_unit, events.timezone, f"{where}.{TIME}")
    return event_at(raw, time, now, events.default_type, where)


def event_at(raw: Mapping[str, Any], time: int, now: int, default_type: str, where: str) -> Event:
    """The event whose other fields are in `raw`; its identity holds the time as given, the event the time moved to now at the latest."""
    if raw.get(USER) in (None, "") and raw.get(ANONYMOUS_ID) in (None, ""):
        raise EventError.invalid(f"{where}.{USER}", "nothing", f'"{USER}" or "{ANONYMOUS_ID}"')
    known = raw.get(USER) not in (None, "")
    fields: dict[str, Any] = {
        TYPE: identifier(raw.get(TYPE) or default_type, f"{where}.{TYPE}"),
        USER: identifier(raw.get(USER if known else ANONYMOUS_ID), f"{where}.{USER if known else ANONYMOUS_ID}"),
        ITEM: optional_identifier(raw.get(ITEM), f"{where}.{ITEM}"),
        VALUE: number(raw.get(VALUE), f"{where}.{VALUE}"),
        SESSION: optional_identifier(raw.get(SESSION), f"{where}.{SESSION}"),
        REC_ID: optional_identifier(raw.get(REC_ID), f"{where}.{REC_ID}"),
        POSITION: position(raw.get(POSITION), f"{where}.{POSITION}"),
        PROPERTIES: properties_of(raw, NATIVE - {ANONYMOUS_ID} if known else NATIVE, where),
    }
    identity = optional_identifier(raw.get(EVENT_ID), f"{where}.{EVENT_ID}") or content_id((*fields.values(), time))
    return Event(event_id=identity, time=min(time, now), **fields)


def properties_of(raw: Mapping[str, Any], known: frozenset[str], where: str) -> dict[str, Any] | None:
    """The unknown fields and what was sent as `properties`, together."""
    inner = raw.get(PROPERTIES)
    out = dict(mapping(inner, f"{where}.{PROPERTIES}")) if inner is not None else {}
    out |= {name: value for name, value in raw.items() if name not in known}
    return storable(out, f"{where}.{PROPERTIES}") if out else None


def item_of(raw: Mapping[str, Any], now: int, items: Items, where: str) -> Item:
    """One catalogue record, native or with the columns that vernal.toml names.

    Raises
    ------
    EventError
        No id, or a field that breaks its rule.
    """
    known = {ITEM, "id", items.id, "title", items.title, "text", *items.text, "attributes", *items.attributes, "hidden", "deleted", TIME, PROPERTIES}
    parts = [text(raw.get(name), f"{where}.{name}") for name in dict.fromkeys(["text", *items.text])]
    return Item(
        item=identifier(first_of(raw, ITEM, items.id, "id"), f"{where}.{ITEM}"),
        title=text(first_of(raw, "title", items.title), f"{where}.title"),
        text="\n".join(part for part in parts if part),
        attributes=attributes_of(raw, items.attributes, where),
        hidden=flag(raw.get("hidden"), f"{where}.hidden"),
        properties=properties_of(raw, frozenset(known), where),
        time=now if raw.get(TIME) is None else min(now, to_us(raw[TIME], "auto", "UTC", f"{where}.{TIME}")),
    )


def user_of(raw: Mapping[str, Any], now: int, users: Users, where: str) -> User:
    """One user record; see `item_of`."""
    known = {USER, "id", users.id, "attributes", *users.attributes, TIME, PROPERTIES}
    name = identifier(first_of(raw, USER, users.id, "id"), f"{where}.{USER}")
    return User(name, attributes_of(raw, users.attributes, where), properties_of(raw, frozenset(known), where), now)


def first_of(raw: Mapping[str, Any], *names: str) -> Any:
    return next((raw[name] for name in names if name and raw.get(name) not in (None, "")), None)


def attributes_of(raw: Mapping[str, Any], named: list[str], where: str) -> dict[str, list[str]]:
    """What was sent under `attributes`, and the columns configured as attributes; attributes without a value are left out."""
    inner = raw.get("attributes")
    given = dict(mapping(inner, f"{where}.attributes")) if inner is not None else {}
    given |= {name: raw[name] for name in named if name in raw}
    values = {name: attribute_values(value, f"{where}.attributes.{name}") for name, value in given.items()}
    return storable({name: found for name, found in values.items() if found}, f"{where}.attributes")


def flag(value: Any, where: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise EventError.invalid(where, value, "true or false")
    return value
