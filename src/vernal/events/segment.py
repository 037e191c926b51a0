"""Segment v2 messages (`track`, `page`, `screen`, `identify`, `batch`) to events and users; RudderStack and PostHog send the same.

Pure mapping: a body in, records and rejections out. `group` and `alias` are accepted and not kept. An e-commerce event about several products
becomes one event per product, each with its own id, so a repeated delivery repeats nothing.

Source: Segment's tracking specification and its version 2 e-commerce events, as `segment-analytics-python` sends them.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from vernal.config import Settings
from vernal.errors import EventError, RequestError, VernalError
from vernal.events.fields import Rejection, attribute_values, identifier, mapping, number, optional_identifier, storable
from vernal.events.schema import Event, User
from vernal.events.times import to_us
from vernal.events.wire import any_json, event_at
from vernal.terms import ANONYMOUS_ID, EVENT_ID, IMPRESSION, ITEM, MAX_BATCH_EVENTS, POSITION, PROPERTIES, REC_ID, SESSION, TYPE, US_PER_S, USER, VALUE

# The e-commerce names and what they are here; a name that vernal.toml has among its event types stands for itself.
NAMES: Final = {
    "product viewed": "view",
    "product clicked": "click",
    "product list viewed": IMPRESSION,
    "product list filtered": IMPRESSION,
    "product added": "add_to_cart",
    "product removed": "remove_from_cart",
    "product added to wishlist": "wishlist",
    "product shared": "share",
    "product reviewed": "review",
    "order completed": "purchase",
    "order refunded": "refund",
    "order cancelled": "refund",
    "products searched": "search",
}
ACCEPTED: Final = frozenset({"track", "page", "screen", "identify", "group", "alias"})
SKEW_US: Final = 60 * US_PER_S  # a sender whose clock is further off than this is corrected by its sentAt
SUCCESS: Final[Mapping[str, bool]] = {"success": True}  # what the clients expect back
PER_PRODUCT: Final = ("product_id", "sku", "price", "quantity", "position")


class Mapped(msgspec.Struct):
    """What a Segment body holds."""

    events: list[Event] = []
    users: list[User] = []
    rejections: list[Rejection] = []
    ignored: int = 0  # group and alias


def map_segment(body: bytes, now: int, settings: Settings, kind: str = "batch") -> Mapped:
    """The records of one call.

    Parameters
    ----------
    body
        JSON: one message, or `{"batch": [...], "sentAt": ...}`.
    now
        UTC us.
    settings
        Names the event types and the user attributes.
    kind
        The route it came by: "batch", or the type of the one message.

    Raises
    ------
    RequestError
        Not JSON, no batch in it, or more than `MAX_BATCH_EVENTS` messages.

    Cost: about 10 us per event.
    """
    tree = tree_of(body)
    messages = tree.get("batch") if kind == "batch" else [tree]
    if not isinstance(messages, list):
        raise RequestError.invalid("$.batch", messages, "a list of messages")
    if len(messages) > MAX_BATCH_EVENTS:
        raise RequestError.invalid("$.batch", f"{len(messages)} messages", f"at most {MAX_BATCH_EVENTS}")
    mapped = Mapped()
    for index, message in enumerate(messages):
        where = f"$.batch[{index}]" if kind == "batch" else "$"
        try:
            add_message(mapped, mapping(message, where), kind, Context(now, tree.get("sentAt"), settings, where))
        except VernalError as error:
            mapped.rejections.append(Rejection.of(index, error, message))
    return mapped


def tree_of(body: bytes) -> Mapping[str, Any]:
    try:
        tree = any_json(body)
    except ValueError as error:
        raise RequestError.invalid("body", str(error), "JSON") from None
    if not isinstance(tree, dict):
        raise RequestError.invalid("body", tree, "a JSON object")
    return tree


class Context(msgspec.Struct, frozen=True):
    """What every message of one call shares."""

    now: int
    sent_at: Any
    settings: Settings
    where: str


def add_message(mapped: Mapped, message: Mapping[str, Any], kind: str, context: Context) -> None:
    """Adds one message's records; all of them or none."""
    what = message.get("type") or kind
    if what not in ACCEPTED:
        raise EventError.invalid(f"{context.where}.type", what, f"one of {', '.join(sorted(ACCEPTED))}")
    if what in ("group", "alias"):
        mapped.ignored += 1
    elif what == "identify":
        mapped.users.append(user_from(message, context))
    else:
        mapped.events += list(events_from(message, what, context))


