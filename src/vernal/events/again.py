"""A dead letter read again, as what it was when it came: a native record, a Segment message, a Gorse record, or a row of a file."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from vernal.config import Settings
from vernal.errors import EventError, VernalError
from vernal.events.checking import reason_against
from vernal.events.deadletters import DeadLetter, Decode
from vernal.events.fields import Rejection, mapping
from vernal.events.gorse import map_feedback, map_items, map_users
from vernal.events.schema import Event, Kind
from vernal.events.segment import ACCEPTED, map_segment
from vernal.events.times import to_us
from vernal.events.wire import decode_events, decode_items, decode_users, records_of
from vernal.terms import TIME

SEGMENT: Final = {f"POST /v1/{kind}": kind for kind in (*ACCEPTED, "batch")}  # route -> what it takes
GORSE: Final = " /api/"  # in every route that speaks Gorse
ROUTE: Final = " /"  # in every route; a file's name has none
MAPS: Final = {Kind.ITEMS: map_items, Kind.USERS: map_users}


def decoder(settings: Settings, now: int) -> Decode:
    """What reads letters under these settings, as if they had just arrived at UTC us `now`. Rows of a file meet the checks of an import again."""

    def decode(letter: DeadLetter) -> Sequence[tuple[Kind, Any]]:
        try:
            return read(letter, settings, now)
        except VernalError as error:
            return [(letter.kind, Rejection.of(0, error, letter.rejection.raw))]

    return decode


def read(letter: DeadLetter, settings: Settings, now: int) -> Sequence[tuple[Kind, Any]]:
    """The records in a letter, or the rejection of it."""
    raw = letter.rejection.raw
    body = raw.encode("utf-8", "replace") if isinstance(raw, str) else msgspec.json.encode(raw)
    if (kind := SEGMENT.get(letter.source)) is not None:
        mapped = map_segment(body, now, settings, str(raw.get("type", kind)) if isinstance(raw, dict) else kind)
        found = [(Kind.EVENTS, one) for one in (*mapped.events, *mapped.rejections)]
        return [*found, *((Kind.USERS, user) for user in mapped.users)]
    made: Any
    if GORSE in letter.source:
        made = map_feedback(body, now, settings) if letter.kind is Kind.EVENTS else MAPS[letter.kind](body, now)
        return [(letter.kind, one) for one in made]
    if letter.kind is not Kind.EVENTS:
        made = decode_items(body, now, settings.items) if letter.kind is Kind.ITEMS else decode_users(body, now, settings.users)
        return [(letter.kind, made[0])]
    event = decode_events(body, now, settings.events)[0]
    if ROUTE not in letter.source and isinstance(event, Event):
        refuse_row(letter, mapping(records_of(body, "events")[0], letter.rejection.where).get(TIME), event, settings, now)
    return [(letter.kind, event)]


def refuse_row(letter: DeadLetter, given: Any, event: Event, settings: Settings, now: int) -> None:
    """Raises what an import says against a row of a file that gave this time."""
    events = settings.events
    at = None if given is None else to_us(given, events.time_unit, events.timezone, letter.rejection.where)
    if (reason := reason_against(event, at, events, now)) is not None:
        raise EventError.invalid(letter.rejection.where, reason, letter.rejection.expected)
