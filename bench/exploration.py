"""Claim exploration: what it costs to find out about new items, and how soon one does.

    python bench/exploration.py [--small]

Two lives of the same simulated shop (`vernal.replay.simulator`), with the server's own parts and trainings on nothing but its own log: one gives a share
of its slots to new items by Thompson sampling, one gives none. The same people come at the same moments with the same luck. Counted for the items that came
while the shop was watched: when each had been shown 100 times, and what all slates were truly worth. Each is watched equally long, so one that did not get
there counts with all of that time, and a median at that time is a least one.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from claims import contestant, report
from closedloop import DAY_US, STEP_US, K, Shop
from msgspec.structs import replace
from numpy.typing import NDArray

from vernal.config import Retrieval, Scenario, Search, Settings, Training
from vernal.evaluation.intervals import paired_ratio
from vernal.replay.simulator import Habits, Scale, World, world_settings

NAME = "exploration"
BAR = "new items reach 100 impressions at least 5 times sooner than without, at a loss of at most 1 % of all clicks"
SHARE = 0.03
SCALE = Scale(people=1_500, items=600, days=45)
BEFORE, LEARNT, WATCHED, TRAINED = 21, 3, 21, 3  # days: visits only, slates, slates that count; between trainings
EACH = 14  # days that each new item is watched
VISITS, REQUESTS = 500, 1_500  # a day
LEAST = 100  # showings
DRAWS = 2_000


def settings(share: float) -> Settings:
    return replace(
        world_settings(),
        scenarios={"home": Scenario(explore_share=share)},
        search=Search(encoder=""),
        retrieval=Retrieval(candidates=200),
        training=Training(budget_s=0, windows=2, requests=1_500, trees=150, evaluate_requests=200),
    )


def life(seed: int, share: float, scale: Scale = SCALE, watched: int = WATCHED, requests: int = REQUESTS) -> dict[str, Any]:
    """One life, in a process of its own."""
    world = World(scale, Habits(), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder), world, settings(share))
        for day in range(BEFORE):
            world.visits(begin := world.begin + day * DAY_US, begin + DAY_US, VISITS)
            shop.to(begin + DAY_US, world.events(begin + DAY_US))
        start = world.begin + (BEFORE + LEARNT) * DAY_US
        end, born = start + watched * DAY_US, world.nature.born * 1_000_000
        new = np.flatnonzero((born >= start) & (born < end - EACH * DAY_US))
        shown, reached = np.zeros(len(world.names), np.int64), np.full(len(world.names), np.inf)
        user, worth, possible, of_new, clicks_of_new = [], [], [], 0, 0
        for day in range(BEFORE, BEFORE + LEARNT + watched):
            begin = world.begin + day * DAY_US
            if (day - BEFORE) % TRAINED == 0:
                shop.train()
            world.visits(begin, begin + DAY_US, VISITS)
            whole = world.requests(begin, begin + DAY_US, requests)
            for moment in range(begin, begin + DAY_US, STEP_US):
                shop.to(moment, world.events(moment))
                rows = (whole.at >= moment) & (whole.at < moment + STEP_US)
                asked = whole._replace(user=whole.user[rows], at=whole.at[rows])
                names, ranked = shop.answered(asked, np.ones(len(asked.at), np.bool_))
                slates = world.numbered([each.ids for each in ranked], K)
                if moment >= start:
                    user += asked.user.tolist()
                    worth += world.expected(asked, slates).tolist()
                    best = np.array([world.best(*each, K) for each in zip(*asked, strict=True)], np.int32).reshape(-1, K)
                    possible += world.expected(asked, best).tolist()
                clicked = world.look(asked, slates, names)
                for row, at in enumerate(asked.at.tolist()):
                    there = slates[row][slates[row] >= 0]
                    shown[there] += 1
                    reached[there[shown[there] == LEAST]] = at
                if moment >= start:
                    fresh = np.isin(slates, new)
                    of_new, clicks_of_new = of_new + int(fresh.sum()), clicks_of_new + int(clicked[fresh].sum())
        shop.close()
    took = np.minimum(reached[new] - born[new], EACH * DAY_US)
    return {
        "hours": (took / 3.6e9).tolist(),
        "reached": (took < EACH * DAY_US).tolist(),
        "user": user,
        "worth": worth,
        "possible": possible,
        "of_new": of_new,
        "clicks_of_new": clicks_of_new,
    }


def run(seeds: Sequence[int] = tuple(range(20, 30)), **about: Any) -> None:
    pairs = [[contestant(life, seed, share, **about).value for share in (SHARE, 0.0)] for seed in seeds]
    tell(seeds, *zip(*pairs, strict=True))


def tell(seeds: Sequence[int], ours: Sequence[dict[str, Any]], none: Sequence[dict[str, Any]]) -> None:
    def joined(lives: Sequence[dict[str, Any]], name: str) -> Any:
        return np.concatenate([life[name] for life in lives])

    user = np.concatenate([np.array(life["user"]) + 1_000_000 * k for k, life in enumerate(ours)]).astype(np.int32)
    clicks = paired_ratio(joined(ours, "worth"), joined(none, "worth"), user)
    of_seed = np.repeat(np.arange(len(ours), dtype=np.int32), [len(life["user"]) for life in ours])
    by_seed = paired_ratio(joined(ours, "worth"), joined(none, "worth"), of_seed)
    each = [1 - sum(with_["worth"]) / sum(without["worth"]) for with_, without in zip(ours, none, strict=True)]
    soon, late = (float(np.median(joined(lives, "hours"))) for lives in (ours, none))
    low, high = times_sooner([(np.array(with_["hours"]), np.array(without["hours"])) for with_, without in zip(ours, none, strict=True)])
    first, first_without = (float(np.quantile(joined(lives, "hours"), 0.25)) for lives in (ours, none))
    rate = [sum(life["clicks_of_new"] for life in lives) / max(1, sum(life["of_new"] for life in lives)) for lives in (ours, none)]
    regret = [1 - joined(lives, "worth").sum() / joined(lives, "possible").sum() for lives in (ours, none)]
    report(
        NAME,
        bar=BAR,
        measured={
            "times sooner (at least)": late / soon,
            "interval of that": [low, high],
            "median hours to 100 impressions": soon,
            "median hours to 100 impressions, without (at least)": late,
            "change of all clicks": clicks.value - 1,
            "interval": [clicks.low - 1, clicks.high - 1],
            "interval, drawing seeds": [by_seed.low - 1, by_seed.high - 1],
            "of the new items, at 100 impressions in time": float(joined(ours, "reached").mean()),
            "of the new items, at 100 impressions in time, without": float(joined(none, "reached").mean()),
        },
        unit="",
        holds=late / soon >= 5 and clicks.value >= 0.99,
        baselines={
            "hours until a quarter of the new items are at 100 impressions": first,
            "hours until a quarter of the new items are at 100 impressions, without": first_without,
            "loss of all clicks, seed by seed": each,
            "CTR of new items": rate[0],
            "CTR of new items, without": rate[1],
            "regret against the best slates there are": regret[0],
            "regret, without": regret[1],
        },
        seeds=list(seeds),
        notes=f"{len(joined(ours, 'hours'))} new items, each watched for {EACH} days, of {SCALE.items}; {SCALE.people:,} people, {REQUESTS:,} requests a day "
        f"of {K} items; {SHARE:.1%} of the slots explore. An item that did not come to 100 impressions counts with those {EACH} days: a median at "
        f"{24 * EACH} hours is censored, the true one is later, which flatters the shop without exploration. Intervals at 95 %: of the times by drawing items "
        "within seeds, of the clicks, which are true expectations, by drawing people. The share, and that an item is explored for its first 4 days, were "
        "chosen on seeds 100 to 102; those of this figure were run once, for it.",
    )


def times_sooner(hours: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[float, float]:
    """The 95 % interval of the ratio of medians, drawing items within each seed, the same in both lives."""
    draw, ratios = np.random.default_rng(0), np.empty(DRAWS)
    for n in range(DRAWS):
        chosen = [draw.integers(0, len(soon), len(soon)) for soon, _ in hours]
        soon, late = (np.concatenate([pair[side][rows] for pair, rows in zip(hours, chosen, strict=True)]) for side in (0, 1))
        ratios[n] = np.median(late) / np.median(soon)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    if "--small" in sys.argv:
        run((1_000,), watched=EACH + 3, requests=300)
    else:
        run()
