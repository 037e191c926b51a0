"""What those who run a server ask of the rollout over HTTP: how it stands, what drifted; and what only a person may decide.

In: the space of an API worker. Out: routes, handed to serving like the console's. Every answer is made on a thread, from files: no slate waits for one.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from vernal.errors import RequestError
from vernal.monitoring.drift import DriftReport
from vernal.monitoring.watchman import Watchman
from vernal.rollout.acknowledging import Acknowledgement, ask
from vernal.rollout.gate import promote
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.status import Status, status_of
from vernal.serving.routes import Act, Answer, Call, Route, answer

MONITORING = "monitoring"
Body = TypeVar("Body")


class PromoteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    release: Annotated[str, Meta(description="a kept release with a certificate that passed", max_length=200)]
    reason: Annotated[str, Meta(description="kept with the promotion", max_length=500)] = "asked for over HTTP"


class PromoteAnswer(msgspec.Struct, frozen=True):
    before: str
    after: str
    number: int


class AcknowledgeAnswer(msgspec.Struct, frozen=True):
    standing: Annotated[int, Meta(description="alarms that stood; the keeper takes the word at its next look")]


def rollout_routes(space: RolloutSpace) -> list[Route]:
    """The routes on a space."""
    status = threaded(lambda _: status_of(space))
    drifted = threaded(lambda _: Watchman(space, space.data / MONITORING).report())
    promoted = threaded(lambda call: put_in_charge(space, call))
    seen = threaded(lambda call: acknowledged(space, call))
    return [
        Route("GET", "/v1/status", "serve", status, "How it stands: the release in charge, the next training and why, staleness, holds.", answers=Status),
        Route("GET", "/v1/drift", "serve", drifted, "What is not as usual, how much and since when; or how much the silence says.", answers=DriftReport),
        Route("POST", "/v1/promote", "admin", promoted, "Puts a release that passed the gate in charge.", body=PromoteRequest, answers=PromoteAnswer),
        Route("POST", "/v1/acknowledge", "admin", seen, "Says that alarms were seen and dealt with.", body=Acknowledgement, answers=AcknowledgeAnswer),
    ]


def threaded(made: Callable[[Call], Any]) -> Act:
    """An act whose answer is made on a thread."""

    async def act(_service: Any, call: Call) -> Answer:
        return answer(await asyncio.to_thread(made, call))

    return act


def put_in_charge(space: RolloutSpace, call: Call) -> PromoteAnswer:
    asked = body_of(call, PromoteRequest)
    before = space.releases.champion() or ""
    promotion = promote(space, asked.release, asked.reason, by="an administrator over HTTP")
    return PromoteAnswer(before, promotion.release, promotion.number)


def acknowledged(space: RolloutSpace, call: Call) -> AcknowledgeAnswer:
    """Leaves the word for the keeper."""
    asked, folder = body_of(call, Acknowledgement), space.data / MONITORING
    standing = len(Watchman(space, folder).standing_alarms)
    if standing:
        ask(folder, asked, space.clock.now())
    return AcknowledgeAnswer(standing)


def body_of(call: Call, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(call.body, type=kind)
    except msgspec.DecodeError as error:
        raise RequestError.invalid("body", str(error), "a body as /docs describes it") from None
