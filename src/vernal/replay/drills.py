"""Drills: simulated shoppers use a real server over HTTP, something goes wrong, and what the server makes of it is written down.

In: a drill's name, a temporary shop, the address of its server, whose clock the drill moves. Out: `Drilled`: after how long it was noticed, what was done about
it and in which words, how many requests were answered meanwhile, whether all is as before in the end, and the truth that only the simulator knows: clicks
expected of the slates, day by day, of everybody and of the holdout.

What only lasts a while is over when clicks are as before it. What lasts makes another world, whose best slates may be harder to find, or easier: there the
yardstick is the twin, a second shop whose people, moments and luck are the same and in which it was so from the beginning.

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
from msgspec.structs import replace

from vernal.clock import SharedClock
from vernal.errors import EnvironmentProblem
from vernal.events.schema import Kind
from vernal.monitoring.alarms import Action
from vernal.replay.nature import Habits
from vernal.replay.simulator import FOREVER_S, START_S, Asked, Scale, Trouble, What, World
from vernal.rollout.certificate import Keys, opened_gate, unjudged, written
from vernal.rollout.policy import JUMPED
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.trying import Trying, steps_of
from vernal.serving.traffic import CANARY, HOLDOUT
from vernal.serving.upkeep import read_upkeep
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.remade import Content, inverted, remade, slowed

DAY_US: Final = DAY_S * US_PER_S
VISITS: Final = 300  # a day
LOOKS: Final = 1  # a day
SETTLED: Final = 2  # days until people have had enough of what is new about this server
N: Final = 10  # items in a slate
KNOWN: Final = 4  # the other system showed one in so many of the best
SLOWER: Final = 1_000  # times as many trees: an answer takes about ten times as long
PATIENCE_S: Final = 300.0  # real seconds for a look and the training that may follow
RECOVERED: Final = 0.9  # of the yardstick
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
requests = 2000
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
canary_steps = {steps}
canary_step = "1h"
"""


class Course(msgspec.Struct, frozen=True):
    """The days of a drill."""

    before: int = 28  # under another system
    calm: int = 25  # until what is usual of this server is known: three weeks of slates with their outcomes
    trouble: int = 3  # while it lasts
    after: int = 8  # longer where something new has to be learnt
    looks: int = 4  # of the keeper, on a day of trouble; on others LOOKS
    people: int = 400
    requests: int = 400  # a day

    @property
    def scale(self) -> Scale:
        days = self.before + self.calm + self.trouble + self.after
        return Scale(people=self.people, items=250, categories=6, days=days, new_share=0.15)


TRIAL: Final = Course(before=8, calm=5, trouble=1, after=2, looks=48, people=1_500, requests=1_500)  # a release on trial is judged within hours, by traffic


class Drill(msgspec.Struct, frozen=True):
    """Something that goes wrong."""

    about: str
    what: What | None = None  # with the world; or with a release:
    size: float = 0.0  # see `simulator.Trouble`
    lasts: bool = False  # to the end: it is the new usual, and a twin is the yardstick
    release: Callable[[Content], object] | None = None  # makes the one in charge into it
    course: Course = Course()


CALM: Final = "calm"
DRILLS: Final = {
    CALM: Drill("nothing goes wrong: whatever is noticed is a false alarm"),
    "outage": Drill("the pipe of events is cut; half of them are lost, the others come when it is over", "outage", 0.5),
    "unit-change": Drill("values come in thousandths", "unit-change", 1_000.0),
    "new-category": Drill("items of a kind nobody knew arrive, and people want them", "new-category", 2.0, lasts=True, course=Course(after=28)),
    "popularity-shock": Drill("everybody wants the same three items", "popularity-shock", 4.0),
    "taste-shift": Drill("most people want what others wanted before", "taste-shift", 0.7, lasts=True, course=Course(after=35)),
    "bot-wave": Drill("five addresses click one item, three times as often as all people together", "bot-wave", 3.0),
    "label-delay": Drill("clicks arrive a day late, some a week", "label-delay", 5_000.0, course=Course(after=14)),
    "bad-model": Drill("the gate passed a release that ranks the worst first", release=inverted, course=TRIAL),
    "slow-model": Drill("the gate passed a release that takes many times as long", release=lambda content: slowed(content, SLOWER), course=TRIAL),
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
    course: Course
    noticed_after_s: float | None  # from its beginning; None = never
    noticed: str  # the alarm's words
    done: list[str]  # what the server did since: acts with reasons, trainings with outcomes
    exposed: int  # requests from the beginning until it was noticed; of a release on trial, those it answered
    failed: int  # requests that got no slate
    before: float  # CTR as a share of that of the best slates there are: before, while it lasted, and on the last two days
    during: float
    after: float
    yardstick: float  # the same: before it, or of what lasts, on the twin's last two days
    recovered: bool
    held: bool  # training is still held in the end
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
        sent = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, path, sent, {"content-type": "application/json"})
            response = self.connection.getresponse()
        except http.client.RemoteDisconnected:  # it waited for a look for longer than the server keeps a silent connection
            self.connection.request(method, path, sent, {"content-type": "application/json"})
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

    def ask(self, user: int, at: int) -> tuple[float, float, str]:
        """One person looks at one slate: what is expected of it, and of the best, and the arm that answered."""
        self.arrive(at)
        self.clock.move(at)
        answer = self.call("POST", "/v1/recommend", {"user": self.world.person(user), "n": N})
        asked = Asked(np.array([user], np.int32), np.array([at]))
        slate = self.world.numbered([[item["item"] for item in answer["items"]]], N)
        self.failed += not answer["items"]
        worth, best = self.world.expected(asked, slate)[0], self.world.expected(asked, self.world.best(user, at, N)[None])[0]
        self.world.look(asked, slate, [answer["rec_id"]])
        return worth / N, best / N, answer["arm"]


