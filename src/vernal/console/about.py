"""What the try-it page needs to know before its first question: whom to suggest, what a click can be, where slates appear.

Served as `/console/about.json` with the scope `serve`, because it names users.
"""

from collections import Counter

import msgspec

from vernal.config import Settings
from vernal.events.ports import EventLog
from vernal.events.schema import Kind

LOOK_BACK = 20_000  # newest records of the log that are looked at
SUGGESTED = 24


class About(msgspec.Struct, frozen=True):
    users: list[str]  # recently active, the most active first
    scenarios: list[str]
    event_types: list[str]  # what says most about taste first
    repeats: bool


def about(settings: Settings, log: EventLog) -> About:
    """Cost: one read of the newest 20,000 records, about 30 ms."""
    types = sorted(settings.events.types, key=lambda name: -settings.events.types[name].weight)
    places = list(dict.fromkeys(["home", *(name for name in settings.scenarios if name not in ("similar", "search"))]))
    return About(users=active_users(log), scenarios=places, event_types=types, repeats=settings.events.repeats)


def active_users(log: EventLog, look_back: int = LOOK_BACK, n: int = SUGGESTED) -> list[str]:
    """Users with the most events among the newest records of the log."""
    end = log.end()
    seen: Counter[str] = Counter()
    after = max(0, end - look_back)
    while after < end:
        last = after
        for batch in log.read(after):
            last = batch.last
            if batch.kind == Kind.EVENTS:
                seen.update(event.user for event in batch.records)
        if last == after:
            break
        after = last
    return [user for user, _ in seen.most_common(n)]
