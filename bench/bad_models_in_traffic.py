"""Claim bad_models_in_traffic: releases that a gate let through and that are bad all the same, on trial in a shop with 1,000 requests a second.

A simulated world (`vernal.replay.simulator`) lives for weeks in a real shop: real training, real features, real engines. Then a release goes on trial and every
request is answered as a worker would: the arm by the hash of the user, the slate by that arm's engine, slates and clicks through the log, one look of the real
`Trying` every second. Random: the ranker's leaves shuffled. Inverted: its worst first. 10x slower: as many trees. Stale: the release of three weeks before. One
segment broken: right for everybody but those who like one category most, who get the inverted order.

Each begins where any release does, in answers that nobody sees. What is refused there has harmed nobody. To see what users' own clicks find, all but the slow
one are tried once more with that stage left out, straight at 1 % of the users. A rollback is timed from the decision until a worker's arms have followed.
An answer's time counts for ten times the other release's at most, so that no pause of the machine is a release's fault: 10x slower reads as a little less.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from claims import contestant, report
from msgspec.structs import replace

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.events.schema import Kind, Slate
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.ports import StateStore
from vernal.features.records import user_key
from vernal.features.weights import hop
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Ranked, Recommender
from vernal.ranking.request import Request
from vernal.release import Release
from vernal.replay.simulator import Asked, Scale, World, world_settings
from vernal.rollout import mirroring
from vernal.rollout.shares import changed, traffic_of
from vernal.rollout.trying import Trying, steps_of
from vernal.serving.answers import Making, slate_record
from vernal.serving.arms import Arms
from vernal.serving.champion import Champion
from vernal.serving.folding import Folding
from vernal.serving.meters import Layout, Meter, Meters
from vernal.serving.slates import seed_of
from vernal.serving.traffic import CANARY, Canary
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.remade import inverted, remade, shuffled, slowed
from vernal.training.train import train

NAME = "bad_models_in_traffic"
SEEDS = (11, 12, 13)
SCALE = Scale(people=20_000, items=800)
PER_S, LONGEST_S, K = 1_000, 60, 10
YOUNG, OLD = 14, 35  # days after which the stale release and the one in charge were trained
VISITS, REQUESTS = 3_000, 1_000  # a day, while the world grows up
TIMES = 300  # as many trees: more than ten times the CPU of a request
KINDS = ("random", "inverted", "10x slower", "stale", "one segment broken")
GOOD, GOOD_S = "good", 75  # the release in charge once more: nothing may speak against it
SEEN = ("random", "inverted", "stale", "one segment broken")  # tried without the stage that nobody sees too
DAY_US = DAY_S * US_PER_S


class Lent:
    """An open state, lent to somebody who will close it."""

    def __init__(self, state: StateStore) -> None:
        self.get_with_offset, self.offset = state.get_with_offset, state.offset

    def close(self) -> None:
        """It is others' too."""


class Place(Workspace):
    """A workspace whose state is open already: no process opens one twice."""

    opened: Any = None

    def state(self, *, readonly: bool = True) -> Any:
        return Lent(self.opened) if self.opened else super().state(readonly=readonly)


class Broken(Recommender):
    """Right for everybody but those of one segment."""

    segment_broken = ""
    other: Recommender

    def recommend(self, *args: Any, **named: Any) -> Ranked:
        ranked = super().recommend(*args, **named)
        return self.other.recommend(*args, **named)._replace(release=ranked.release) if ranked.segment == self.segment_broken else ranked


