"""Claim drift_cause: the column that really moved is among the first three named when the first alarm rings.

The runs are those of drift_power. A drift of the labels alone has no column: right is to name
the rate or the calibration bias.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from claims import report
from load.breathing import SCENARIOS
from load.drills import drill
from load.kept import kept

SEEDS = range(40_000, 40_020)
FIRST = 3
OUTCOMES = {"rate", "bias", "slope", "excess_loss", "entropy"}


def judged(scenario: str, seed: int) -> tuple[bool, int, int]:
    """Whether a true column is among the first named, how many columns were named, and how many of them wrongly."""
    named = kept(drill, scenario, seed)["named"]
    true = set(SCENARIOS[scenario])
    columns = [n for n in named if n not in OUTCOMES and n not in ("score", "auc", "volume")]
    return bool(true & set(named[:FIRST])), len(columns), len([c for c in columns if c not in true])


def run() -> dict[str, Any]:
    found = {scenario: [judged(scenario, seed) for seed in SEEDS] for scenario in SCENARIOS}
    right = {scenario: sum(ok for ok, _, _ in runs) / len(runs) for scenario, runs in found.items()}
    everything = [one for runs in found.values() for one in runs]
    share = sum(ok for ok, _, _ in everything) / len(everything)
    wrong = sum(w for _, _, w in everything) / max(sum(n for _, n, _ in everything), 1)
    report(
        "drift_cause",
        bar="the column that moved is among the first three named in at least 95 % of runs",
        measured={"right": share, **{f"right: {s}": r for s, r in right.items()}, "columns named wrongly": wrong},
        unit="share",
        holds=share >= 0.95,
        seeds=list(SEEDS),
        notes="named are the columns e-BH lists (false discovery rate 10 %) in the window of the first alarm, strongest evidence first; a miss counts as wrong",
    )
    return right


if __name__ == "__main__":
    run()
