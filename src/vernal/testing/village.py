"""A village with tastes: three kinds of goods, people who keep to one kind, a favourite that changes every few days. The same for the same seed.

Small enough for tests, structured enough that a recommender has something to learn: a person's next item is mostly of their kind.
"""

from collections.abc import Sequence

import numpy as np

from vernal.config import Events, EventType, Items, Retrieval, Settings, Training
from vernal.events.schema import Event, Item
from vernal.terms import DAY_S, US_PER_S

KINDS = ("bread", "cheese", "wine")
START_US = 1_700_006_400 * US_PER_S  # midnight UTC
LOYALTY = 0.9  # share of a person's events that are of their kind
FASHION = 0.5  # share that goes to the favourite of the moment
FASHION_DAYS = 3


def village_settings(*, repeats: bool = False, ranker: bool = True) -> Settings:
    """Settings under which a village trains in a few seconds."""
    training = Training(budget_s=0, windows=2, window="5d", evaluate_last="5d", trees=40, requests=400, ranker=ranker)
    retrieval = Retrieval(min_events=2, ials_dim=8, ease_neighbours=10, covisitation_neighbours=10, candidates=40)
    return Settings(
        events=Events(types={"view": EventType(weight=0.3), "buy": EventType()}, repeats=repeats),
        items=Items(attributes=["kind"]),
        retrieval=retrieval,
        training=training,
    )


def village_items(n: int = 60) -> list[Item]:
    """Goods, a third of each kind."""
    return [
        Item(f"{KINDS[number % 3]}-{number}", title=f"{KINDS[number % 3]} number {number}", attributes={"kind": [KINDS[number % 3]]}) for number in range(n)
    ]


def village_events(items: Sequence[Item], n_users: int = 40, days: int = 30, per_day: int = 60, seed: int = 0) -> list[Event]:
    """Events in order of time; person p keeps to kind p % 3."""
    draw = np.random.default_rng(seed)
    by_kind = [[item.item for item in items if item.attributes["kind"] == [kind]] for kind in KINDS]
    times = np.sort(draw.integers(0, days * DAY_S, days * per_day))
    events = []
    for number, second in enumerate(times.tolist()):
        person = int(draw.integers(n_users))
        kind = person % 3 if draw.random() < LOYALTY else int(draw.integers(3))
        goods = by_kind[kind]
        favourite = second // DAY_S // FASHION_DAYS % len(goods)
        chosen = goods[favourite] if draw.random() < FASHION else goods[int(draw.integers(len(goods)))]
        events.append(Event(f"v{number}", "buy" if draw.random() < 0.5 else "view", f"person-{person}", chosen, START_US + second * US_PER_S))
    return events
