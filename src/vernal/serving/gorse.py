"""Gorse's routes, so that its clients work unchanged: feedback, items, users, recommend, neighbours, session recommend.

Feedback is kept like any event, so it cannot be taken back one by one; erasing a user can. `write-back` parameters are accepted and
need nothing: every slate is logged.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from vernal.errors import RequestError
from vernal.events import gorse
from vernal.events.history import HIDDEN
from vernal.events.schema import Event, Item, Kind, User
from vernal.features.records import read_ring, user_key
from vernal.ranking.request import Request
from vernal.serving import ingest, operations
from vernal.serving.catalogue import known_item, known_user, not_found
from vernal.serving.messages import SlateAnswer
from vernal.serving.recommending import made
from vernal.serving.routes import Answer, Call, Route, answer
from vernal.serving.service import Service
from vernal.terms import MAX_N, US_PER_S, VALUE_SCALE

MOST_ROWS = 1_000
LOOKED_THROUGH = 100_000  # items a text search reads
CATEGORIES = "categories"
COUNT = {"n": "how many, default 10", "offset": "how many to skip"}
PAGE = {"n": "how many, default 100", "cursor": "where the page before ended"}


class RowAffected(msgspec.Struct, frozen=True):
    RowAffected: int


# ---- writing


async def put_feedback(service: Service, call: Call) -> Answer:
    return await written(service, call, Kind.EVENTS, gorse.map_feedback(call.body, service.clock.now(), service.settings))


async def put_items(service: Service, call: Call) -> Answer:
    return await written(service, call, Kind.ITEMS, gorse.map_items(call.body, service.clock.now()))


async def put_users(service: Service, call: Call) -> Answer:
    return await written(service, call, Kind.USERS, gorse.map_users(call.body, service.clock.now()))


async def patch_item(service: Service, call: Call) -> Answer:
    try:
        patch = msgspec.json.decode(call.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError.invalid("body", str(error), "an object of item fields") from None
    return await written(service, call, Kind.ITEMS, [gorse.patched(known_item(service, call.parts[0]), call.parts[0], patch, service.clock.now())])


async def delete_item(service: Service, call: Call) -> Answer:
    await ingest.forget_item(service, call)
    return answer(RowAffected(1))


async def delete_user(service: Service, call: Call) -> Answer:
    await ingest.forget_user(service, call)
    return answer(RowAffected(1))


async def delete_feedback(_service: Service, call: Call) -> Answer:
    raise RequestError.invalid(
        "path", "/".join(call.parts), "feedback that stays: events are never changed", "DELETE /api/user/{id} erases a user with all their feedback"
    )


async def written(service: Service, call: Call, kind: Kind, records: list[Any]) -> Answer:
    """Keeps records and says how many; the first refusal is the answer when nothing was kept, as Gorse's clients expect."""
    result = await ingest.stored(service, call, kind, records)
    if result.rejected and not result.accepted + result.duplicates:
        return answer(result, 400)
    return answer(RowAffected(result.accepted + result.duplicates))


# ---- recommending


async def recommend(service: Service, call: Call) -> Answer:
    user, category = (*call.parts, "")[:2]
    return ranking(
        service, call, filtered(service, Request(user=user), category or call.query("category")), call.headers.get(b"x-api-version", b"").decode("latin-1")
    )


async def session_recommend(service: Service, call: Call) -> Answer:
    found = gorse.session_feedback(call.body, service.clock.now(), service.settings)
    session = [event.item for event in sorted(found, key=lambda event: event.time)]
    return ranking(service, call, filtered(service, Request(session=session), (*call.parts, "")[0]), "2")


async def neighbours(service: Service, call: Call) -> Answer:
    return similar_to(service, call, call.parts[0], (*call.parts, "")[1])


async def item_to_item(service: Service, call: Call) -> Answer:
    return similar_to(service, call, call.parts[1], "")


async def popular(service: Service, call: Call) -> Answer:
    return ranking(service, call, filtered(service, Request(), call.query("category")), "2")


