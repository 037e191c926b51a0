"""A world of people and items whose truth is known, for closed loops: it asks for slates, looks at them, and sends events back, late or never.

In: a seed, `Scale` (how many, how fast), `Habits` (how they are), `Trouble`s (what goes wrong, when). Out of a `World`: requests (who, when), outcomes of
slates, events as they arrive, and what nobody knows of a real shop: the true expected clicks of any slate, and the best slate there is. What happens follows
from the seed, the person, the moment and the slate alone, so two policies asked the same moment meet the same luck, and whoever answers first changes nothing.

Cost: 25 us for a look at a slate of ten, 80 us for a visit, at 1,000 items.
"""

import heapq
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vernal.config import Events, EventType, Items, Settings
from vernal.events.history import Catalogue, History
from vernal.events.schema import Event, Item
from vernal.replay.nature import (
    CASCADE,
    Habits,
    Memory,
    Nature,
    come_for,
    expected_clicks,
    fitted,
    invented,
    look,
    odds_of_all,
)
from vernal.terms import DAY_S, HOUR_S, US_PER_S

CLICK: Final = "click"
CATEGORY: Final = "category"
START_S: Final = 1_700_006_400  # midnight UTC
BOTS = 5
LOOK_S = 2.0  # from one place of a slate to the next
FOREVER_S = 2**40
What = Literal["outage", "unit-change", "new-category", "popularity-shock", "taste-shift", "bot-wave", "label-delay"]
DAILY, WEEKLY = 0.6, 0.2  # how far traffic swings about its mean over a day, at its most in the evening, and between weekend and week


class Scale(Struct, frozen=True, kw_only=True):
    """How large a world is."""

    people: int = 2_000
    items: int = 800
    categories: int = 10
    days: int = 60  # over which new items come
    new_share: float = 0.3  # of the items that are not there at the beginning
    delay_s: float = 20.0  # median from a click to its arrival
    delay_spread: float = 1.0  # standard deviation of the delay's logarithm
    missing: float = 0.02  # share of clicks that never arrive


class Trouble(Struct, frozen=True, kw_only=True):
    """Something that goes wrong, or is new, for a while.

    size : outage: share of the events lost, the others arrive when it is over; unit-change: factor on values; new-category, popularity-shock: log-odds added;
    bot-wave: their events for each of people; label-delay: factor on delays; taste-shift: share of the people whose taste becomes another's
    """

    what: What
    begin: int  # UTC s
    end: int = FOREVER_S
    size: float


class Asked(NamedTuple):
    """Requests in order of time."""

    user: NDArray[np.int32]  # (n,)
    at: NDArray[np.int64]  # (n,) UTC us


class Arrival(NamedTuple):
    """An event, and when it gets to the shop."""

    at: int  # UTC us
    event: Event


SCALE: Final = Scale()
HABITS: Final = Habits()