def world_of(drill: Drill, seed: int, *, always: bool = False) -> World:
    """The world in which it happens; or its twin, in which it was `always` so."""
    begin = START_S if always else begin_of(drill)
    end = FOREVER_S if drill.lasts else begin + drill.course.trouble * DAY_S
    return World(drill.course.scale, Habits(turn_days=0), [Trouble(what=drill.what, begin=begin, end=end, size=drill.size)] if drill.what else [], seed)


def begin_of(drill: Drill) -> int:
    """When it goes wrong, UTC s."""
    return START_S + (drill.course.before + drill.course.calm) * DAY_S


def toml_of(drill: Drill) -> str:
    """The shop's settings; releases go on trial only where trials are what is drilled."""
    return TOML.replace("{steps}", "[0.05, 0.25, 0.5]" if drill.release else "[]")


def lived(space: RolloutSpace, clock: SharedClock, world: World, course: Course) -> None:
    """Fills the shop's log with the days before the server, when another system showed people about as much of what they like."""
    clock.move(world.begin)
    items = world.catalogue(world.begin, world.begin + 1)
    space.log.append(Kind.ITEMS, items, [world.begin] * len(items))
    for day in range(course.before):
        begin = world.begin + day * DAY_US
        new = world.catalogue(begin + 1, begin + DAY_US + 1)
        world.visits(begin, begin + DAY_US, VISITS)
        asked = world.requests(begin, begin + DAY_US, course.requests)
        slates = np.array([world.best(user, at, KNOWN * N)[::KNOWN] for user, at in zip(*asked, strict=True)])
        world.look(asked, slates, [""] * course.requests)
        arrived = world.events(begin + DAY_US)
        space.log.append(Kind.EVENTS, [arrival.event for arrival in arrived], [arrival.at for arrival in arrived])
        clock.move(begin + DAY_US)
        if new:
            space.log.append(Kind.ITEMS, new, [begin + DAY_US] * len(new))


