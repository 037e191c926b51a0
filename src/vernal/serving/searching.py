"""Routes that answer what matches a text: `/v1/search`, the pipeline of `/v1/recommend` with a query, and `/v1/suggest` while it is being typed.

In: a text and a request. Out: a logged slate of what matches, with facets and highlights where they are asked for. An index of texts that is missing or damaged
is said in the notes; what the other leg finds is answered.
"""

import logging

import msgspec

from vernal.errors import RequestError, StateError
from vernal.events.history import HIDDEN
from vernal.ranking.request import Request
from vernal.retrieval.lexical import pair
from vernal.serving.messages import SearchAnswer, SlateItem, SuggestAnswer, Suggestion
from vernal.serving.recommending import SLATES, decoded, made
from vernal.serving.routes import Answer, Call, Route
from vernal.serving.service import Service

SEARCH = "search"
MOST_SUGGESTED = 50
SPARE = 10  # suggestions beyond those wanted, for some may be hidden
TYPED = {"q": "the text so far", "n": f"how many, 1 to {MOST_SUGGESTED}; default 8"}
encoder = msgspec.json.Encoder()
log = logging.getLogger("vernal.serving")


def search(service: Service, call: Call) -> Answer:
    """A slate of what matches; an empty text asks for a feed."""
    given = decoded(call.body)
    request = msgspec.structs.replace(given, q=given.q.strip(), scenario=SEARCH if given.scenario == "home" else given.scenario)
    for attribute in request.facets:
        if attribute not in service.plan.attributes:
            raise RequestError.unknown("facet", attribute, service.plan.attributes)
    slate = made(service, request, call.started)
    if request.q:
        service.meters.count("vernal_searches_total", "found" if slate.items else "nothing")
    counts: dict[str, dict[str, int]] = {}
    items = slate.items
    try:
        if request.facets and request.q:
            counts = {name: dict(values) for name, values in service.lexical.facets(request.q, request.facets, clauses=clauses_of(service, request)).items()}
        items = [highlighted(service, item, request) for item in items] if request.highlight and request.q else items
    except StateError as error:
        log.error("texts cannot be read: %s", error)
        service.meters.count("vernal_degraded_total", "texts")
        slate = msgspec.structs.replace(slate, notes=[*slate.notes, "facets, highlights: the index of texts cannot be read"])
    found = SearchAnswer(slate.rec_id, slate.release, slate.scenario, slate.arm, slate.rung, items, slate.notes, counts)
    return Answer(200, encoder.encode(found))


def clauses_of(service: Service, request: Request) -> list[list[str]]:
    """The filters of the scenario and of the request, as the index of words knows them."""
    filters = [*service.settings.scenario(request.scenario).filter.items(), *request.filter.items()]
    return [[pair(name, value) for value in ([values] if isinstance(values, str) else values)] for name, values in filters]


def highlighted(service: Service, item: SlateItem, request: Request) -> SlateItem:
    """The item with what matches marked."""
    kept = service.records.item(item.item)
    title, text = service.lexical.highlights(request.q, item.title, kept.record.text if kept else "")
    return msgspec.structs.replace(item, highlight={"title": [tuple(piece) for piece in title], "text": [tuple(piece) for piece in text]})


def suggest(service: Service, call: Call) -> Answer:
    """Titles that go on as the text begins."""
    n, live, column = call.whole_number("n", 8, 1, MOST_SUGGESTED), service.live, service.champion.current.popularity
    popularity = live.values[: live.n, column] if column >= 0 else None
    numbers = service.lexical.suggest(call.query("q"), n + SPARE, popularity)
    numbers = numbers[live.flags[numbers] & HIDDEN == 0][:n]  # what was hidden just now is still in the index
    return Answer(200, encoder.encode(SuggestAnswer([Suggestion(item, title) for item, title in live.names(numbers)])))


ROUTES = [
    Route("POST", "/v1/search", "serve", search, "A slate of what matches a text; without a text, a feed.", **(SLATES | {"answers": SearchAnswer})),
    Route("GET", "/v1/suggest", "serve", suggest, "Items whose titles go on as a text begins.", lane="serve", direct=True, answers=SuggestAnswer, query=TYPED),
]
