"""Claim drift_power: how soon a drift is seen in a world that breathes.

Eight drifts, 20 seeds each, 5,000 rows a window, 56 windows of reference, then 14 to 20 healthy windows, then 30 of drift; delay 0 is the first drifted window.
An alarm before the drift counts as a false one and fails the run.
"""

import sys
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from claims import report
from load.breathing import SCENARIOS
from load.drills import AFTER, drill
from load.kept import kept

SEEDS = range(40_000, 40_020)  # settings were chosen on seeds 0 to 59
BARS = {"label": (1, 3), "concept_small": (1, 3), "season": (8, AFTER)}  # median, maximum; (0, 1) for the others
NEVER = AFTER + 1


def summed_up(scenario: str) -> dict[str, Any]:
    delays = [NEVER if (d := kept(drill, scenario, seed)["delay"]) is None else d for seed in SEEDS]
    return {
        "median": median([d for d in delays if d >= 0] or [NEVER]),
        "largest": max(delays),
        "missed": sum(d == NEVER for d in delays),
        "false": sum(d < 0 for d in delays),
    }


def holds(scenario: str, found: dict[str, Any]) -> bool:
    middle, most = BARS.get(scenario, (0, 1))
    return bool(found["median"] <= middle and found["largest"] <= most and not found["false"])


def run() -> dict[str, Any]:
    found = {scenario: summed_up(scenario) for scenario in SCENARIOS}
    report(
        "drift_power",
        bar="covariate shift, concept flip, new categories, missing 2 -> 6 %, unit x100: median delay 0 windows, at most 1; label shift and one weight halved: "
        "median at most 1, at most 3, no miss; ramp of .02 sd a window: median at most 8",
        measured=found,
        unit="windows of delay",
        holds=all(holds(scenario, of) for scenario, of in found.items()),
        seeds=list(SEEDS),
        notes="breathing world (weekday effect sd .03, AR(1) .6 sd .03), one promise of 1 % over all streams and 500 windows and more; rows drawn as cells "
        "(see drift_false_alarms); any alarm counts, whatever its severity; the same world in our study: Evidently's default never sees concept or missing",
    )
    return found


if __name__ == "__main__":
    run()
