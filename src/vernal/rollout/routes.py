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
from vernal.rollout.experiments import Asked, Comparison, read_comparisons, results_of, start, stop
from vernal.rollout.gate import open_alarms, promote
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.shares import traffic_of
from vernal.rollout.status import Status, status_of
from vernal.rollout.trying import Look, Step, abort, hold, read_look, steps_of
from vernal.serving.routes import Act, Answer, Call, Route, answer
from vernal.serving.traffic import Canary, Experiment

MONITORING = "monitoring"
ADMINISTRATOR = "an administrator over HTTP"
STEPS = 50  # newest of what happened that are told
Body = TypeVar("Body")


class PromoteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    release: Annotated[str, Meta(description="a kept release with a certificate that passed", max_length=200)]
    reason: Annotated[str, Meta(description="kept with the promotion", max_length=500)] = "asked for over HTTP"


class PromoteAnswer(msgspec.Struct, frozen=True):
    before: str
    after: str
    number: int


class ReasonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(description="kept with the change", max_length=500)] = "asked for over HTTP"


class HoldRequest(ReasonRequest, frozen=True, forbid_unknown_fields=True):
    held: Annotated[bool, Meta(description="false lets the keeper go on")] = True


class CanaryAnswer(msgspec.Struct, frozen=True):
    canary: Annotated[Canary | None, Meta(description="what is on trial now")]
    look: Annotated[Look | None, Meta(description="what the last look at the newest one saw")]
    steps: Annotated[list[Step], Meta(description="what happened, newest last")]


class ExperimentsAnswer(msgspec.Struct, frozen=True):
    running: Annotated[list[Comparison], Meta(description="as the keeper saw them last; `holdout` is the uplift over the best non-personalised list")]
    stopped: list[Comparison]


class AcknowledgeAnswer(msgspec.Struct, frozen=True):
    standing: Annotated[int, Meta(description="alarms that stood; the keeper takes the word at its next look")]


def rollout_routes(space: RolloutSpace) -> list[Route]:
    """The routes on a space."""
    status = threaded(lambda _: status_of(space))
    drifted = threaded(lambda _: Watchman(space, space.data / MONITORING).report())
    promoted = threaded(lambda call: put_in_charge(space, call))
    tried = threaded(lambda _: CanaryAnswer(traffic_of(space).canary, read_look(space.data), steps_of(space.data).all(STEPS)))
    holding = threaded(lambda call: held(space, call))
    aborted = threaded(lambda call: abort(space, ADMINISTRATOR, body_of(call, ReasonRequest).reason))
    found = threaded(lambda _: ExperimentsAnswer(read_comparisons(space.data), results_of(space.data).all(STEPS)))
    begun = threaded(lambda call: start(space, ADMINISTRATOR, body_of(call, Asked)))
    stopped = threaded(lambda call: stop(space, ADMINISTRATOR, call.parts[0]))
    seen = threaded(lambda call: acknowledged(space, call))
    return [
        Route("GET", "/v1/status", "serve", status, "How it stands: the release in charge, the next training and why, staleness, holds.", answers=Status),
        Route("GET", "/v1/drift", "serve", drifted, "What is not as usual, how much and since when; or how much the silence says.", answers=DriftReport),
        Route("POST", "/v1/promote", "admin", promoted, "Puts a release that passed the gate in charge.", body=PromoteRequest, answers=PromoteAnswer),
        Route("GET", "/v1/canary", "serve", tried, "The release on trial: who meets it, what the last look saw, every step so far.", answers=CanaryAnswer),
        Route("POST", "/v1/canary/hold", "admin", holding, "Keeps the share of the release on trial, or lets it go on.", body=HoldRequest, answers=Canary),
        Route("POST", "/v1/canary/abort", "admin", aborted, "Takes the release on trial away from everybody.", body=ReasonRequest, answers=Canary),
        Route("GET", "/v1/experiments", "serve", found, "The holdout's uplift and every experiment, with intervals.", answers=ExperimentsAnswer),
        Route("POST", "/v1/experiments", "admin", begun, "Begins an experiment.", body=Asked, answers=Experiment),
        Route("POST", "/v1/experiments/{name}/stop", "admin", stopped, "Ends an experiment, and keeps what it found.", answers=Comparison),
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
    promotion = promote(space, asked.release, asked.reason, by=ADMINISTRATOR, holds=open_alarms(space))
    return PromoteAnswer(before, promotion.release, promotion.number)


def held(space: RolloutSpace, call: Call) -> Canary:
    asked = body_of(call, HoldRequest)
    return hold(space, ADMINISTRATOR, asked.reason, held=asked.held)


def acknowledged(space: RolloutSpace, call: Call) -> AcknowledgeAnswer:
    """Leaves the word for the keeper."""
    asked, folder = body_of(call, Acknowledgement), space.data / MONITORING
    standing = len(Watchman(space, folder).standing_alarms)
    if standing:
        ask(folder, asked, space.clock.now())
    return AcknowledgeAnswer(standing)


def body_of(call: Call, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(call.body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise RequestError.invalid("body", str(error), "a body as /docs describes it") from None
