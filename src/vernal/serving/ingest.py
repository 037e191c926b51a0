"""Routes that take records: events, items, users and erasures; durable when answered, and known to the next recommendation.

In: bodies that `events.wire` reads. Out: what became of every record. A bad record goes to the dead letters with its reason and
takes no other with it. An answer waits, at most 0.1 s, until the state reflects what it acknowledges.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from vernal.errors import RequestError
from vernal.events.fields import Rejection, identifier
from vernal.events.schema import Erasure, Event, Item, Kind, Receipt
from vernal.events.wire import decode_events, decode_items, decode_users
from vernal.serving.messages import EventRecord, ItemRecord, Problem, RecordResult, RecordsAnswer, UserRecord
from vernal.serving.routes import Answer, Call, Route, answer
from vernal.serving.service import Service
from vernal.terms import ITEM, USER

NAMES = {Kind.EVENTS: "events", Kind.ITEMS: "items", Kind.USERS: "users", Kind.ERASURES: "users"}
LARGE_BODY_BYTES = 65_536
ERASURE_S = 10.0  # an erasure folds the items' counts anew from the log


async def events(service: Service, call: Call) -> Answer:
    made = await decoded(decode_events, call.body, service.clock.now(), service.settings.events)
    return await taken(service, call, Kind.EVENTS, made)


async def items(service: Service, call: Call) -> Answer:
    made = await decoded(decode_items, call.body, service.clock.now(), service.settings.items)
    return await taken(service, call, Kind.ITEMS, made)


async def users(service: Service, call: Call) -> Answer:
    made = await decoded(decode_users, call.body, service.clock.now(), service.settings.users)
    return await taken(service, call, Kind.USERS, made)


async def item(service: Service, call: Call) -> Answer:
    made = decode_items(named(call, ITEM), service.clock.now(), service.settings.items)
    return await taken(service, call, Kind.ITEMS, made)


async def user(service: Service, call: Call) -> Answer:
    made = decode_users(named(call, USER), service.clock.now(), service.settings.users)
    return await taken(service, call, Kind.USERS, made)


async def forget_item(service: Service, call: Call) -> Answer:
    gone = Item(identifier(call.parts[0], "path id"), deleted=True, time=service.clock.now())
    return await taken(service, call, Kind.ITEMS, [gone])


async def forget_user(service: Service, call: Call) -> Answer:
    gone = Erasure(identifier(call.parts[0], "path id"), service.clock.now())
    return await taken(service, call, Kind.ERASURES, [gone])


async def decoded(decode: Any, body: bytes, now: int, settings: Any) -> list[Any]:
    """Records of a body; a large one is read on a thread, so that it does not hold up answers."""
    if len(body) > LARGE_BODY_BYTES:
        return list(await asyncio.to_thread(decode, body, now, settings))
    return list(decode(body, now, settings))


def named(call: Call, name: str) -> bytes:
    """The one record of a body, with the id of its path."""
    try:
        record = msgspec.json.decode(call.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError.invalid("body", str(error), "one JSON object") from None
    if not isinstance(record, dict):
        raise RequestError.invalid("body", type(record).__name__, "one JSON object")
    return msgspec.json.encode({**record, name: call.parts[0]})


async def taken(service: Service, call: Call, kind: Kind, made: Sequence[Any]) -> Answer:
    """Appends the good records, keeps the bad ones as dead letters, and answers once both are durable."""
    result = await stored(service, call, kind, made)
    return answer(result, 400 if result.rejected and not result.accepted and not result.duplicates else 200)


async def stored(service: Service, call: Call, kind: Kind, made: Sequence[Any]) -> RecordsAnswer:
    """Does what `taken` says, for routes with an answer of their own."""
    good = [record for record in made if not isinstance(record, Rejection)]
    bad = [record for record in made if isinstance(record, Rejection)]
    if bad:
        await asyncio.to_thread(service.dead_letters.put, call.route, kind, bad)
    receipts = await service.appends.append(kind, good) if good else []
    waited = service.applied if kind is Kind.EVENTS else service.recorded
    applied = await waited.reached(max((r.offset for r in receipts), default=0), ERASURE_S if kind is Kind.ERASURES else None)
    result = summary(made, receipts, applied)
    counted(service, NAMES[kind], result)
    return result


def counted(service: Service, name: str, result: RecordsAnswer) -> None:
    service.meters.count("vernal_records_total", name, "accepted", by=result.accepted)
    service.meters.count("vernal_records_total", name, "duplicate", by=result.duplicates)
    service.meters.count("vernal_records_total", name, "rejected", by=result.rejected)
    if not result.applied:
        service.meters.count("vernal_unapplied_total")


def summary(made: Sequence[Any], receipts: Sequence[Receipt], applied: bool) -> RecordsAnswer:
    """One result per record, in the order they came."""
    following = iter(receipts)
    results = [refused(record) if isinstance(record, Rejection) else accepted(record, next(following)) for record in made]
    duplicates = sum(receipt.duplicate for receipt in receipts)
    return RecordsAnswer(len(receipts) - duplicates, duplicates, len(made) - len(receipts), applied, results)


def accepted(record: Any, receipt: Receipt) -> RecordResult:
    return RecordResult("duplicate" if receipt.duplicate else "accepted", receipt.offset, record.event_id if isinstance(record, Event) else None)


def refused(rejection: Rejection) -> RecordResult:
    problem = Problem(rejection.code, rejection.message, rejection.where, rejection.expected, rejection.hint)
    return RecordResult("rejected", error=problem)


ROUTES = [
    Route(
        "POST",
        "/v1/events",
        "ingest",
        events,
        'Takes 1 to 1,000 events: an object, an array, {"events": [...]}, one JSON object per line, or CloudEvents.',
        body=list[EventRecord] | EventRecord,
        answers=RecordsAnswer,
        lane="ingest",
    ),
    Route(
        "PUT",
        "/v1/items",
        "ingest",
        items,
        "Writes 1 to 1,000 items; each replaces the one before it whole.",
        body=list[ItemRecord],
        answers=RecordsAnswer,
        lane="ingest",
    ),
    Route("PUT", "/v1/items/{id}", "ingest", item, "Writes one item.", body=ItemRecord, answers=RecordsAnswer, lane="ingest"),
    Route("DELETE", "/v1/items/{id}", "ingest", forget_item, "Takes an item out of every slate.", answers=RecordsAnswer, lane="ingest"),
    Route("PUT", "/v1/users", "ingest", users, "Writes 1 to 1,000 users.", body=list[UserRecord], answers=RecordsAnswer, lane="ingest"),
    Route("PUT", "/v1/users/{id}", "ingest", user, "Writes one user.", body=UserRecord, answers=RecordsAnswer, lane="ingest"),
    Route("DELETE", "/v1/users/{id}", "admin", forget_user, "Erases a user.", answers=RecordsAnswer, lane="ingest"),
]
