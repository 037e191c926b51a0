"""Claim good_models: whether a release that earns 10 % more is promoted, and how many items have to be shown before.

Each run is a shop of its own whose release on trial goes from the shadow through all steps, looked at after every 100 requests. The published figure is of
a confidence sequence that excludes no difference with both arms at half the traffic; ours is asked the same, beside the promotion, which asks less.
"""

import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from claims import report
from load.canaries import End, Release, Shop, trial

from vernal.config import Rollout
from vernal.evaluation.sequences import ratio

RUNS, FIRST_SEED = 100, 60_000  # sizes of bets and parts of the promise were chosen on seeds below 1,000
PUBLISHED, WITHIN = 78_000, 1.3
RULES = Rollout()
BETTER = Release(clicks=1.1)
LONGEST_S = 5 * 6 * 3_600.0
MOST = 500_000  # items shown per arm


class Found(NamedTuple):
    """Runs in one kind of shop."""

    promoted: int
    shown: float  # median, by the release on trial, in all steps
    last_step: float  # median, per arm
    hours: float


def trials(heavy: float, clicks: float = 1.1) -> list[End]:
    return [trial(Shop(FIRST_SEED + run, Release(clicks), heavy=heavy, requests_s=100.0), RULES, 100, LONGEST_S) for run in range(RUNS)]


def found(ends: list[End]) -> Found:
    shown, step, seconds = (float(np.median([getattr(end, name) for end in ends])) for name in ("impressions", "of_the_step", "after_s"))
    return Found(sum(end.verdict.act == "promote" for end in ends), shown, step, seconds / 3_600)


def told_apart(run: int) -> float:
    """Items shown per arm until the interval, 95 % at all looks together, excludes no difference; both arms have half the traffic, users are all alike."""
    place = Shop(FIRST_SEED + run, BETTER, heavy=0.0, requests_s=100.0)
    for _ in range(MOST // 2_000):
        place.run(400, 0.5)
        canary, control = place.arm(1).reward, place.arm(0).reward
        if ratio(canary, control, 0.025).low > 0:
            return min(canary.impressions, control.impressions)
    return float(MOST)


def run() -> None:
    alike, differ, worse = found(trials(0.0)), found(trials(0.5)), found(trials(0.5, 0.9))
    apart = float(np.median([told_apart(run) for run in range(RUNS)]))
    report(
        "good_models",
        bar=f"a release that earns 10 % more is promoted in at least 90 of 100 runs, after {WITHIN} times the published {PUBLISHED:,} items per arm at most",
        measured={
            "promoted, users all alike": alike.promoted,
            "promoted, users who differ": differ.promoted,
            "items it showed before, users all alike": alike.shown,
            "items it showed before, users who differ": differ.shown,
            "items per arm until no difference is excluded": apart,
        },
        unit="median of 100 runs",
        holds=min(alike.promoted, differ.promoted) >= 0.9 * RUNS and max(alike.shown, differ.shown, apart) <= WITHIN * PUBLISHED,
        baselines={
            "published, until no difference is excluded": PUBLISHED,
            "items per arm in the last step, users all alike": alike.last_step,
            "hours at 100 requests/s, users all alike": round(alike.hours, 2),
            "promoted of 100 that earn 10 % less, users who differ": worse.promoted,
        },
        seeds=[FIRST_SEED, FIRST_SEED + RUNS - 1],
        notes="seeds from the first to the last named. CTR 2 %, 20,000 users, 100 requests/s of ten items. A promotion excludes a loss of rollout.margin (5 %) "
        "at 5 %; that no difference is excluded is asked at 95 %, two-sided, every 2,000 items per arm, as in the published figure. Users who differ: gamma "
        "rates of clicks and of visits with half the squared mean as variance.",
    )


if __name__ == "__main__":
    run()