class World:
    """People, items and what happens between them.

    Example
    -------
    >>> world = World(Scale(people=50, items=40), seed=7)
    >>> asked = world.requests(world.begin, world.begin + 3_600_000_000, 3)
    >>> slates = np.array([world.best(user, at, 5) for user, at in zip(*asked)])
    >>> clicked = world.look(asked, slates, ["one", "two", "three"])
    >>> clicked.shape, bool(world.expected(asked, slates).min() > 0)
    ((3, 5), True)
    """

    def __init__(
        self,
        scale: Scale = SCALE,
        habits: Habits = HABITS,
        troubles: Sequence[Trouble] = (),
        seed: int = 0,
        log: tuple[History, Catalogue] | None = None,
    ) -> None:
        """With a `log`, people and items are those it shows; else they are invented."""
        self.scale, self.habits, self.troubles, self.seed = scale, habits, tuple(troubles), seed
        draw = np.random.default_rng(seed)
        if log is None:
            category, born = self.invented_items(draw)
            self.nature = invented(habits, scale.people, category, born, draw)
            self.names = [f"item-{number}" for number in range(len(category))]
            self.labels = [f"category-{number}" for number in range(int(category.max()) + 1)]
        else:
            self.nature = fitted(habits, *log, draw)
            self.names = log[1].ids[: log[0].n_items]
            self.labels = log[1].vocabularies[0]
        self.nature = self.troubled(self.nature, draw)
        self.activity = draw.gamma(1.2, size=len(self.nature.taste))
        self.activity /= self.activity.sum()
        self.number = {name: number for number, name in enumerate(self.names)}
        self.memory = Memory.of(len(self.nature.taste))
        self.arrivals: list[tuple[int, int, Event]] = []
        self.sent = 0

    @property
    def begin(self) -> int:
        """UTC us at which the world begins."""
        return START_S * US_PER_S

    def invented_items(self, draw: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(category, UTC s of birth, 0 = from the beginning) of every item; those of a new category come last and are born with it."""
        scale = self.scale
        category = draw.integers(0, scale.categories, scale.items).astype(np.int32)
        born = np.where(draw.random(scale.items) < scale.new_share, START_S + draw.integers(0, scale.days * DAY_S, scale.items), 0)
        for trouble in self.troubles:
            if trouble.what == "new-category":
                n = max(1, scale.items // scale.categories)
                category = np.concatenate([category, np.full(n, category.max() + 1, np.int32)])
                born = np.concatenate([born, np.full(n, trouble.begin)])
        return category, born.astype(np.int64)

    def troubled(self, nature: Nature, draw: np.random.Generator) -> Nature:
        """Nature with the troubles that change what people like."""
        lifts = [trouble for trouble in self.troubles if trouble.what in ("new-category", "popularity-shock")]
        shifts = [trouble for trouble in self.troubles if trouble.what == "taste-shift"]
        new = nature.category > self.scale.categories - 1
        lift = np.zeros((len(lifts), len(nature.quality)), np.float32)
        for row, trouble in enumerate(lifts):
            plain = np.flatnonzero((nature.born <= trouble.begin) & ~new)
            lift[row, new if trouble.what == "new-category" else draw.choice(plain, 3, replace=False)] = trouble.size
        people = len(nature.taste)
        other = np.tile(np.arange(people, dtype=np.int32), (len(shifts), 1))
        for row, trouble in enumerate(shifts):
            moved = draw.permutation(people)[: round(trouble.size * people)]
            other[row, moved] = np.roll(moved, 1)
        return nature._replace(lifted=spans(lifts), lift=lift, shifted=spans(shifts), other=other)

    def catalogue(self, begin: int, end: int) -> list[Item]:
        """Records of the items that come in [begin, end), UTC us; those that were always there come with the world."""
        born = np.maximum(self.nature.born * US_PER_S, self.begin)
        return [self.item(int(number)) for number in np.flatnonzero((born >= begin) & (born < end))]

    def item(self, number: int) -> Item:
        label, name, born = self.labels[self.nature.category[number]], self.names[number], int(self.nature.born[number])
        return Item(name, title=f"{name} of {label}", text=label, attributes={CATEGORY: [label] if label else []}, time=max(self.begin, born * US_PER_S))

    def person(self, user: int) -> str:
        return f"person-{user}"

    def requests(self, begin: int, end: int, n: int, salt: int = 0) -> Asked:
        """n requests of [begin, end), UTC us, as traffic comes over day and week, by people as active as they are."""
        draw = self.luck(begin, n, salt)
        grid = np.linspace(begin // US_PER_S, end // US_PER_S, 512)
        mass = np.concatenate([[0.0], np.cumsum(np.diff(grid) * traffic((grid[1:] + grid[:-1]) / 2))])
        at = np.interp(np.sort(draw.random(n)) * mass[-1], mass, grid)
        user = np.searchsorted(np.cumsum(self.activity), draw.random(n) * 0.999999).astype(np.int32)
        return Asked(user, (at * US_PER_S).astype(np.int64))

    def look(self, asked: Asked, slates: NDArray[np.int32], rec_ids: Sequence[str]) -> NDArray[np.uint8]:
        """(n, k) 1 where the person clicked; what they clicked is on its way.

        Parameters
        ----------
        slates : (n, k) item numbers of this world by place, -1 padded
        """
        n, k = slates.shape
        clicked, draws = np.zeros((n, k), np.uint8), np.empty((n, k, 2), np.float32)
        fates = [self.luck(user, at) for user, at in zip(asked.user.tolist(), asked.at.tolist(), strict=True)]
        for row, fate in enumerate(fates):
            draws[row] = fate.random((k, 2), np.float32)
        look(self.nature, self.memory, self.habits.family == CASCADE, asked.user, asked.at // US_PER_S, self.day(asked.at), slates, draws, clicked)
        for row, place in np.argwhere(clicked).tolist():
            at = int(asked.at[row]) + round(US_PER_S * (place + 1) * LOOK_S)
            self.send(at, fates[row], self.person(int(asked.user[row])), int(slates[row, place]), rec_ids[row], place)
        return clicked

    def visits(self, begin: int, end: int, n: int) -> None:
        """n events of people who find an item by themselves, and those of bots where there are any."""
        asked, fate, chosen = self.requests(begin, end, n, salt=1), self.luck(begin, end, 2), np.empty(n, np.int32)
        come_for(self.nature, self.memory, asked.user, asked.at // US_PER_S, self.day(asked.at), fate.random(n, np.float32), chosen)
        for user, at, item in zip(asked.user.tolist(), asked.at.tolist(), chosen.tolist(), strict=True):
            self.send(at, fate, self.person(user), item)
        for trouble in self.troubles:
            if trouble.what == "bot-wave":
                self.bots(trouble, begin, end, n)

    def bots(self, wave: Trouble, begin: int, end: int, n: int) -> None:
        """Few addresses that want one item seen."""
        begin, end = max(begin, wave.begin * US_PER_S), min(end, wave.end * US_PER_S)
        if begin < end:
            draw = self.luck(begin, end, 3)
            for at in np.sort(draw.integers(begin, end, round(wave.size * n))):
                self.send(int(at), draw, f"bot-{draw.integers(BOTS)}", 0)

    def send(self, at: int, fate: np.random.Generator, user: str, item: int, rec_id: str = "", position: int = -1) -> None:
        """Puts an event on its way; fate decides when it arrives, if it does."""
        delay, lost = self.scale.delay_s * np.exp(self.scale.delay_spread * fate.standard_normal()), fate.random()
        value, hindered = 30.0 * (0.5 + fate.random()), fate.random()  # s looked at
        self.sent += 1
        if lost < self.scale.missing:
            return
        held = 0
        for trouble in self.troubles:
            if trouble.begin * US_PER_S <= at < trouble.end * US_PER_S:
                delay *= trouble.size if trouble.what == "label-delay" else 1
                value *= trouble.size if trouble.what == "unit-change" else 1
                if trouble.what == "outage":
                    held = trouble.end * US_PER_S
                    if hindered < trouble.size:
                        return
        event = Event(f"w{self.seed}-{self.sent}", CLICK, user, self.names[item], at, value, rec_id=rec_id, position=position)
        heapq.heappush(self.arrivals, (max(held, at + int(delay * US_PER_S)), self.sent, event))

    def events(self, until: int) -> list[Arrival]:
        """What has arrived before `until` (UTC us) and was not given out yet, in order of arrival."""
        out = []
        while self.arrivals and self.arrivals[0][0] < until:
            at, _, event = heapq.heappop(self.arrivals)
            out.append(Arrival(at, event))
        return out

    def expected(self, asked: Asked, slates: NDArray[np.int32]) -> NDArray[np.float64]:
        """(n,) true expected clicks of each slate, were it shown now; nobody has to see it."""
        return expected_clicks(self.nature, self.memory, self.habits.family == CASCADE, asked.user, asked.at // US_PER_S, self.day(asked.at), slates)

    def best(self, user: int, at: int, k: int) -> NDArray[np.int32]:
        """(k,) the items this person would like most just then, best first."""
        odds = np.empty(len(self.names))
        odds_of_all(self.nature, self.memory, int(user), int(at) // US_PER_S, float(self.day(np.int64(at))), odds)
        top = np.argpartition(-odds, min(k, len(odds) - 1))[:k]
        return top[np.argsort(-odds[top])].astype(np.int32)

    def numbered(self, items: Sequence[Sequence[str]], k: int) -> NDArray[np.int32]:
        """(n, k) slates of item ids as numbers of this world, -1 padded."""
        out = np.full((len(items), k), -1, np.int32)
        for row, ids in enumerate(items):
            out[row, : len(ids)] = [self.number[item] for item in ids[:k]]
        return out

    def luck(self, *of: int) -> np.random.Generator:
        """The randomness of a moment."""
        return np.random.Generator(np.random.SFC64([self.seed, *(abs(number) for number in of)]))

    def day(self, at: NDArray[np.int64] | np.int64) -> NDArray[np.float64]:
        """Days since the world began."""
        return np.asarray((at - self.begin) / (DAY_S * US_PER_S), np.float64)


def spans(troubles: Sequence[Trouble]) -> NDArray[np.int64]:
    return np.array([(trouble.begin, trouble.end) for trouble in troubles], np.int64).reshape(-1, 2)


def traffic(at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Requests at a moment, relative to their mean."""
    hour, weekday = at_s % DAY_S / HOUR_S, (at_s // DAY_S + 3) % 7
    return (1 + DAILY * np.cos(2 * np.pi * (hour - 20) / 24)) * np.where(weekday >= 5, 1 + WEEKLY, 1 - WEEKLY * 2 / 5)


def world_settings() -> Settings:
    """Settings of a shop for an invented world: one event type, one attribute; defaults otherwise."""
    return Settings(events=Events(types={CLICK: EventType()}, default_type=CLICK, repeats=True), items=Items(attributes=[CATEGORY]))
