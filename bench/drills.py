"""Claim drills: what goes wrong in a shop is noticed and dealt with.

    python bench/drills.py

`vernal drill all`: simulated shoppers use a real server over HTTP, whose clock the drill moves; one trouble at a time, each in a shop of its own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from claims import report

NAME = "drills"
BAR = "every drill is noticed, dealt with, and clicks are back at 90 % of what they were, without a person"
SEED = 1


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "vernal.cli", "drill", "all", "--seed", str(SEED), "--json", "--out", folder]
        found = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=False).stdout)
    report(
        NAME,
        bar=BAR,
        measured={
            "noticed": f"{sum(bool(each['noticed']) for each in found)} of {len(found)}",
            "recovered": f"{sum(each['recovered'] for each in found)} of {len(found)}",
            "training waits for a person in the end": ", ".join(each["name"] for each in found if each["held"]) or "nowhere",
        },
        unit="",
        holds=all(each["noticed"] and each["recovered"] and not each["held"] for each in found),
        baselines={each["name"]: line(each) for each in found},
        seeds=[SEED],
        notes="Clicks are true expectations, as a share of those of the best slates there are. Data is judged by the day, so nothing about data can be noticed "
        "sooner than the end of its first day. What looks like broken data holds training until a person has looked, by design; answers go on.",
    )


def line(each: dict[str, Any]) -> str:
    after = "not noticed" if each["noticed_after_s"] is None else f"noticed after {each['noticed_after_s'] / 3_600:.0f} h"
    shares = ", ".join(f"{when} {each[when]:.0%}" for when in ("before", "during", "after"))
    return f"{after}, {each['exposed']:,} requests meanwhile, {each['failed']} failed; clicks {shares}; {each['noticed']}"


if __name__ == "__main__":
    run()
