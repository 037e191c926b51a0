"""Claim uplift: what it brings to know who asks, where the truth is known.

    python bench/uplift.py [--small]

Simulated shops (`vernal.replay.simulator`) of three kinds: people who go down the slate and give up, people who look at each place by itself, and people
whose tastes were fitted by another kind of model on a real film log, all of it. The shop is the server's own parts; it begins with three weeks of visits,
trains on nothing but its own log, and has a share of the people on the holdout: the non-personalised list (of `evaluation.baselines`, as fresh as the shop)
that was truly the best in the days before the test, which no real shop could know.

Everybody lives twice with the same luck, once with the shop's slates, once with the list, and remembers what they were shown in that life; only the life they
were assigned to reaches the log. The truth is what all of them would click in either life. The shop itself knows the assigned clicks alone, and estimates.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from claims import contestant, report
from closedloop import DAY_US, STEP_US, K, Shop, popular
from logs import SHARED, found, log_of
from msgspec.structs import replace
from numpy.typing import NDArray

from vernal.config import Retrieval, Scenario, Search, Settings, Training
from vernal.evaluation.baselines import grid
from vernal.evaluation.intervals import paired_ratio
from vernal.evaluation.sequences import Moments, ratio
from vernal.events.history import Catalogue, History
from vernal.events.schema import Kind, Slate
from vernal.replay.simulator import Asked, Habits, Scale, World, world_settings

NAME = "uplift"
BAR = (
    "CTR at least 18 % above the best non-personalised list with an interval that excludes 0 under each of three click models; the holdout's estimate covers it"
)
SCALE = Scale(people=1_500, items=600, days=45)
HABITS = {
    "cascade": Habits(family="cascade"),
    "position": Habits(family="position"),
    "affinity": Habits(family="affinity", habit=0.5, dim=16),
}
FILMS, FANS = 800, 1_500  # of the real log: the films chosen most, the people who chose most of them
BEFORE, LEARNT, TESTED, TRAINED = 21, 4, 2, 2  # days; the last between trainings
VISITS, REQUESTS = 500, 1_500  # a day
HOLDOUT = 0.2


def settings() -> Settings:
    return replace(
        world_settings(),
        scenarios={"home": Scenario(explore_share=0.02)},
        search=Search(encoder=""),
        retrieval=Retrieval(candidates=200),
        training=Training(budget_s=0, windows=2, requests=1_500, trees=150, evaluate_requests=200),
    )


def films() -> tuple[History, Catalogue]:
    """The part of a film log that is dense enough to fit everybody's taste on, all of it."""
    history, catalogue = log_of("movietweetings", ["genres"])
    item = np.argsort(-np.bincount(history.item, minlength=history.n_items), kind="stable")[:FILMS]
    rows = np.isin(history.item, item)
    user = np.argsort(-np.bincount(history.user[rows], minlength=len(history.users)), kind="stable")[:FANS]
    kept = np.flatnonzero(rows & np.isin(history.user, user))
    names, users = {int(number): k for k, number in enumerate(np.sort(item))}, {int(number): k for k, number in enumerate(np.sort(user))}
    part = history.rows(kept)
    dense = History(
        [history.users[number] for number in sorted(users)],
        np.array([users[int(number)] for number in part.user], np.int32),
        np.array([names[int(number)] for number in part.item], np.int32),
        part.type, part.time, part.received_at, part.value, part.offset, FILMS,
    )  # fmt: skip
    chosen = np.sort(item)
    ids, titles = [catalogue.ids[n] for n in chosen], [catalogue.titles[n] for n in chosen]
    codes, flags = catalogue.attributes[chosen], catalogue.flags[chosen]
    return dense, Catalogue(ids, titles, [""] * FILMS, ["genres"], codes, catalogue.vocabularies, flags)


