"""Routes for those who run a server: health, metrics, releases, rollback, and the API's own description."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from vernal.errors import LogError, RequestError
from vernal.release import Promotion
from vernal.serving.messages import HealthAnswer, ReleaseLine, ReleasesAnswer, RollbackAnswer, RollbackRequest
from vernal.serving.metrics import GAUGES, values
from vernal.serving.openapi import docs_page, openapi_json
from vernal.serving.routes import HTML, Answer, Call, Route, Table, answer
from vernal.serving.service import Service
from vernal.serving.times import rfc3339
from vernal.terms import US_PER_S

STALE_S = 30
CERTIFICATE = "certificate.json"
PAGE_POLICY = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")


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
    return Answer(200, service.meters.text(GAUGES, values(service)).encode(), b"text/plain; version=0.0.4; charset=utf-8")


async def releases(service: Service, _call: Call) -> Answer:
    champion = service.releases.champion()
    manifests = [service.releases.manifest(name) for name in service.releases.names()]
    lines = [ReleaseLine(m.name, rfc3339(m.created_at), m.name == champion, m.metrics, certificate_of(service, m.name)) for m in manifests]
    return answer(ReleasesAnswer(champion, service.champion.name, lines))


def certificate_of(service: Service, name: str) -> Any:
    """What is written of a release beside its manifest, as it is; whether it holds is checked by whoever opens the release."""
    file = service.releases.root / name / CERTIFICATE
    try:
        return msgspec.json.decode(file.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None


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
