"""Gorse's REST records to ours and back: feedback to events, items and users to catalogue and user records.

Pure mapping. What was sent is kept under the property `gorse`, so that reading it back gives the same record. The labels and categories of an item
become the attributes `labels` and `categories` (a labels object gives one attribute per key): name them in `items.attributes` to use them.

Source: Gorse's REST interface as `PyGorse` speaks it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from vernal.config import Settings
from vernal.errors import RequestError, VernalError
from vernal.events.fields import Rejection, attribute_values, content_id, identifier, mapping, number, storable, text
from vernal.events.schema import Event, Item, User
from vernal.events.times import to_us, written
from vernal.events.wire import any_json, flag
from vernal.terms import MAX_BATCH_EVENTS

KEPT: Final = "gorse"  # the property that holds the record as it was sent
ITEM_FIELDS: Final = ("IsHidden", "Categories", "Timestamp", "Labels", "Comment")


def map_feedback(body: bytes, now: int, settings: Settings) -> list[Event | Rejection]:
    """Feedback of one call: a list, or one object.

    Raises
    ------
    RequestError
        Not JSON, or too many.
    """
    return mapped(body, lambda raw, where: feedback_of(raw, now, settings, where))


def map_items(body: bytes, now: int) -> list[Item | Rejection]:
    """Items of one call: a list, or one object; see `map_feedback`."""
    return mapped(body, lambda raw, where: item_of_gorse(raw, now, where))


def map_users(body: bytes, now: int) -> list[User | Rejection]:
    """Users of one call: a list, or one object; see `map_feedback`."""
    return mapped(body, lambda raw, where: user_of_gorse(raw, now, where))


def mapped(body: bytes, make: Any) -> list[Any]:
    try:
        tree = any_json(body)
    except ValueError as error:
        raise RequestError.invalid("body", str(error), "JSON") from None
    rows = tree if isinstance(tree, list) else [tree]
    if len(rows) > MAX_BATCH_EVENTS:
        raise RequestError.invalid("$", f"{len(rows)} records", f"at most {MAX_BATCH_EVENTS} in one call")
    out: list[Any] = []
    for index, raw in enumerate(rows):
        where = f"$[{index}]"
        try:
            out.append(make(mapping(raw, where), where))
        except VernalError as error:
            out.append(Rejection.of(index, error, raw))
    return out


def feedback_of(raw: Mapping[str, Any], now: int, settings: Settings, where: str) -> Event:
    """One feedback; a value of 0 is Gorse's way of saying none."""
    kind = identifier(raw.get("FeedbackType"), f"{where}.FeedbackType")
    user, item = identifier(raw.get("UserId"), f"{where}.UserId"), identifier(raw.get("ItemId"), f"{where}.ItemId")
    value = number(raw.get("Value"), f"{where}.Value") or None
    given, comment = moment(raw, now, settings.events.timezone, where), text(raw.get("Comment"), f"{where}.Comment")
    properties = {"comment": comment} if comment else None
    identity = content_id((kind, user, item, value, "", "", -1, properties, given))
    return Event(identity, kind, user, item, min(given, now), value, properties=properties)


def moment(raw: Mapping[str, Any], now: int, timezone: str, where: str) -> int:
    given = raw.get("Timestamp")
    return now if given in (None, "") else to_us(given, "auto", timezone, f"{where}.Timestamp")


def item_of_gorse(raw: Mapping[str, Any], now: int, where: str) -> Item:
    categories = attribute_values(raw.get("Categories"), f"{where}.Categories")
    attributes = labels_of(raw.get("Labels"), f"{where}.Labels") | ({"categories": categories} if categories else {})
    comment = text(raw.get("Comment"), f"{where}.Comment")
    return Item(
        item=identifier(raw.get("ItemId"), f"{where}.ItemId"),
        title=comment,
        text=comment,
        attributes=storable(attributes, f"{where}.Labels"),
        hidden=flag(raw.get("IsHidden"), f"{where}.IsHidden"),
        properties={KEPT: storable({name: raw[name] for name in ITEM_FIELDS if raw.get(name) is not None}, where)},
        time=min(now, moment(raw, now, "UTC", where)),
    )


