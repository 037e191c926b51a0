"""Claim drills: what goes wrong in a shop is noticed and dealt with.

    python bench/drills.py [FOLDER ...]

`vernal drill` for each of the list: simulated shoppers use a real server over HTTP, whose clock the drill moves; one trouble at a time, each in a shop of its
own. With folders, drills that ran before with this seed are told instead. Writes docs/drills.md and docs/drills.svg as well.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import msgspec
from claims import RESULTS, report

from vernal.replay.drillpicture import picture
from vernal.replay.drills import CALM, DRILLS, Drilled

NAME = "drills"
BAR = "every drill is noticed, dealt with, and clicks are back at 90 % of what is usual, without a person; nothing is noticed where nothing goes wrong"
SEED = 1
DOCS = Path(__file__).resolve().parent.parent / "docs"
HEAD = """# Drills

Made by `make bench CLAIM=drills`; do not edit. Each row is one run of `vernal drill NAME`: simulated shoppers use a real server over HTTP in a shop of its own,
something goes wrong, and nobody steps in. Clicks are true expectations that only the simulator knows, as a share of those of the best slates there are, before,
while it lasts, and on the last two days. Back means 90 % of the yardstick: what was before. Where something is new and lasts, the best slates are others, and
harder to find or easier: there the yardstick is a twin shop on the same two days, with the same people and the same luck, in which it was so from the
beginning. Data is judged by the day, so nothing about data is noticed before the end of its first day. What counts as noticed is an alarm about something
that may have begun with the trouble, or a jump of the loss of the release in charge; in `calm` either would be a false alarm.

![Day by day](drills.svg)

| drill | what goes wrong | noticed after | requests meanwhile | before | during | after | yardstick | back | held in the end |
|---|---|---|---|---|---|---|---|---|---|"""


def run(folders: Sequence[str] = ()) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in [] if folders else DRILLS:
            subprocess.run([sys.executable, "-m", "vernal.cli", "drill", name, "--seed", str(SEED), "--out", f"{folder}/{name}"], check=False)
        files = [Path(each) / "drills.json" for each in folders or [f"{folder}/{name}" for name in DRILLS]]
        found = [each for file in files for each in msgspec.json.decode(file.read_bytes(), type=list[Drilled])]
    order = list(DRILLS)
    tell(sorted(found, key=lambda each: order.index(each.name)))


def tell(found: Sequence[Drilled]) -> None:
    wrong = [each for each in found if each.name != CALM]
    report(
        NAME,
        bar=BAR,
        measured={
            "noticed": f"{sum(bool(each.noticed) for each in wrong)} of {len(wrong)}",
            "noticed where nothing goes wrong": ", ".join(each.noticed for each in found if each.name == CALM) or "nothing",
            "recovered": f"{sum(each.recovered for each in wrong)} of {len(wrong)}",
            "training waits for a person in the end": ", ".join(each.name for each in found if each.held) or "nowhere",
        },
        unit="",
        holds=len(found) == len(DRILLS) and all(bool(each.noticed) == (each.name != CALM) and each.recovered and not each.held for each in found),
        baselines={each.name: line(each) for each in found},
        seeds=[SEED],
        notes="Clicks are true expectations, as a share of those of the best slates there are; docs/drills.md has the table and the words. The yardstick is "
        "what was before; of the two drills about what lasts, a twin shop on the same days in which it was always so. Data is judged by the day, so nothing "
        "about data is noticed sooner than the end of its first day. What looks like broken data holds training until it has been as usual for two days; "
        "answers go on. What lasts is watched until it is learnt: 28 days for the new category, 35 for the taste of 70 % of the people.",
    )
    (DOCS / "drills.svg").write_text(picture(found), encoding="utf-8")
    (DOCS / "drills.md").write_text(page(json.loads((RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))), encoding="utf-8")


def line(each: Drilled) -> dict[str, Any]:
    return {
        "about": each.about,
        "noticed after, h": None if each.noticed_after_s is None else each.noticed_after_s / 3_600,
        "requests meanwhile": each.exposed,
        "failed": each.failed,
        "clicks before, during, after; yardstick": [each.before, each.during, each.after, each.yardstick],
        "recovered": each.recovered,
        "held": each.held,
        "words": each.noticed,
        "done": each.done,
    }


def page(result: Mapping[str, Any]) -> str:
    """docs/drills.md of a result."""
    drills: Mapping[str, Mapping[str, Any]] = result["baselines"]
    rows, words = [], []
    for name, each in drills.items():
        after = "never" if each["noticed after, h"] is None else f"{each['noticed after, h']:.1f} h"
        shares = " | ".join(f"{share:.0%}" for share in each["clicks before, during, after; yardstick"])
        back, held = ("yes" if each[key] else "no" for key in ("recovered", "held"))
        rows.append(f"| {name} | {each['about']} | {after} | {each['requests meanwhile']:,} | {shares} | {back} | {held} |")
        words += ["", f"## {name}", "", each["words"] or "Nobody noticed anything.", *(["", *(f"- {act}" for act in each["done"])] if each["done"] else [])]
    return "\n".join([HEAD, *rows, *words, ""])


if __name__ == "__main__":
    run(sys.argv[1:])