def user_from(message: Mapping[str, Any], context: Context) -> User:
    """An identify call; traits that vernal.toml names are attributes, the others properties."""
    where, named = context.where, context.settings.users.attributes
    traits = dict(mapping(message.get("traits") or {}, f"{where}.traits"))
    attributes = {name: attribute_values(traits.pop(name), f"{where}.traits.{name}") for name in named if name in traits}
    user = identifier(message.get("userId") or message.get("anonymousId"), f"{where}.userId")
    attributes = {name: values for name, values in attributes.items() if values}
    return User(user, storable(attributes, f"{where}.traits"), storable(traits, f"{where}.traits") or None, time_of(message, context))


def time_of(message: Mapping[str, Any], context: Context) -> int:
    """When it happened: the sender's timestamp, moved by the sender's clock error where `sentAt` shows one; never after now."""
    given = message.get("timestamp") or message.get("originalTimestamp")
    if given is None:
        return context.now
    at = to_us(given, "auto", "UTC", f"{context.where}.timestamp")
    sent = message.get("sentAt") or context.sent_at
    if sent is not None:
        skew = context.now - to_us(sent, "auto", "UTC", "$.sentAt")
        at += skew if abs(skew) > SKEW_US else 0
    return max(0, min(at, context.now))


def events_from(message: Mapping[str, Any], what: str, context: Context) -> Iterator[Event]:
    """The events of a track, page or screen message: one, or one per product."""
    properties = dict(mapping(message.get("properties") or {}, f"{context.where}.properties"))
    properties |= {name: message[name] for name in ("name", "category") if what != "track" and message.get(name)}
    products = properties.pop("products", None) if what == "track" else None
    shared = {
        TYPE: type_of(message, what, context),
        USER: message.get("userId"),
        ANONYMOUS_ID: message.get("anonymousId"),
        SESSION: properties.pop("session_id", None) or nested(message, "context", "sessionId"),
        REC_ID: properties.pop("rec_id", None),
    }
    several, time = isinstance(products, list) and bool(products), time_of(message, context)
    for index, product in enumerate(products if isinstance(products, list) and products else [properties]):
        where = f"{context.where}.properties" + (f".products[{index}]" if several else "")
        own = dict(mapping(product, where))
        identity = message_id(message, index if several else -1, context.where)
        fields = shared | product_fields(own, index if several else None, where) | {EVENT_ID: identity, PROPERTIES: (properties if several else {}) | own}
        yield event_at({name: value for name, value in fields.items() if value is not None}, time, context.now, str(what), context.where)


def message_id(message: Mapping[str, Any], index: int, where: str) -> str | None:
    given = optional_identifier(message.get("messageId"), f"{where}.messageId")
    return (f"{given}#{index}" if index >= 0 else given) or None


def product_fields(product: dict[str, Any], index: int | None, where: str) -> dict[str, Any]:
    """Item, value and position of a product; its fields that were understood leave `product`."""
    understood = {name: product.pop(name, None) for name in PER_PRODUCT}
    price, quantity = number(numeric(understood["price"]), f"{where}.price"), number(numeric(understood["quantity"]), f"{where}.quantity")
    rating = number(numeric(product.get("rating")), f"{where}.rating")
    value = price * (1.0 if quantity is None else quantity) if price is not None else rating
    place = understood["position"] if index is None else index
    return {ITEM: understood["product_id"] or understood["sku"], VALUE: value, POSITION: place if isinstance(place, int) and place >= 0 else None}


def numeric(value: Any) -> Any:
    """A number that came as text, as many shops send prices."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", value):
        return float(value)
    return value


def type_of(message: Mapping[str, Any], what: str, context: Context) -> str:
    """The event type of a message: a configured name as it is, an e-commerce name as ours, any other in snake_case."""
    if what != "track":
        return str(what)
    name = identifier(message.get("event"), f"{context.where}.event")
    snake = "_".join(re.findall(r"\w+", name.lower()))
    known = context.settings.events.types
    if name in known or snake in known:
        return name if name in known else snake
    return NAMES.get(" ".join(re.findall(r"\w+", name.lower())), snake or name)


def nested(message: Mapping[str, Any], *path: str) -> Any:
    found: Any = message
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, str | int) else None


def write_key(authorization: str, body: bytes = b"") -> str:
    """The write key of a call: the user name of its basic authorisation, else `writeKey` in its body; "" when there is none.

    >>> write_key("Basic V0s6")
    'WK'
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(encoded, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    try:
        found = any_json(body).get("writeKey", "") if body else ""
    except (ValueError, AttributeError):
        return ""
    return found if isinstance(found, str) else ""


def failure(error: VernalError) -> dict[str, str]:
    """An error as Segment's clients read it."""
    return {"code": error.code, "message": error.sentence()}