def user_of_gorse(raw: Mapping[str, Any], now: int, where: str) -> User:
    kept = storable({name: raw[name] for name in ("Labels", "Comment", "Subscribe") if raw.get(name) is not None}, where)
    return User(identifier(raw.get("UserId"), f"{where}.UserId"), labels_of(raw.get("Labels"), f"{where}.Labels"), {KEPT: kept}, now)


def labels_of(labels: Any, where: str) -> dict[str, list[str]]:
    """Labels as attributes: a list is `labels`; of an object, every key with plain values is one attribute (embeddings and the like are kept only)."""
    if not isinstance(labels, dict):
        found = attribute_values(labels, where)
        return {"labels": found} if found else {}
    plain = {name: value for name, value in labels.items() if is_plain(value)}
    values = {name: attribute_values(value, f"{where}.{name}") for name, value in plain.items()}
    return {name: found for name, found in values.items() if found}


def is_plain(value: Any) -> bool:
    """Text, or a list of texts: numbers are no categories."""
    return isinstance(value, str | bool) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def patched(item: Item | None, item_id: str, patch: Mapping[str, Any], now: int) -> Item:
    """An item after a PATCH: fields that are null or absent stay."""
    base = dict(as_gorse_item(item)) if item else {}
    return item_of_gorse(base | {name: patch[name] for name in ITEM_FIELDS if patch.get(name) is not None} | {"ItemId": item_id}, now, "$")


def as_gorse_item(item: Item) -> dict[str, Any]:
    """An item as Gorse answers it, also one that came by another way."""
    kept = (item.properties or {}).get(KEPT)
    if isinstance(kept, dict):
        known = kept
    else:
        labels = {name: values for name, values in item.attributes.items() if name != "categories"}
        known = {"Categories": item.attributes.get("categories", []), "Labels": labels, "Comment": item.title}
    blank = {"ItemId": item.item, "IsHidden": item.hidden, "Categories": [], "Timestamp": written(item.time), "Labels": [], "Comment": ""}
    return blank | known | {"ItemId": item.item, "IsHidden": item.hidden}


def as_gorse_user(user: User) -> dict[str, Any]:
    kept = (user.properties or {}).get(KEPT)
    known = kept if isinstance(kept, dict) else {"Labels": user.attributes}
    return {"UserId": user.user, "Labels": [], "Comment": "", "Subscribe": []} | known


def as_gorse_feedback(event: Event) -> dict[str, Any]:
    comment = (event.properties or {}).get("comment", "")
    value = event.value or 0.0
    return {"FeedbackType": event.type, "UserId": event.user, "ItemId": event.item, "Value": value, "Timestamp": written(event.time), "Comment": comment}


def row_affected(n: int) -> dict[str, int]:
    """The answer to every write."""
    return {"RowAffected": n}


def page(name: str, rows: Sequence[Mapping[str, Any]], cursor: str = "") -> dict[str, Any]:
    """One page of a listing; `name` is Items, Users or Feedback."""
    return {"Cursor": cursor, name: list(rows)}


def ranked(ids: Iterable[str], scores: Iterable[float], version: str = "") -> list[Any]:
    """A ranking: scored objects for `X-API-Version: 2`, ids otherwise."""
    return [{"Id": item, "Score": float(score)} for item, score in zip(ids, scores, strict=True)] if version == "2" else list(ids)


def session_feedback(body: bytes, now: int, settings: Settings) -> list[Event]:
    """The events of a session that asks for recommendations; they are not kept, so they need no user.

    Raises
    ------
    RequestError
        Not JSON, or an entry without an item.
    """
    rows = [dict(row) | {"UserId": row.get("UserId") or "session"} for row in rows_of(body)]
    found = map_feedback(msgspec.json.encode(rows), now, settings)
    for one in found:
        if isinstance(one, Rejection):
            raise RequestError.invalid(one.where, one.got, one.expected, one.hint)
    return [one for one in found if isinstance(one, Event)]


def rows_of(body: bytes) -> list[Mapping[str, Any]]:
    try:
        tree = any_json(body)
    except ValueError as error:
        raise RequestError.invalid("body", str(error), "JSON") from None
    rows = tree if isinstance(tree, list) else [tree]
    return [mapping(row, f"$[{index}]") for index, row in enumerate(rows)]
