"""Drills: simulated shoppers use a real server over HTTP, something goes wrong, and what the server makes of it is written down.

In: a drill's name, a temporary shop, the address of its server, whose clock the drill moves. Out: `Drilled`: after how long it was noticed, what was done about
it and in which words, how many requests were answered meanwhile, whether all is as before in the end, and the truth that only the simulator knows: clicks
expected of the slates, day by day, of everybody and of the holdout.

A day goes by as fast as the server answers; before each step ends the drill waits for the keeper's look, since its processes take real time.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from vernal.clock import SharedClock
from vernal.errors import EnvironmentProblem
from vernal.events.schema import Kind
from vernal.replay.nature import Habits
from vernal.replay.simulator import START_S, Asked, Scale, Trouble, What, World
from vernal.rollout.ports import RolloutSpace
from vernal.serving.upkeep import read_upkeep
from vernal.terms import DAY_S, US_PER_S

DAY_US: Final = DAY_S * US_PER_S
BEFORE, CALM, TROUBLE, AFTER = 28, 10, 3, 5  # days: under another system, with this server, while it lasts, and then
STEPS: Final = 4  # a day, each with a look of the keeper
VISITS, REQUESTS = 300, 400  # a day
N: Final = 10  # items in a slate
KNOWN: Final = 4  # the other system showed one in so many of the best
PATIENCE_S: Final = 60.0  # real seconds for a look and the training that may follow
RECOVERED: Final = 0.9  # of the CTR before, against the holdout where there is one
SCALE: Final = Scale(people=400, items=250, categories=6, days=BEFORE + CALM + TROUBLE + AFTER, new_share=0.15)
TOML: Final = """# A shop that lives for one drill.
[events]
default_type = "click"
repeats = true
[events.types.click]
[items]
attributes = ["category"]
[search]
encoder = ""
[retrieval]
candidates = 120
[training]
budget_s = 0
windows = 2
requests = 500
trees = 60
evaluate_requests = 150
[scenarios.home]
n = 10
explore_share = 0.03
[serving]
workers = 1
deadline_ms = 500
[monitoring]
reference = "21d"
[rollout]
look = "1s"
cadence = "3d"
max_age = "9d"
follow_ups = ["1d", "3d"]
holdout = 0.15
canary_steps = []
"""


class Drill(msgspec.Struct, frozen=True):
    """Something that goes wrong."""

    what: What
    size: float  # see `simulator.Trouble`
    lasts: bool  # to the end: it is the new usual
    about: str


DRILLS: Final = {
    "outage": Drill("outage", 0.5, False, "the pipe of events is cut; half of them are lost, the others come when it is over"),
    "unit-change": Drill("unit-change", 1_000.0, False, "values come in thousandths"),
    "new-category": Drill("new-category", 2.0, True, "items of a kind nobody knew arrive, and people want them"),
    "popularity-shock": Drill("popularity-shock", 4.0, False, "everybody wants the same three items"),
    "taste-shift": Drill("taste-shift", 0.7, True, "most people want what others wanted before"),
    "bot-wave": Drill("bot-wave", 3.0, False, "five addresses click one item, three times as often as all people together"),
    "label-delay": Drill("label-delay", 5_000.0, False, "clicks arrive a day late"),
}


class Day(msgspec.Struct, frozen=True):
    """What the simulator knows of one day."""

    day: int  # since the server began
    requests: int
    ctr: float  # clicks expected of each item shown, of everybody but the holdout
    holdout: float  # the same of the holdout; 0 = nobody is there
    best: float  # of the best slates there are


class Drilled(msgspec.Struct, frozen=True):
    """How a drill went."""

    name: str
    about: str
    noticed_after_s: float | None  # from its beginning; None = never
    noticed: str  # the alarm's words
    done: list[str]  # what the server did since: acts with reasons, trainings with outcomes
    exposed: int  # requests between the beginning and when it was noticed
    failed: int  # requests that got no slate
    before: float  # CTR against the holdout (or alone) before, while it lasted, and on the last two days
    during: float
    after: float
    recovered: bool
    held: bool  # training is held in the end, until a person has looked
    days: list[Day]


class Shop:
    """The drill's side of the server: shoppers, and the clock.

    Parameters
    ----------
    host, port : where it answers
    """

    def __init__(self, host: str, port: int, clock: SharedClock, world: World) -> None:
        self.connection = http.client.HTTPConnection(host, port, timeout=30)
        self.clock, self.world, self.failed = clock, world, 0

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer.

        Raises
        ------
        EnvironmentProblem
            Anything but 200.
        """
        self.connection.request(method, path, None if body is None else json.dumps(body), {"content-type": "application/json"})
        response = self.connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise EnvironmentProblem("Server", where=f"{method} {path}", got=f"{response.status} {text[:200].decode('utf-8', 'replace')}", expected="200")
        return json.loads(text)

    def arrive(self, until: int) -> None:
        """Events and new items that came by then are sent, each when it comes."""
        for item in self.world.catalogue(self.clock.now() + 1, until + 1):
            self.call("PUT", "/v1/items", {"item": item.item, "title": item.title, "text": item.text, "attributes": item.attributes})
        for arrival in self.world.events(until):
            self.clock.move(max(self.clock.now(), arrival.at))
            event = arrival.event
            sent = {"event_id": event.event_id, "type": event.type, "user": event.user, "item": event.item, "time": rfc3339(event.time), "value": event.value}
            self.call("POST", "/v1/events", sent | ({"rec_id": event.rec_id, "position": event.position} if event.rec_id else {}))

    def ask(self, user: int, at: int) -> tuple[float, float, bool]:
        """One person looks at one slate: what is expected of it, and of the best, and whether they are on the holdout."""
        self.arrive(at)
        self.clock.move(at)
        answer = self.call("POST", "/v1/recommend", {"user": self.world.person(user), "n": N})
        asked = Asked(np.array([user], np.int32), np.array([at]))
        slate = self.world.numbered([[item["item"] for item in answer["items"]]], N)
        self.failed += not answer["items"]
        worth, best = self.world.expected(asked, slate)[0], self.world.expected(asked, self.world.best(user, at, N)[None])[0]
        self.world.look(asked, slate, [answer["rec_id"]])
        return worth / N, best / N, answer["arm"] == "holdout"


