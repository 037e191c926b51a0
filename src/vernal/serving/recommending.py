"""Routes that answer slates: `/v1/recommend` and `/v1/similar`, one pipeline.

In: a request. Out: a slate, whatever is broken. State that cannot be read, time that runs out, a release that is missing or throws:
each lowers the rung, is counted, and is said in the answer; only a request that asks for what does not exist is refused.
"""

import logging
import time
from typing import Any

import msgspec

from vernal.errors import RequestError, StateError
from vernal.features.fold import user_state
from vernal.features.ports import UserState
from vernal.features.records import user_key
from vernal.ranking.ladder import SILENT, Budget, Laps, Rung
from vernal.ranking.recommender import Ranked, Recommender
from vernal.ranking.request import Request
from vernal.serving.answers import Making, slate_answer, slate_record
from vernal.serving.catalogue import not_found
from vernal.serving.interleaved import Interleaved
from vernal.serving.messages import SlateAnswer
from vernal.serving.routes import Answer, Call, Route
from vernal.serving.service import Service
from vernal.terms import HOP_S, US_PER_S

STAGES = ("state", "resolve", "rules", "retrieve", "features", "rank", "slate", "answer", "encode")
SIMILAR = "similar"
decoder = msgspec.json.Decoder(Request)
encoder = msgspec.json.Encoder()
log = logging.getLogger("vernal.serving")


def recommend(service: Service, call: Call) -> Answer:
    return answered(service, decoded(call.body), call.started)


def similar(service: Service, call: Call) -> Answer:
    request = decoded(call.body)
    if not request.item:
        raise RequestError.invalid("$.item", "nothing", "the item to start from")
    if service.live.number(request.item) is None:
        return not_found("item", request.item)
    scenario = SIMILAR if request.scenario == "home" else request.scenario
    return answered(service, msgspec.structs.replace(request, scenario=scenario), call.started)


def decoded(body: bytes) -> Request:
    """The request of a body.

    Raises
    ------
    RequestError
        Not JSON, an unknown field, a field of the wrong type.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message, _, where = str(error).partition(" - at ")
        raise RequestError.invalid(f"body {where.strip('`')}".strip(), message, "a request", "GET /docs lists its fields") from None


def answered(service: Service, request: Request, started: float) -> Answer:
    """The slate of a request as a response."""
    laps = Laps(keep=True) if service.sampled() else SILENT
    slate = made(service, request, started, laps)
    response = Answer(200, encoder.encode(slate))
    laps.lap("encode")
    for stage, taken_us in laps.taken_us.items():
        service.meters.observe("vernal_stage_seconds", stage, seconds=taken_us / 1e6)
    return response


# hot: every branch on settings was decided when the service was assembled
def made(service: Service, request: Request, started: float, laps: Laps = SILENT) -> SlateAnswer:
    """The slate of a request, logged.

    Parameters
    ----------
    started : time.perf_counter() at which its deadline began to run
    """
    now = service.clock.now()
    ticket = service.tickets.next(now)
    user = state_of(service, request.user, now)
    laps.lap("state")
    ends = started + service.settings.serving.deadline_ms / 1_000
    budget = Budget(left_us=lambda: 1e6 * (ends - time.perf_counter()), laps=laps)
    arm = service.arms.of(request.user or ticket.rec_id)
    ranked, failed = ranked_at_any_rung(service, arm.engine, request, user, now, ticket.seed, budget)
    service.meters.count("vernal_rungs_total", ranked.rung)
    if service.settings.serving.log_slates:
        took_us = int(1e6 * (time.perf_counter() - started))
        service.slates.put(slate_record(ranked, request, ticket.rec_id, now, took_us, Making(arm.name, arm.settings, failed)))
    return slate_answer(ranked, request, ticket.rec_id, arm.name)


def state_of(service: Service, user: str, now: int) -> UserState | None:
    """The user as of now; none when the state cannot be read."""
    at = now // US_PER_S // HOP_S * HOP_S
    try:
        record, offset = service.state.get_with_offset(user_key(user)) if user else (None, service.state.offset())
        return user_state(service.plan, record, at, offset)
    except StateError as error:
        log.error("state cannot be read: %s", error)
        service.meters.count("vernal_degraded_total", "state")
        return None


def ranked_at_any_rung(
    service: Service, recommender: Recommender | Interleaved, request: Request, user: UserState | None, now: int, seed: int, budget: Budget
) -> tuple[Ranked, int]:
    """The best slate that can be made, and how often the pipeline threw: it is tried again from a lower rung on."""
    failed = 0
    for best, live in ((budget.best, service.live), (Rung.RETRIEVAL, service.live), (Rung.SEGMENT, service.live)):
        try:
            return recommender.recommend(request, user, live, now, seed, Budget(budget.left_us, best, budget.laps)), failed
        except RequestError:
            raise
        except Exception:  # whatever a damaged part throws, a slate without it is better than an error; the traceback is kept
            failed += 1
            log.exception("the pipeline failed at rung %s", best)
            service.meters.count("vernal_degraded_total", "pipeline")
    return recommender.recommend(request, None, None, now, seed, budget), failed


SLATES: dict[str, Any] = {"body": Request, "answers": SlateAnswer, "lane": "serve", "direct": True}
ROUTES = [
    Route("POST", "/v1/recommend", "serve", recommend, "A slate for a user, or for nobody in particular.", **SLATES),
    Route("POST", "/v1/similar", "serve", similar, "A slate of what is similar to an item.", **SLATES),
]
