"""Segment's routes: its clients send to this server with a write key, which is an ordinary key with the scope `ingest`."""

import msgspec

from vernal.errors import EventError
from vernal.events.schema import Kind
from vernal.events.segment import SUCCESS, Mapped, map_segment
from vernal.serving.ingest import stored
from vernal.serving.routes import Act, Answer, Call, Route, answer, failure
from vernal.serving.service import Service

KINDS = ("track", "page", "screen", "identify", "group", "alias", "batch")


class SegmentAnswer(msgspec.Struct, frozen=True):
    success: bool


def act_of(kind: str) -> Act:
    """Takes one message of a kind, or a batch of any."""

    async def act(service: Service, call: Call) -> Answer:
        mapped = map_segment(call.body, service.clock.now(), service.settings, kind)
        await kept(service, call, mapped)
        if kind != "batch" and mapped.rejections:
            rejection = mapped.rejections[0]
            return failure(EventError("Segment message", where=rejection.where, got=rejection.got, expected=rejection.expected, hint=rejection.hint), 400)
        return answer(SUCCESS)

    return act


async def kept(service: Service, call: Call, mapped: Mapped) -> None:
    """Makes everything of a body durable, rejections as dead letters; a batch is never refused for one bad message."""
    if mapped.events or mapped.rejections:
        await stored(service, call, Kind.EVENTS, [*mapped.events, *mapped.rejections])
    if mapped.users:
        await stored(service, call, Kind.USERS, mapped.users)


ROUTES = [
    Route("POST", f"/v1/{kind}", "ingest", act_of(kind), f"Segment's {kind}; RudderStack and PostHog send the same.", answers=SegmentAnswer, lane="ingest")
    for kind in KINDS
]