def world_of(drill: Drill, seed: int) -> World:
    """The world in which it happens."""
    begin = START_S + (BEFORE + CALM) * DAY_S
    end = begin + (AFTER + TROUBLE + 1 if drill.lasts else TROUBLE) * DAY_S
    return World(SCALE, Habits(turn_days=0), [Trouble(what=drill.what, begin=begin, end=end, size=drill.size)], seed)


def lived(space: RolloutSpace, clock: SharedClock, world: World) -> None:
    """Fills the shop's log with the days before the server, when another system showed people about as much of what they like."""
    clock.move(world.begin)
    items = world.catalogue(world.begin, world.begin + 1)
    space.log.append(Kind.ITEMS, items, [world.begin] * len(items))
    for day in range(BEFORE):
        begin = world.begin + day * DAY_US
        new = world.catalogue(begin + 1, begin + DAY_US + 1)
        world.visits(begin, begin + DAY_US, VISITS)
        asked = world.requests(begin, begin + DAY_US, REQUESTS)
        slates = np.array([world.best(user, at, KNOWN * N)[::KNOWN] for user, at in zip(*asked, strict=True)])
        world.look(asked, slates, [""] * REQUESTS)
        arrived = world.events(begin + DAY_US)
        space.log.append(Kind.EVENTS, [arrival.event for arrival in arrived], [arrival.at for arrival in arrived])
        clock.move(begin + DAY_US)
        if new:
            space.log.append(Kind.ITEMS, new, [begin + DAY_US] * len(new))


def drilled(name: str, shop: Shop, data: Path, say: Callable[[str], None]) -> Drilled:
    """The days of a drill, once the server answers."""
    drill, world = DRILLS[name], shop.world
    trouble = world.troubles[0]
    days: list[Day] = []
    noticed_at, noticed, exposed, known = 0, "", 0, set[str]()
    for day in range(CALM + TROUBLE + AFTER):
        begin = world.begin + (BEFORE + day) * DAY_US
        world.visits(begin, begin + DAY_US, VISITS)
        whole = world.requests(begin, begin + DAY_US, REQUESTS)
        rows: list[tuple[float, float, bool]] = []
        for step in range(STEPS):
            end = begin + (step + 1) * DAY_US // STEPS
            for user, at in zip(whole.user.tolist(), whole.at.tolist(), strict=True):
                if end - DAY_US // STEPS <= at < end:
                    rows.append(shop.ask(user, at))
                    exposed += at >= trouble.begin * US_PER_S and not noticed
            shop.arrive(end)
            shop.clock.move(end)
            looked(data, end)
            for sentence in alarms(shop):
                if end > trouble.begin * US_PER_S and sentence not in known and not noticed:
                    noticed_at, noticed = end, sentence
                known.add(sentence)
        days.append(day_of(day, rows))
        say(f"{name}: day {day - CALM:+d}, CTR {days[-1].ctr:.2%}, holdout {days[-1].holdout:.2%}{f', {noticed}' if noticed_at > begin else ''}")
    before, during, after = (relative(days[a:b]) for a, b in ((CALM - 5, CALM), (CALM, CALM + TROUBLE), (-2, None)))
    status = shop.call("GET", "/v1/status")
    return Drilled(
        name=name,
        about=drill.about,
        noticed_after_s=noticed_at / US_PER_S - trouble.begin if noticed else None,
        noticed=noticed,
        done=list(done_since(status, trouble.begin)),
        exposed=exposed,
        failed=shop.failed,
        before=before,
        during=during,
        after=after,
        recovered=after >= RECOVERED * before and not shop.failed,
        held=bool(status["holds"]),
        days=days,
    )


def looked(data: Path, at: int) -> None:
    """Waits until the keeper has looked at a moment and nothing that it began is unfinished."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        upkeep = read_upkeep(data)
        if upkeep is not None and upkeep.at >= at and not upkeep.training:
            return
        time.sleep(0.05)
    raise EnvironmentProblem("Keeper", where=str(data), got="no look", expected=f"one within {PATIENCE_S:g} s")


def alarms(shop: Shop) -> list[str]:
    """What stands."""
    return [alarm["sentence"] for alarm in shop.call("GET", "/v1/drift")["alarms"] if not alarm.get("acknowledged")]


def done_since(status: Any, begin: int) -> Iterator[str]:
    """Acts and trainings since then, oldest first."""
    for training in reversed(status["trainings"]):
        if seconds(training["at"]) >= begin:
            yield f"trained ({training['reason']}): {training['outcome']}"
    yield from (f"held: {hold}" for hold in status["holds"])


def day_of(day: int, rows: list[tuple[float, float, bool]]) -> Day:
    ours, held = ([worth for worth, _, holdout in rows if holdout == which] for which in (False, True))
    return Day(day, len(rows), float(np.mean(ours)) if ours else 0.0, float(np.mean(held)) if held else 0.0, float(np.mean([best for _, best, _ in rows])))


def relative(days: list[Day]) -> float:
    """CTR as a share of what the best slates would have had: what people want changes, how well it is found is what counts."""
    return float(np.mean([day.ctr for day in days]) / np.mean([day.best for day in days]))


def rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at / US_PER_S, UTC).isoformat(timespec="microseconds")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