class Shop:
    """One world and the shop that serves it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.world, settings = World(SCALE, seed=seed), world_settings()
        self.settings = replace(settings, rollout=replace(settings.rollout, holdout=0.0))
        self.clock = ManualClock(self.world.begin)
        self.space = Place(folder, self.settings, self.clock)
        self.folding = Folding(self.space)
        self.space.opened = self.folding.state
        self.space.log.append(Kind.ITEMS, self.world.catalogue(self.world.begin, self.world.begin + 1))
        self.folding.catch_up()
        self.live, self.asked, self.broken = LiveItems.attach(self.space.live_dir), 0, ("", "")
        self.champion: Champion[Recommender] | None = None

    def to(self, at: int) -> None:
        """What came until then is in everything."""
        arrived, new = self.world.events(at), self.world.catalogue(self.clock.at + 1, at + 1)
        if arrived:
            self.space.log.append(Kind.EVENTS, [each.event for each in arrived], [max(self.clock.at, each.at) for each in arrived])
        self.clock.at = at
        if new:
            self.space.log.append(Kind.ITEMS, new)
        while self.folding.worker.step():
            pass

    def grow(self, day: int) -> str:
        """The world lives until a day, with slates of what is popular or of the release in charge; a release of it, in charge."""
        while self.clock.at < self.world.begin + day * DAY_US:
            begin = self.clock.at
            self.world.visits(begin, begin + DAY_US // 4, VISITS // 4)
            asked = self.world.requests(begin, begin + DAY_US // 4, REQUESTS // 4)
            engine = self.engine(self.space.releases.champion())
            self.answer(asked, lambda _, engine=engine: ("champion", engine))
            self.to(begin + DAY_US // 4)
        self.folding.catch_up()
        return train(self.space)[0].name

    def engine(self, name: str | None) -> Recommender:
        return self.build(self.space.releases.open(name) if name else None)

    def build(self, release: Release | None) -> Recommender:
        plan, parts = self.space.plan, Parts.of(release, self.space.plan) if release else Parts()
        if release is None or release.name != self.broken[0]:
            return Recommender(parts, plan, self.settings)
        made = Broken(parts, plan, self.settings)
        made.segment_broken, made.other = self.broken[1], Recommender(Parts.of(self.space.releases.open(self.inverted), plan), plan, self.settings)
        return made

    def answer(self, asked: Asked, arm_of: Any) -> int:
        """Requests answered, looked at and logged; how many the canary answered."""
        slates: list[Slate] = []
        for user, at in zip(asked.user.tolist(), asked.at.tolist(), strict=True):
            self.asked += 1
            person, rec_id, began = self.world.person(user), f"s{self.asked}", time.perf_counter()
            arm, engine = arm_of(person)
            record, offset = self.folding.state.get_with_offset(user_key(person))
            request = Request(user=person, n=K)
            ranked = engine.recommend(request, user_state(self.space.plan, record, hop(at), offset), self.live, at, seed_of(rec_id))
            took_us = int(1e6 * (time.perf_counter() - began))
            slates.append(slate_record(ranked, request, rec_id, at, took_us, Making(arm)))
        self.world.look(asked, self.world.numbered([slate.items for slate in slates], K), [slate.rec_id for slate in slates])
        self.space.log.append(Kind.SLATES, slates)
        return sum(slate.arm == CANARY for slate in slates)

    def bad(self, kind: str, seed: int) -> str:
        """A bad release, sealed like any other."""
        store, good = self.space.releases, str(self.space.releases.champion())
        changes = {"random": lambda content: shuffled(content, seed), "inverted": inverted, "10x slower": lambda content: slowed(content, TIMES)}
        if kind == "stale":
            return remade(store, self.stale, lambda _: None)
        made = remade(store, good, changes.get(kind, lambda _: None))
        if kind == "one segment broken":
            self.broken = (made, "category-0")
        return made


def trial(shop: Shop, name: str, *, shadow: bool, longest_s: int = LONGEST_S) -> dict[str, Any]:
    """One release on trial until it is decided, at 1,000 requests a second; what became of it."""
    space, against = shop.space, str(shop.space.releases.champion())
    meters = Meters(space.data / "meters", "api-0", Layout([Meter("vernal_release_swaps_total", ""), Meter("vernal_release_failures_total", "")]))
    arms = Arms(Champion(space.releases, shop.build, meters), space.data, shop.settings.rollout)
    trying = Trying(space, space if shadow else None)
    mirroring.Recommender = lambda parts, *_: shop.build(space.releases.open(parts.release))  # type: ignore[assignment,misc]
    now = shop.clock.now()
    if shadow:
        trying.begin(name, against, "bench")
    else:
        canary = Canary(release=name, against=against, share=0.01, begun_at=now, step_at=now, since=space.log.end())
        changed(space, "bench", "at 1 % at once", lambda traffic: replace(traffic, canary=canary))
    arms.look()
    watch = arms.watch()
    total = exposed = exposed_s = 0
    outcome, took_s, act = "not decided", float("nan"), ""
    for _ in range(longest_s):
        begin = shop.clock.at
        asked = shop.world.requests(begin, begin + US_PER_S, PER_S)

        def arm_of(who: str) -> tuple[str, Recommender]:
            arm = arms.of(who)
            return arm.name, arm.engine

        met = shop.answer(asked, arm_of)
        total, exposed, exposed_s = total + len(asked.user), exposed + met, exposed_s + (met > 0)
        shop.to(begin + US_PER_S)
        share, began = traffic_of(space).canary.share, time.perf_counter()  # type: ignore[union-attr]
        look = trying.look()
        act = look.verdict.act if look else ""
        if act in ("roll back", "promote"):
            while arms.traffic.canary is not None:
                time.sleep(0.005)
            took_s = time.perf_counter() - began
            outcome = act
            break
        while traffic_of(space).canary.share != arms.traffic.canary.share:  # type: ignore[union-attr]
            time.sleep(0.005)
    arms.close()
    watch.join()
    if traffic_of(space).canary is not None:
        changed(space, "bench", "over", lambda traffic: replace(traffic, canary=None))
    reason = steps_of(space.data).all()[-1].reason if outcome != "not decided" else str(look.verdict.reason if look else "")
    return {"outcome": outcome, "exposed": exposed / max(total, 1), "harm_s": exposed_s, "requests": total, "took_s": took_s, "share": share, "reason": reason}


def world(seed: int) -> dict[str, Any]:
    """Every kind in one world."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder), seed)
        shop.stale = shop.grow(YOUNG)
        good = shop.grow(OLD)
        shop.inverted = remade(shop.space.releases, good, inverted)
        for kind in KINDS:
            made = shop.bad(kind, seed)
            found[kind] = trial(shop, made, shadow=True)
            if kind in SEEN:
                found[f"{kind}, seen"] = trial(shop, made, shadow=False)
            print(seed, kind, found[kind], found.get(f"{kind}, seen"), file=sys.stderr)
        found[GOOD] = trial(shop, shop.bad(GOOD, seed), shadow=True, longest_s=GOOD_S)
        print(seed, GOOD, found[GOOD], file=sys.stderr)
        shop.folding.close()
        shop.space.close()
    return found