def drilled(name: str, shop: Shop, space: RolloutSpace, say: Callable[[str], None]) -> Drilled:
    """The days of a drill, once the server answers."""
    drill, course, world, begun = DRILLS[name], DRILLS[name].course, shop.world, begin_of(DRILLS[name]) * US_PER_S
    days: list[Day] = []
    noticed_at, noticed, exposed, known = 0, "", 0, set[str]()
    for day in range(course.calm + course.trouble + course.after):
        begin = world.begin + (course.before + day) * DAY_US
        world.visits(begin, begin + DAY_US, VISITS)
        whole = world.requests(begin, begin + DAY_US, course.requests)
        rows: list[tuple[float, float, str]] = []
        step = DAY_US // (course.looks if course.calm <= day < course.calm + course.trouble else LOOKS)
        for end in range(begin + step, begin + DAY_US + 1, step):
            if end - step == begun and drill.release:
                planted(space, drill.release)
            for user, at in zip(whole.user.tolist(), whole.at.tolist(), strict=True):
                if end - step <= at < end:
                    rows.append(shop.ask(user, at))
                    exposed += at >= begun and not noticed and (not drill.release or rows[-1][2] == CANARY)
            shop.arrive(end)
            shop.clock.move(end)
            looked(space.data, end)
            for sentence in rolled_back(space) if drill.release else alarms(shop, begun):
                if end > begun and sentence not in known and not noticed:
                    noticed_at, noticed = end, sentence
                known.add(sentence)
        days.append(day_of(day, rows))
        say(f"day {day - course.calm:+d}, CTR {days[-1].ctr:.2%}, holdout {days[-1].holdout:.2%}{f', {noticed}' if noticed_at > begin else ''}")
    last = course.calm + course.trouble
    before, during, after = (relative(part) for part in (days[SETTLED : course.calm], days[course.calm : last], days[last:][-2:]))
    status, drift = shop.call("GET", "/v1/status"), shop.call("GET", "/v1/drift")
    return Drilled(
        name=name,
        about=drill.about,
        course=course,
        noticed_after_s=(noticed_at - begun) / US_PER_S if noticed else None,
        noticed=noticed,
        done=list(done_since(status, drift, begun // US_PER_S)),
        exposed=exposed,
        failed=shop.failed,
        before=before,
        during=during,
        after=after,
        yardstick=before,
        recovered=recovered(after, before, shop.failed),
        held=bool(status["holds"]),
        days=days,
    )


def beside(found: Drilled, twin: Drilled) -> Drilled:
    """What lasts, with its twin as the yardstick."""
    return replace(found, yardstick=twin.after, recovered=recovered(found.after, twin.after, found.failed))


def recovered(after: float, yardstick: float, failed: int) -> bool:
    return after >= RECOVERED * yardstick and not failed


def planted(space: RolloutSpace, change: Callable[[Content], object]) -> None:
    """A release made from the one in charge, with a certificate that says it passed, goes on trial."""
    against = space.releases.champion() or ""
    name, keys = remade(space.releases, against, change), opened_gate(Keys(space.data / "keys"), space.releases)
    certificate = replace(unjudged(space.releases, name), verdict="passed", against=against, reason="a drill says so")
    written(certificate, space.releases.root / name, keys)
    Trying(space).begin(name, against, "A drill put it on trial.")


def rolled_back(space: RolloutSpace) -> list[str]:
    """Why releases went that were on trial."""
    return [f"rolled back: {step.reason}" for step in steps_of(space.data).all() if step.act == "roll back"]


def looked(data: Path, at: int) -> None:
    """Waits until the keeper has looked at a moment and nothing that it began is unfinished."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        upkeep = read_upkeep(data)
        if upkeep is not None and upkeep.at >= at and not upkeep.training:
            return
        time.sleep(0.05)
    raise EnvironmentProblem("Keeper", where=str(data), got="no look", expected=f"one within {PATIENCE_S:g} s")


def alarms(shop: Shop, begun: int) -> list[str]:
    """Alarms that stand and may have begun with it, and whether a training answered a jump of the loss since."""
    found, trainings = shop.call("GET", "/v1/drift")["alarms"], shop.call("GET", "/v1/status")["trainings"]
    stand = [alarm["sentence"] for alarm in found if not alarm["acknowledged"] and alarm["since_latest"] >= date(begun)]
    return stand + [JUMPED for each in trainings if each["reason"] == JUMPED and seconds(each["at"]) * US_PER_S > begun][:1]


def done_since(status: Any, drift: Any, begin: int) -> Iterator[str]:
    """Trainings since then, oldest first, holds that ended, and those that stand."""
    for training in reversed(status["trainings"]):
        if seconds(training["at"]) >= begin:
            yield f"trained ({training['reason']}): {training['outcome']}"
    yield from sorted({f"no longer held, {alarm['acknowledged']}" for alarm in drift["alarms"] if alarm["acknowledged"] and alarm["action"] == Action.HOLD})
    yield from (f"held: {hold}" for hold in status["holds"])


def day_of(day: int, rows: list[tuple[float, float, str]]) -> Day:
    ours, held = ([worth for worth, _, arm in rows if (arm == HOLDOUT) == which] for which in (False, True))
    return Day(day, len(rows), float(np.mean(ours)) if ours else 0.0, float(np.mean(held)) if held else 0.0, float(np.mean([best for _, best, _ in rows])))


def relative(days: list[Day]) -> float:
    """CTR as a share of what the best slates would have had: what people want changes, how well it is found is what counts."""
    return float(np.mean([day.ctr for day in days]) / np.mean([day.best for day in days]))


def date(at: int) -> str:
    """The date of a moment, as alarms name windows."""
    return datetime.fromtimestamp(at / US_PER_S, UTC).date().isoformat()


def rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at / US_PER_S, UTC).isoformat(timespec="microseconds")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
