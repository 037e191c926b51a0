"""Warming an engine before it answers: kernels compiled, pages of the release in memory, tables of the hop made.

The newest logged requests are answered once more, to nobody; where there are none, requests for nobody, with and without a session.
"""

import time

import msgspec

from vernal.errors import LogError, RequestError
from vernal.events.ports import EventLog
from vernal.events.schema import Kind
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.ports import StateStore
from vernal.features.records import user_key
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request
from vernal.terms import HOP_S, US_PER_S

LOOK_BACK = 2_000  # newest records of the log searched for requests
REQUESTS = 16  # all pages of the release are mapped before; this is for tables and compiled code
SESSION = 5
PAUSE_S = 0.002  # after each, so that an engine which answers meanwhile is never far behind


def warmed(engine: Recommender, state: StateStore, live: LiveItems, log: EventLog, now: int) -> Recommender:
    """The engine, after it has answered what was asked last."""
    for seed, request in enumerate([*invented(live), *logged(log)]):
        record, offset = state.get_with_offset(user_key(request.user))
        user = user_state(engine.plan, record, now // US_PER_S // HOP_S * HOP_S, offset)
        try:
            engine.recommend(request, user, live, now, seed)
        except RequestError:  # it named an item or a scenario that is gone
            continue
        finally:
            time.sleep(PAUSE_S)
    return engine


def invented(live: LiveItems) -> list[Request]:
    """Requests that touch every stage, where nothing was asked yet."""
    known = [live.id(number) for number in range(min(live.n, 4 * SESSION))]
    sessions = [Request(session=known[start : start + SESSION], explain=start == 0) for start in range(0, len(known), SESSION)]
    titles = [title for number in range(min(live.n, 4 * SESSION)) if (title := live.titles(number))]
    return [Request(), *sessions, *(Request(item=item) for item in known[:2]), *(Request(q=title, scenario="search") for title in titles[:2])]


def logged(log: EventLog) -> list[Request]:
    """The newest logged requests; none when the log cannot be read."""
    try:
        batches = list(log.read(max(0, log.end() - LOOK_BACK), LOOK_BACK, frozenset({Kind.SLATES})))
    except LogError:
        return []
    slates = [slate for batch in batches for slate in batch.records]
    return [msgspec.json.decode(slate.request, type=Request) for slate in slates[-REQUESTS:]]