def worlds() -> dict[int, dict[str, Any]]:
    return {seed: world(seed) for seed in SEEDS}


def run() -> dict[str, Any]:
    ran = contestant(worlds)
    found: dict[int, dict[str, Any]] = ran.value
    tried = {kind: [each[kind] for each in found.values()] for kind in KINDS}
    seen = {kind: [each[f"{kind}, seen"] for each in found.values()] for kind in SEEN}
    every = [each for trials in tried.values() for each in trials]
    back = {kind: sum(each["outcome"] == "roll back" for each in trials) / len(trials) for kind, trials in tried.items()}
    exposed, slowest = max(each["exposed"] for each in every), max((each["took_s"] for each in every if each["outcome"] == "roll back"), default=float("nan"))
    harm = max(each["harm_s"] for each in every)
    measured: dict[str, Any] = {f"rolled back, {kind}": share for kind, share in back.items()}
    measured |= {"most exposed, share of requests": exposed, "longest harm, s": harm, "slowest rollback, s": slowest}
    return {
        "claim": NAME,
        "bar": "random, inverted, 10x slower, stale, one segment broken: 100 % rolled back, at most 1 % of requests exposed, rollback under 1 s from decision, "
        "at most 60 s of simulated serving from harm to decision at 1,000 requests/s",
        "measured": measured,
        "unit": "share, s",
        "holds": min(back.values()) == 1.0 and exposed <= 0.01 and slowest < 1.0 and harm <= 60,
        "baselines": {
            f"straight to 1 % of users, {kind}": f"{sum(each['outcome'] == 'roll back' for each in trials)} of {len(trials)} rolled back, harm "
            f"{'/'.join(str(each['harm_s']) for each in trials)} s, exposed {max(each['exposed'] for each in trials):.4f}"
            for kind, trials in seen.items()
        }
        | {"a good release": f"{sum(each[GOOD]['outcome'] == 'roll back' for each in found.values())} of {len(SEEDS)} rolled back in {GOOD_S} s"},
        "seeds": list(SEEDS),
        "notes": f"{SCALE.people:,} people, {SCALE.items} items, releases of day {YOUNG} and {OLD}; {LONGEST_S} s of serving at most. Reasons: "
        + " | ".join(f"{kind}: {trials[0]['reason']}" for kind, trials in tried.items())
        + f". {ran.cpu_s:.0f} CPU s in all.",
    }


def main() -> None:
    result = run()
    report(result.pop("claim"), **result)


if __name__ == "__main__":
    main()
