"""Routes that read one item or user back."""

from vernal.errors import RequestError
from vernal.events.history import HIDDEN
from vernal.events.schema import Item, User
from vernal.features.records import read_ring, user_key
from vernal.serving.messages import ItemAnswer, UserAnswer
from vernal.serving.routes import Answer, Call, Route, answer, failure
from vernal.serving.service import Service
from vernal.serving.times import rfc3339


async def item(service: Service, call: Call) -> Answer:
    found = known_item(service, call.parts[0])
    return answer(item_answer(found)) if found else not_found("item", call.parts[0])


async def user(service: Service, call: Call) -> Answer:
    found = known_user(service, call.parts[0])
    return answer(found) if found else not_found("user", call.parts[0])


def known_item(service: Service, item: str) -> Item | None:
    """The newest record of an item; an empty one when events mention an item that nobody described."""
    kept = service.records.item(item)
    if kept is not None:
        return kept.record
    number = service.live.number(item)
    deleted = number is None or service.live.flags[number] & HIDDEN
    return None if deleted else Item(item)


def known_user(service: Service, user: str) -> UserAnswer | None:
    """A user who was described or did something."""
    kept = service.records.user(user)
    record = kept.record if kept else User(user)
    events = len(read_ring(service.state.get(user_key(user))).time)
    if kept is None and not events:
        return None
    return UserAnswer(user=user, attributes=record.attributes, properties=record.properties, time=rfc3339(record.time), events=events)


def item_answer(record: Item) -> ItemAnswer:
    return ItemAnswer(
        item=record.item,
        title=record.title,
        text=record.text,
        attributes=record.attributes,
        hidden=record.hidden,
        properties=record.properties,
        time=rfc3339(record.time),
    )


def not_found(what: str, name: str) -> Answer:
    return failure(RequestError.unknown(what, name, []), 404)


ROUTES = [
    Route("GET", "/v1/items/{id}", "serve", item, "The newest record of an item.", answers=ItemAnswer),
    Route("GET", "/v1/users/{id}", "serve", user, "The newest record of a user.", answers=UserAnswer),
]
