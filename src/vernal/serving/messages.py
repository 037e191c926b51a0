"""What goes over the wire, beside the records of `events.schema` and the request of `ranking`."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from vernal.ranking.explain import Why


def about(text: str) -> Any:
    return Meta(description=text)


class Problem(msgspec.Struct, frozen=True):
    """An error: `vernal.errors` has the tree."""

    code: Annotated[str, about("stable across versions")]
    message: Annotated[str, about("what, where, got, expected")]
    where: str = ""
    expected: str = ""
    hint: Annotated[str, about("the command or edit that fixes it")] = ""


class ErrorAnswer(msgspec.Struct, frozen=True):
    error: Problem
    code: str
    message: str


class EventRecord(msgspec.Struct, frozen=True):
    """A fact: a user did something with an item. Fields Vernal does not know are kept in `properties`."""

    user: Annotated[str, about("who; or anonymous_id")]
    event_id: Annotated[str, about("makes sending again harmless; default: a hash of the content")] = ""
    type: Annotated[str, about("one of events.types; default: events.default_type")] = ""
    anonymous_id: Annotated[str, about("who, before they are known")] = ""
    item: Annotated[str, about("empty: an event about no item")] = ""
    time: Annotated[str | float, about("RFC 3339, or a number in events.time_unit; default: now")] = ""
    value: Annotated[float | None, about("rating, price, quantity")] = None
    session: str = ""
    rec_id: Annotated[str, about("the slate it followed from")] = ""
    position: Annotated[int | None, about("0-based position in that slate")] = None
    properties: dict[str, Any] = {}


class ItemRecord(msgspec.Struct, frozen=True):
    """A catalogue record; replaces the one before it whole."""

    item: str
    title: str = ""
    text: Annotated[str, about("for content similarity")] = ""
    attributes: Annotated[dict[str, list[str]], about("attribute -> values; filters, caps and boosts know those in items.attributes")] = {}
    hidden: Annotated[bool, about("true: in no slate")] = False
    properties: dict[str, Any] = {}


class UserRecord(msgspec.Struct, frozen=True):
    user: str
    attributes: dict[str, list[str]] = {}
    properties: dict[str, Any] = {}


class RecordResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one record of a batch."""

    status: Literal["accepted", "duplicate", "rejected"]
    offset: Annotated[int | None, about("its place in the log; of a duplicate, the place of the first")] = None
    event_id: Annotated[str | None, about("as sent, or made from the content")] = None
    error: Problem | None = None


class RecordsAnswer(msgspec.Struct, frozen=True):
    """Durable when answered; a rejected record never takes others with it."""

    accepted: int
    duplicates: int
    rejected: int
    applied: Annotated[bool, about("whether the next recommendation already knows these records")]
    results: list[RecordResult]


class ItemAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An item as served."""

    item: str
    title: str = ""
    text: str = ""
    attributes: dict[str, list[str]] = {}
    hidden: bool = False
    properties: dict[str, Any] | None = None
    time: Annotated[str, about("when this record was written, RFC 3339")] = ""


class UserAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A user as served."""

    user: str
    attributes: dict[str, list[str]] = {}
    properties: dict[str, Any] | None = None
    time: Annotated[str, about("when this record was written, RFC 3339")] = ""
    events: Annotated[int, about("recent events kept for this user")] = 0


class Match(msgspec.Struct, frozen=True, gc=False):
    """The parts of a hit's score."""

    lexical: Annotated[float, about("BM25 of title and text; 0 = no word of the query is in them")]
    semantic: Annotated[float | None, about("cosine of the meanings; none = not known")]
    relevance: Annotated[float, about("0..1, both together")]
    personal: Annotated[float, about("what is known of the user and the moment, in log-odds")]


class SlateItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    item: str
    score: float
    sources: Annotated[list[str], about("the retrievers that proposed it")]
    propensity: Annotated[float, about("probability of this item at this position, given those before")]
    title: str = ""
    why: Annotated[Why | None, about("when asked for: the sources, the features that moved its score, one sentence")] = None
    match: Annotated[Match | None, about("of a search: how it matches the text")] = None
    highlight: Annotated[
        dict[str, list[tuple[str, bool]]], about("of a search, when asked for: title and a passage of the text, in pieces that match or not")
    ] = {}


class SlateAnswer(msgspec.Struct, frozen=True):
    """A slate. Send `rec_id` with the events that follow from it."""

    rec_id: str
    release: Annotated[str, about("the models that answered; empty before the first training")]
    scenario: str
    arm: str
    rung: Annotated[str, about("how much of the pipeline answered: full, fast, retrieval, trending_in_segment, trending or static")]
    items: list[SlateItem]
    notes: Annotated[list[str], about("what was ignored, degraded or missing")] = []


class SearchAnswer(SlateAnswer, frozen=True):
    """A slate of what matches a text; without a text, a feed."""

    facets: Annotated[dict[str, dict[str, int]], about("attribute -> value -> how many items match the text and have it; for those asked for")] = {}


class Suggestion(msgspec.Struct, frozen=True):
    item: str
    title: str


class SuggestAnswer(msgspec.Struct, frozen=True):
    suggestions: Annotated[list[Suggestion], about("items whose title has all words so far, the last one as a beginning; popular ones first")]


class ReleaseLine(msgspec.Struct, frozen=True):
    name: str
    created_at: str
    champion: bool
    metrics: dict[str, Any]
    certificate: Annotated[dict[str, Any] | None, about("the gate's verdict with its checks and signature; none before it was judged")] = None


class ReleasesAnswer(msgspec.Struct, frozen=True):
    champion: str | None
    serving: Annotated[str, about("the release this worker answers from")]
    releases: list[ReleaseLine]


class RollbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(description="kept with the promotion", max_length=500)] = "asked for over HTTP"


class RollbackAnswer(msgspec.Struct, frozen=True):
    before: str
    after: str
    number: int


class HealthAnswer(msgspec.Struct, frozen=True):
    status: str
    problems: list[str] = []