async def latest(service: Service, call: Call) -> Answer:
    n, offset = call.whole_number("n", 10, 1, MAX_N), call.whole_number("offset", 0, 0, MAX_N)
    newest = [int(number) for number in service.live.top[-1] if number >= 0][offset : offset + n]
    return answer(gorse.ranked([service.live.id(number) for number in newest], [float(service.live.first_seen[number]) for number in newest], "2"))


def similar_to(service: Service, call: Call, item: str, category: str) -> Answer:
    if service.live.number(item) is None:
        return not_found("item", item)
    return ranking(service, call, filtered(service, Request(item=item, scenario="similar"), category), "2")


def filtered(service: Service, request: Request, category: str) -> Request:
    """The request for one category: of the attribute `categories`, or of the first attribute where there is none of that name."""
    names = service.settings.items.attributes
    if not category or not names:
        return request
    return msgspec.structs.replace(request, filter={CATEGORIES if CATEGORIES in names else names[0]: category})


def ranking(service: Service, call: Call, request: Request, version: str) -> Answer:
    """A slate as Gorse answers it."""
    n, offset = call.whole_number("n", 10, 1, MAX_N), call.whole_number("offset", 0, 0, MAX_N - 1)
    slate: SlateAnswer = made(service, msgspec.structs.replace(request, n=min(MAX_N, n + offset)), call.started)
    items = slate.items[offset:]
    return answer(gorse.ranked([found.item for found in items], [found.score for found in items], version))


# ---- reading


async def get_item(service: Service, call: Call) -> Answer:
    found = known_item(service, call.parts[0])
    return answer(gorse.as_gorse_item(found)) if found else not_found("item", call.parts[0])


async def get_user(service: Service, call: Call) -> Answer:
    kept = service.records.user(call.parts[0])
    known = kept.record if kept else User(call.parts[0]) if known_user(service, call.parts[0]) else None
    return answer(gorse.as_gorse_user(known)) if known else not_found("user", call.parts[0])


async def get_items(service: Service, call: Call) -> Answer:
    n, start = call.whole_number("n", 100, 1, MOST_ROWS), cursor_of(call)
    wanted = call.query("q").lower()
    numbers = searched(service, wanted, n) if wanted else range(start, min(start + n, service.live.n))
    shown = [number for number in numbers if not service.live.flags[number] & HIDDEN]
    ids = [service.live.id(number) for number in shown]
    rows = [gorse.as_gorse_item(kept.record if kept else Item(item)) for item, kept in zip(ids, service.records.items(ids), strict=True)]
    following = str(start + n) if not wanted and start + n < service.live.n else ""
    return answer(gorse.page("Items", rows, following))


def searched(service: Service, wanted: str, n: int) -> list[int]:
    """Items whose id or title contains a text, at most n."""
    live = service.live
    numbers = range(min(live.n, LOOKED_THROUGH))
    return list(islice((number for number in numbers if wanted in live.titles(number).lower() or wanted in live.id(number).lower()), n))


async def get_users(service: Service, call: Call) -> Answer:
    return log_page(service, call, "Users", Kind.USERS)


async def get_feedback(service: Service, call: Call) -> Answer:
    return log_page(service, call, "Feedback", Kind.EVENTS)


def log_page(service: Service, call: Call, name: str, kind: Kind) -> Answer:
    """One page of the log's records of a kind; the cursor is the last offset shown."""
    n = call.whole_number("n", 100, 1, MOST_ROWS)
    page = list(islice(listed(service, kind, cursor_of(call)), n + 1))
    following = str(page[n - 1][0]) if len(page) > n else ""
    return answer(gorse.page(name, [row for _, row in page[:n]], following))


def listed(service: Service, kind: Kind, after: int) -> Iterator[tuple[int, Any]]:
    """(offset, row) of every event, or of every user at their newest record."""
    while batches := list(service.log.read(after, MOST_ROWS, frozenset({kind}))):
        for batch in batches:
            for offset, record in enumerate(batch.records, batch.first):
                if offset > after and (row := row_of(service, record, offset)) is not None:
                    yield offset, row
        after = batches[-1].last


def row_of(service: Service, record: Any, offset: int) -> Any:
    if isinstance(record, Event):
        return gorse.as_gorse_feedback(record)
    kept = service.records.user(record.user)
    return gorse.as_gorse_user(record) if kept is not None and kept.offset == offset else None


