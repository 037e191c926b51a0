"""Routes for those who run a server: health, metrics, releases, rollback, and the API's own description."""

from collections.abc import Iterator
from functools import lru_cache

import msgspec

from vernal.errors import LogError, RequestError
from vernal.ranking.ladder import Rung
from vernal.release import Promotion
from vernal.serving.messages import HealthAnswer, ReleaseLine, ReleasesAnswer, RollbackAnswer, RollbackRequest
from vernal.serving.meters import Gauge, Layout, Meter
from vernal.serving.openapi import docs_page, openapi_json
from vernal.serving.recommending import STAGES
from vernal.serving.routes import HTML, Answer, Call, Route, Table, answer
from vernal.serving.service import Service
from vernal.serving.times import rfc3339
from vernal.terms import US_PER_S

STALE_S = 30
PAGE_POLICY = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")


def layout(table: Table) -> Layout:
    """Every counter and histogram of a server with these routes."""
    names = tuple(route.name for route in table.routes)
    return Layout(
        [
            Meter("vernal_requests_total", "calls by route and class of status", {"route": names, "status": ("2xx", "4xx", "5xx")}),
            Meter("vernal_request_seconds", "time from the first byte of a call to its answer", {"route": names}, histogram=True),
            Meter("vernal_stage_seconds", "time one stage of a slate took; one answer in 16 is timed", {"stage": STAGES}, histogram=True),
            Meter("vernal_shed_total", "calls turned away with 429 before any work", {"lane": ("serve", "ingest")}),
            Meter("vernal_internal_errors_total", "answers 500; each has a traceback in the server's log"),
            Meter("vernal_rungs_total", "slates by the rung that answered", {"rung": tuple(Rung)}),
            Meter("vernal_degraded_total", "answers that fell because a part broke", {"part": ("state", "pipeline")}),
            Meter("vernal_records_total", "records received", {"kind": ("events", "items", "users"), "result": ("accepted", "duplicate", "rejected")}),
            Meter("vernal_unapplied_total", "acknowledged batches that the stream worker had not folded within the wait"),
            Meter("vernal_slates_total", "slates appended to the log"),
            Meter("vernal_slates_lost_total", "slates dropped because the log could not take them"),
            Meter("vernal_release_swaps_total", "changes of the release that answers"),
            Meter("vernal_release_failures_total", "promoted releases that could not be opened"),
        ]
    )


def gauges(service: Service) -> Iterator[Gauge]:
    """What is read at scrape time."""
    now = service.clock.now()
    yield Gauge("vernal_log_offset", "newest record of the log", service.log.end())
    yield Gauge("vernal_state_offset", "newest record that user state reflects", service.state.offset())
    yield Gauge("vernal_live_offset", "newest record that item tables reflect", service.live.offset)
    yield Gauge("vernal_live_age_seconds", "age of the item tables' read-outs", now / US_PER_S - service.live.hop)
    yield Gauge("vernal_items", "items known", service.live.n)
    name = service.champion.name
    if name:
        made = service.releases.manifest(name).created_at
        yield Gauge("vernal_release_age_seconds", "age of the release that answers", (now - made) / US_PER_S, {"release": name})


async def healthz(_service: Service, _call: Call) -> Answer:
    return answer(HealthAnswer("alive"))


async def readyz(service: Service, _call: Call) -> Answer:
    problems = [*problems_of(service)]
    return answer(HealthAnswer("not ready" if problems else "ready", problems), 503 if problems else 200)


def problems_of(service: Service) -> Iterator[str]:
    """Why a load balancer should not send calls here; nothing when it should."""
    if service.draining:
        yield "draining: this process is about to stop"
    try:
        behind = service.log.end() - service.state.offset()
    except LogError as error:
        yield str(error)
        return
    if behind > 0 and service.clock.now() - service.live.hop * US_PER_S > STALE_S * US_PER_S + 300 * US_PER_S:
        yield f"stale: state is {behind} records behind the log"


async def metrics(service: Service, _call: Call) -> Answer:
    return Answer(200, service.meters.text(gauges(service)).encode(), b"text/plain; version=0.0.4; charset=utf-8")


async def releases(service: Service, _call: Call) -> Answer:
    champion = service.releases.champion()
    manifests = [service.releases.manifest(name) for name in service.releases.names()]
    lines = [ReleaseLine(m.name, rfc3339(m.created_at), m.name == champion, m.metrics) for m in manifests]
    return answer(ReleasesAnswer(champion, service.champion.name, lines))


async def rollback(service: Service, call: Call) -> Answer:
    try:
        asked = msgspec.json.decode(call.body or b"{}", type=RollbackRequest)
    except msgspec.DecodeError as error:
        raise RequestError.invalid("body", str(error), '{"reason": "..."} or nothing') from None
    before = service.releases.champion() or ""
    promotion: Promotion = service.releases.roll_back(asked.reason)
    return answer(RollbackAnswer(before, promotion.release, promotion.number))


@lru_cache(maxsize=1)
def described(table: Table) -> tuple[bytes, bytes]:
    return openapi_json(table.routes), docs_page(table.routes).encode()


async def openapi_text(service: Service, _call: Call) -> Answer:
    assert service.table is not None
    return Answer(200, described(service.table)[0])


async def docs(service: Service, _call: Call) -> Answer:
    assert service.table is not None
    return Answer(200, described(service.table)[1], HTML, (PAGE_POLICY,))


ROUTES = [
    Route("GET", "/healthz", None, healthz, "Whether this process lives.", answers=HealthAnswer),
    Route("GET", "/readyz", None, readyz, "Whether this process should get calls; 503 with the reasons when not.", answers=HealthAnswer),
    Route("GET", "/metrics", "serve", metrics, "Counters of all processes of this server, in Prometheus' text form."),
    Route("GET", "/v1/releases", "serve", releases, "Kept releases, the one in charge, and how good each is.", answers=ReleasesAnswer),
    Route("POST", "/v1/rollback", "admin", rollback, "Puts the previous release back in charge.", body=RollbackRequest, answers=RollbackAnswer),
    Route("GET", "/openapi.json", None, openapi_text, "This API as OpenAPI 3.1."),
    Route("GET", "/docs", None, docs, "This API as a page."),
]
