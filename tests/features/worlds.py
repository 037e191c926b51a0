"""Small worlds for the property tests: settings that use every aggregate, and logs with late, equal, value-less and item-less events."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from oracle import Fact

from vernal.config import Aggregate, Events, EventType, Items, Rate, Settings, State, View
from vernal.events.history import DESCRIBED, Catalogue, History

START_S = 1_700_000_000
USERS, ITEMS, DAYS = 3, 5, 9
ATTRIBUTES = [
    [[1, 0, 0, 0], [2, 3, 0, 0]],
    [[1, 0, 0, 0], [3, 0, 0, 0]],
    [[2, 0, 0, 0], [0, 0, 0, 0]],
    [[0, 0, 0, 0], [2, 1, 3, 0]],
    [[2, 0, 0, 0], [1, 2, 0, 0]],
]
HALF_LIVES, WINDOWS = ["30min", "1d"], ["10min", "1h", "6h", "1d", "2d", "5d"]


def views() -> dict[str, View]:
    both = {"half_life": HALF_LIVES, "window": WINDOWS}
    found: dict[str, View] = {
        "item_rate": View(entity="item", rate=Rate(of="buy", per="impression", half_life="1d", window="2d", prior=3.0)),
        "item_mean": View(entity="item", mean=Aggregate(event="buy", **both)),
        "item_all": View(entity="item", count=Aggregate()),
        "user_last": View(entity="user", last=Aggregate(n=4)),
        "user_rate": View(entity="user", rate=Rate(of="buy", per="view", window="1d", prior=0.0)),
    }
    for name, entity in {"item": "item", "user": "user", "pair": ["user", "item"], "kind": ["user", "item.kind"], "shade": ["user", "item.shade"]}.items():
        found[f"{name}_count"] = View(entity=entity, count=Aggregate(event="view", **both))
        found[f"{name}_trend"] = View(entity=entity, trend=Aggregate(event="view", half_life=HALF_LIVES))
        found[f"{name}_sum"] = View(entity=entity, sum=Aggregate(**both))
        found[f"{name}_recency"] = View(entity=entity, recency=Aggregate(event="buy"))
        found[f"{name}_first"] = View(entity=entity, first_seen=Aggregate())
        if entity != "item":
            found[f"{name}_mean"] = View(entity=entity, mean=Aggregate(window="5d"))
            found[f"{name}_min"] = View(entity=entity, min=Aggregate(window=["1h", "2d"]))
            found[f"{name}_max"] = View(entity=entity, max=Aggregate(event="buy"))
            found[f"{name}_distinct"] = View(entity=entity, distinct=Aggregate(window=["6h", "5d"]))
    return found


def settings(history: int = 16, horizon: str = "5d") -> Settings:
    types = {"view": EventType(weight=0.25), "buy": EventType(weight=2.0, min_value=0.5)}
    return Settings(events=Events(types=types), items=Items(attributes=["kind", "shade"]), state=State(history=history, horizon=horizon), features=views())


def catalogue() -> Catalogue:
    ids = [f"i{number}" for number in range(ITEMS)]
    flags = np.full(ITEMS, DESCRIBED, np.uint8)
    return Catalogue(ids, ids, ids, ["kind", "shade"], np.array(ATTRIBUTES, np.int32), [["", "a", "b"], ["", "x", "y", "z"]], flags)


@st.composite
def facts(draw: st.DrawFn, most: int = 80) -> list[Fact]:
    """Events in order of arrival; times cluster at tile borders, arrivals lag by nothing, seconds or days."""
    seed, n = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, most))
    return random_facts(n, seed, spread=draw(st.sampled_from([600, 7_200, DAYS * 86_400])))


def random_facts(n: int, seed: int, spread: int = DAYS * 86_400) -> list[Fact]:
    rng = np.random.default_rng(seed)
    time = START_S + rng.integers(0, spread, n)
    snapped = rng.random(n) < 0.3
    time[snapped] = time[snapped] // 3_600 * 3_600 - rng.integers(0, 2, snapped.sum())
    lag = np.where(rng.random(n) < 0.5, 0, rng.integers(0, 2 * 86_400, n))
    received = (time + lag) * 1_000_000 + rng.integers(0, 1_000_000, n)
    columns = (rng.integers(0, USERS, n), rng.integers(-1, ITEMS, n), rng.integers(0, 4, n), time * 1_000_000, received, rng.integers(-2, 3, n) * 500)
    made = [Fact(*(int(value) for value in row)) for row in zip(*columns, strict=True)]
    return sorted(made, key=lambda fact: fact.received_at)


def history_of(known: Sequence[Fact]) -> History:
    """The facts as columns, offsets in order of arrival."""
    column = {name: [getattr(fact, name) for fact in known] for name in ("user", "item", "type", "time", "received_at", "value")}
    return History(
        users=[f"u{number}" for number in range(USERS)],
        user=np.array(column["user"], np.int32),
        item=np.array(column["item"], np.int32),
        type=np.array(column["type"], np.uint8),
        time=np.array(column["time"], np.int64),
        received_at=np.array(column["received_at"], np.int64),
        value=np.array(column["value"], np.int32),
        offset=np.arange(1, len(known) + 1, dtype=np.int64),
        n_items=ITEMS,
    )


def moments(known: Sequence[Fact], seed: int, n: int = 8) -> np.ndarray:
    """(n,) UTC us: some right at an arrival (which is then not yet known), some just after, some anywhere."""
    rng = np.random.default_rng(seed)
    anywhere = (START_S + rng.integers(0, (DAYS + 8) * 86_400, n)) * 1_000_000
    arrivals = np.array([fact.received_at for fact in known] or [START_S * 1_000_000])
    chosen = rng.choice(arrivals, n) + rng.integers(0, 2, n)
    return np.where(rng.random(n) < 0.5, chosen, anywhere)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Bit for bit, every NaN alike."""
    return bool(((one.view(np.uint32) == other.view(np.uint32)) | (np.isnan(one) & np.isnan(other))).all())