async def user_feedback(service: Service, call: Call) -> Answer:
    """The recent events of a user, newest first, from their state."""
    user, kind = (*call.parts, "")[:2]
    names = ["", "", *service.settings.events.types]
    ring = read_ring(service.state.get(user_key(user)))
    rows = [
        gorse.as_gorse_feedback(Event("", names[code], user, service.live.id(int(item)), int(time) * US_PER_S, int(value) / VALUE_SCALE))
        for time, item, code, value in zip(*(part[::-1] for part in (ring.time, ring.item, ring.type, ring.value)), strict=True)
        if 2 <= code < len(names) and item < service.live.n and (not kind or names[code] == kind)
    ]
    return answer(rows)


def cursor_of(call: Call) -> int:
    text = call.query("cursor")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RequestError.invalid("query cursor", text, "a cursor that a page before answered, or nothing")
    return int(text or 0)


async def ready(service: Service, _call: Call) -> Answer:
    problems = [*operations.problems_of(service)]
    return answer({"Ready": not problems, "DataStoreError": "; ".join(problems) or None}, 503 if problems else 200)


ROUTES = [
    *(Route(m, "/api/feedback", "ingest", put_feedback, "Gorse: takes feedback.", answers=RowAffected, lane="ingest") for m in ("POST", "PUT")),
    *(Route("POST", f"/api/{p}", "ingest", put_items, "Gorse: writes items.", answers=RowAffected, lane="ingest") for p in ("item", "items")),
    *(Route("POST", f"/api/{p}", "ingest", put_users, "Gorse: writes users.", answers=RowAffected, lane="ingest") for p in ("user", "users")),
    Route("PATCH", "/api/item/{id}", "ingest", patch_item, "Gorse: changes some fields of an item.", answers=RowAffected, lane="ingest"),
    Route("DELETE", "/api/item/{id}", "ingest", delete_item, "Gorse: takes an item out of every slate.", answers=RowAffected, lane="ingest"),
    Route("DELETE", "/api/user/{id}", "admin", delete_user, "Gorse: erases a user.", answers=RowAffected, lane="ingest"),
    Route("DELETE", "/api/feedback/{user}/{item}", "admin", delete_feedback, "Gorse: refused, with what to do instead."),
    *(Route("GET", f"/api/recommend/{{user}}{p}", "serve", recommend, "Gorse: a slate.", lane="serve", query=COUNT) for p in ("", "/{category}")),
    *(
        Route("POST", f"/api/session/recommend{p}", "serve", session_recommend, "Gorse: a slate for a session.", lane="serve", query=COUNT)
        for p in ("", "/{category}")
    ),
    *(Route("GET", f"/api/item/{{id}}/neighbors{p}", "serve", neighbours, "Gorse: similar items.", lane="serve", query=COUNT) for p in ("", "/{category}")),
    Route("GET", "/api/item-to-item/{name}/{id}", "serve", item_to_item, "Gorse: similar items.", lane="serve", query=COUNT),
    *(
        Route("GET", f"/api/{p}", "serve", popular, "Gorse: a slate for nobody in particular.", lane="serve", query=COUNT)
        for p in ("popular", "non-personalized/{name}")
    ),
    Route("GET", "/api/latest", "serve", latest, "Gorse: the newest items.", query=COUNT),
    Route("GET", "/api/item/{id}", "serve", get_item, "Gorse: one item."),
    Route("GET", "/api/items", "serve", get_items, "Gorse: items by page, or those that contain `q`.", query={**PAGE, "q": "text of an id or title"}),
    Route("GET", "/api/user/{id}", "serve", get_user, "Gorse: one user."),
    Route("GET", "/api/users", "serve", get_users, "Gorse: described users by page.", query=PAGE),
    Route("GET", "/api/feedback", "serve", get_feedback, "Gorse: feedback by page.", query=PAGE),
    *(Route("GET", f"/api/user/{{id}}/feedback{p}", "serve", user_feedback, "Gorse: recent feedback of a user.") for p in ("", "/{type}")),
    Route("GET", "/api/health/live", None, operations.healthz, "Gorse: whether this process lives."),
    Route("GET", "/api/health/ready", None, ready, "Gorse: whether this process should get calls."),
]