class Lives:
    """Everybody's two lives, and the shop that knows one of each."""

    def __init__(self, folder: Path, family: str, seed: int) -> None:
        log = films() if family == "affinity" else None
        self.ours, self.theirs = (World(SCALE, HABITS[family], seed=seed, log=log) for _ in range(2))
        self.held = np.random.default_rng([seed, 1]).random(len(self.ours.nature.taste)) < HOLDOUT
        self.shop = Shop(folder, self.ours, settings())
        self.item, self.at_s = np.empty(0, np.int64), np.empty(0, np.int64)

    def to(self, at: int) -> None:
        """What people did in the life that they were assigned to arrives."""
        arrived = [a for world, held in ((self.ours, False), (self.theirs, True)) for a in world.events(at) if self.held[self.person(a.event.user)] == held]
        arrived.sort(key=lambda arrival: arrival.at)
        self.shop.to(at, arrived)
        self.item = np.append(self.item, [self.ours.number[a.event.item] for a in arrived]).astype(np.int64)
        self.at_s = np.append(self.at_s, [a.event.time // 1_000_000 for a in arrived]).astype(np.int64)
        self.arrived = arrived

    def person(self, user: str) -> int:
        return int(user.rpartition("-")[2])

    def visits(self, day: int, n: int) -> None:
        begin = self.ours.begin + day * DAY_US
        self.ours.visits(begin, begin + DAY_US, n)
        self.theirs.visits(begin, begin + DAY_US, n)

    def lists(self, at: int) -> list[NDArray[np.int32]]:
        """Every non-personalised list just then."""
        return [popular(kind, self.item, self.at_s, at // 1_000_000, len(self.ours.names)) for kind in grid()]

    def answered(self, asked: Asked, listed: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """True expected clicks of each request in either life; people look, and the log gets the slate of the life they were assigned to."""
        held, n = self.held[asked.user], len(asked.at)
        names, ranked = self.shop.answered(asked, ~held)
        slates, same = self.ours.numbered([each.ids for each in ranked], K), np.tile(listed, (n, 1))
        worth = self.ours.expected(asked, slates), self.theirs.expected(asked, same)
        self.ours.look(asked, slates, names)
        self.theirs.look(asked, same, names)
        numbers = np.array([self.shop.live.number(self.ours.names[i]) for i in listed], np.uint32).tobytes()
        records = [self.record(asked, row, names[row], listed, numbers) for row in np.flatnonzero(held)]
        if records:
            self.shop.workspace.log.append(Kind.SLATES, records)
        return worth

    def record(self, asked: Asked, row: int, name: str, listed: NDArray[np.int32], numbers: bytes) -> Slate:
        who, items, sure = self.ours.person(int(asked.user[row])), [self.ours.names[i] for i in listed], np.ones(len(listed), np.float32).tobytes()
        return Slate(name, int(asked.at[row]), who, "home", "holdout", "", "trending", b"{}", 0, 0, 0, 0, items, numbers, sure, sure, b"")


def life(family: str, seed: int, requests: int = REQUESTS, tested: int = TESTED) -> dict[str, Any]:
    """One world, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        lives = Lives(Path(folder), family, seed)
        for day in range(BEFORE):
            lives.visits(day, VISITS)
            lives.to(lives.ours.begin + (day + 1) * DAY_US)
        tuning, chosen = np.zeros(len(grid())), 0
        user, ours, theirs, slates, clicks = [], [], [], dict[str, tuple[int, bool]](), dict[str, int]()
        for day in range(BEFORE, BEFORE + LEARNT + tested):
            if (day - BEFORE) % TRAINED == 0:
                lives.shop.train()
            lives.visits(day, VISITS)
            begin, testing = lives.ours.begin + day * DAY_US, day >= BEFORE + LEARNT
            if testing:
                chosen = int(tuning.argmax())
            whole = lives.ours.requests(begin, begin + DAY_US, requests)
            for moment in range(begin, begin + DAY_US, STEP_US):
                lives.to(moment)
                clicks |= {a.event.rec_id: clicks.get(a.event.rec_id, 0) + 1 for a in lives.arrived if a.event.rec_id}
                rows = (whole.at >= moment) & (whole.at < moment + STEP_US)
                asked = Asked(whole.user[rows], whole.at[rows])
                every, first = lives.lists(moment), lives.shop.asked
                if not testing:
                    tuning += [float(lives.theirs.expected(asked, np.tile(each, (len(asked.at), 1))).sum()) for each in every]
                    chosen = int(tuning.argmax())
                worth = lives.answered(asked, every[chosen])
                if testing:
                    user += asked.user.tolist()
                    ours += worth[0].tolist()
                    theirs += worth[1].tolist()
                    slates |= {f"s{first + row}": (int(who), bool(lives.held[who])) for row, who in enumerate(asked.user)}
        lives.to(begin + 2 * DAY_US)
        clicks |= {a.event.rec_id: clicks.get(a.event.rec_id, 0) + 1 for a in lives.arrived if a.event.rec_id}
        lives.shop.close()
    live = ratio(moments(slates, clicks, held=False), moments(slates, clicks, held=True), 0.05)
    return {"user": user, "ours": ours, "theirs": theirs, "live": list(live), "list": grid()[chosen].name}


def moments(slates: dict[str, tuple[int, bool]], clicks: dict[str, int], *, held: bool) -> Moments:
    """Of the people of an arm, as the shop's own log has them."""
    mine = [(user, clicks.get(name, 0)) for name, (user, where) in slates.items() if where == held]
    who, n = np.unique([user for user, _ in mine], return_inverse=True)
    return Moments.of(np.bincount(n, [count for _, count in mine], len(who)), K * np.bincount(n, minlength=len(who)).astype(np.float64))


def run(seeds: Sequence[int] = tuple(range(10)), **about: Any) -> None:
    measured: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    held, covered, n = True, 0, 0
    for family in HABITS:
        lives = [contestant(life, family, seed, **about).value for seed in seeds]
        user = np.concatenate([np.array(each["user"]) + 1_000_000 * k for k, each in enumerate(lives)]).astype(np.int32)
        gain = paired_ratio(*(np.concatenate([each[name] for each in lives]) for name in ("ours", "theirs")), user)
        each = [sum(life["ours"]) / sum(life["theirs"]) - 1 for life in lives]
        inside = [live["live"][1] <= true <= live["live"][2] for live, true in zip(lives, each, strict=True)]
        covered, n = covered + sum(inside), n + len(inside)
        held &= gain.value >= 1.18 and gain.low > 1
        measured |= {f"{family}, CTR over the best list": gain.value - 1, f"{family}, interval": [gain.low - 1, gain.high - 1]}
        baselines |= {f"{family}, by seed": each, f"{family}, the best list": [life["list"] for life in lives]}
        baselines |= {f"{family}, live estimate": [life["live"] for life in lives]}
    measured |= {"live estimates of the holdout that cover the truth": f"{covered} of {n}"}
    report(
        NAME,
        bar=BAR,
        measured=measured,
        unit="",
        holds=held and covered >= 0.95 * n - 2 * np.sqrt(0.05 * 0.95 * n),
        baselines=baselines,
        seeds=list(seeds),
        notes=f"{SCALE.people:,} people, {SCALE.items} items ({FANS:,} and {FILMS} of the film log), {REQUESTS:,} requests a day of {K} items, {TESTED} days "
        f"tested after {LEARNT} of learning, {HOLDOUT:.0%} of the people on the holdout. How much there is to gain was invented for two of the three "
        "worlds: a random item is clicked by 1 % of those who look at it. CTR is true expected clicks; intervals are over people. The live interval holds "
        "at all looks together.",
    )


if __name__ == "__main__":
    if not found("movietweetings"):
        sys.exit(f"{NAME}: needs {SHARED}")
    run(*(((1_000,),) if "--small" in sys.argv else ()))
