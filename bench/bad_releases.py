"""Claim bad_releases: seven kinds of bad release, none of which may serve, and honest retrains, which should.

Each seed is a village with tastes and fashions of its own: a release in charge, a challenger trained two days later. The challenger is made over (NaN in a
leaf, leaves shuffled, leaves turned round, as many trees as take ten times the CPU, another schema), sealed again with every hash right, and judged; or it
passes and its certificate is signed by another key, or edited. A bad release counts as refused only when promotion refuses it, and a server that is told to
open it too.

Honest: the first release of each village, a retrain after two days (no worse by construction), after eight (the release in charge asked as it stands) and one
under other settings (the old settings really fitted on the same data).
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from claims import contestant, report
from msgspec.structs import replace

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Settings
from vernal.errors import ReleaseError
from vernal.events.schema import Kind
from vernal.rollout.certificate import FILE, Certificate, Keys, written
from vernal.rollout.gate import judge, promote
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.remade import Content, inverted, not_a_number, remade, shuffled, slowed
from vernal.testing.village import START_US, village_events, village_items, village_settings
from vernal.training.train import train

NAME = "bad_releases"
SEEDS = range(100, 120)  # the gate's bounds and the size of the village were settled on seeds below 10
ITEMS, USERS, PER_DAY = 150, 80, 200
TIMES = 4_000  # as many trees; 2,000 made some only 8 times slower on these seeds (all refused too)
DAYS, SOON, LATE = 30, 2, 8
DAY_US = DAY_S * US_PER_S


class Village:
    """A workspace in which days pass."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.settings, self.clock, self.day = folder, village_settings(), ManualClock(START_US), 0
        self.events = village_events(items := village_items(ITEMS), USERS, 2 * DAYS, PER_DAY, seed)
        self.space = Workspace(folder, self.settings, self.clock)
        self.space.log.append(Kind.ITEMS, items, [START_US] * len(items))
        self.live(DAYS)

    def live(self, days: int) -> None:
        begin, end = (START_US + day * DAY_US for day in (self.day, self.day + days))
        new = [event for event in self.events if begin <= event.time < end]
        self.space.log.append(Kind.EVENTS, new, [event.time for event in new])
        self.day, self.clock.at = self.day + days, end

    def trained(self, settings: Settings | None = None) -> Certificate:
        """An honest release, judged."""
        with Workspace(self.folder, settings or self.settings, self.clock) as space:
            return judge(space, train(space, promote=False)[0].name)


def another_schema(content: Content, seed: int) -> None:
    """A feature plan, feature names, shapes or item numbers that are not those of the settings and the log."""
    match seed % 4:
        case 0:
            content.lineage = replace(content.lineage, plan="0" * 64)
        case 1:
            names = content.texts["ranker"]["names"]
            names[seed % len(names)] = "another feature"
        case 2:
            content.arrays["ranker_leaf"] = content.arrays["ranker_leaf"][:, :-1]
        case _:
            content.texts["static"] = [[item, number + 1] for item, number in content.texts["static"]]


CONTENT: dict[str, Callable[[Content, int], object]] = {
    "NaN scores": not_a_number,
    "random order": shuffled,
    "inverted order": lambda content, _: inverted(content),
    "10x slower": lambda content, _: slowed(content, TIMES),
    "wrong schema": another_schema,
}


def stopped(space: Workspace, name: str) -> bool:
    """Whether neither promotion nor a server told to open it takes this release."""
    refusals = 0
    for attempt in (lambda: promote(space, name, "bench"), lambda: space.releases.admit(name)):
        try:
            attempt()
        except ReleaseError:
            refusals += 1
    return refusals == 2


def forged(space: Workspace, name: str, folder: Path) -> str:
    """A release that passed, its certificate signed by another gate."""
    written(judge(space, name), space.releases.root / name, Keys(folder / "another gate"))
    return name


def edited(space: Workspace, name: str, seed: int) -> str:
    """A refused release whose certificate is made to say it passed, or one that passed with a byte changed anywhere."""
    bad = seed % 2 == 0
    made = remade(space.releases, name, inverted if bad else lambda _: None)
    judge(space, made)
    file = space.releases.root / made / FILE
    content = bytearray(file.read_bytes())
    at = int(np.random.default_rng(seed).integers(len(content)))
    content[at] ^= 1
    file.write_bytes(file.read_bytes().replace(b'"verdict": "refused"', b'"verdict": "passed"') if bad else content)
    return made


def village(seed: int) -> dict[str, Any]:
    """What became of every bad and every honest release of one village."""
    with tempfile.TemporaryDirectory() as place:
        world = Village(Path(place), seed)
        honest = {"first": world.trained()}
        promote(world.space, honest["first"].release, "bench")
        world.live(SOON)
        honest["after 2 days"] = soon = world.trained()
        deeper = replace(world.settings, training=replace(world.settings.training, trees=60, seed=1))
        honest["other settings"] = world.trained(deeper)
        bad, by = {}, {}
        for kind, change in CONTENT.items():
            found = judge(world.space, remade(world.space.releases, soon.release, lambda content, change=change: change(content, seed)))
            bad[kind], by[kind] = (
                stopped(world.space, found.release),
                [check.name.split()[0] if "slice" in check.name else check.name for check in found.refusals],
            )
            if kind == "10x slower":
                slower = next(check.figure for check in found.checks if check.name == "latency")
        bad["edited certificate"] = stopped(world.space, edited(world.space, soon.release, seed))
        bad["foreign signature"] = stopped(world.space, forged(world.space, remade(world.space.releases, soon.release, lambda _: None), Path(place)))
        world.live(LATE - SOON)
        honest["after 8 days"] = world.trained()
        world.space.close()
        accepted = {kind: certificate.verdict == "passed" for kind, certificate in honest.items()}
        reasons = {kind: certificate.reason for kind, certificate in honest.items() if certificate.verdict != "passed"}
        return {"bad": bad, "by": by, "slower": slower, "honest": accepted, "reasons": reasons}


def villages() -> list[dict[str, Any]]:
    return [village(seed) for seed in SEEDS]


def run() -> dict[str, Any]:
    ran = contestant(villages)
    found: list[dict[str, Any]] = ran.value
    refused = {kind: sum(each["bad"][kind] for each in found) for kind in found[0]["bad"]}
    honest = {kind: sum(each["honest"][kind] for each in found) for kind in found[0]["honest"]}
    by = {kind: dict(Counter(name for each in found for name in each["by"][kind])) for kind in CONTENT}
    slower = [each["slower"] for each in found]
    why = [f"seed {seed}, {kind}: {reason}" for seed, each in zip(SEEDS, found, strict=True) for kind, reason in each["reasons"].items()]
    n = len(SEEDS)
    return {
        "claim": NAME,
        "bar": f"NaN scores, random order, inverted order, 10x slower, wrong schema, foreign signature, edited certificate, {n} seeds each: 100 % refused",
        "measured": {**{f"refused, {kind}": times / n for kind, times in refused.items()}, "honest accepted": sum(honest.values()) / (n * len(honest))},
        "unit": "share of releases",
        "holds": all(times == n for times in refused.values()) and min(slower) >= 10 and by["10x slower"]["latency"] == n,
        "baselines": {f"honest accepted, {kind}": times / n for kind, times in honest.items()},
        "seeds": list(SEEDS),
        "notes": f"A village of {USERS} people, {ITEMS} goods, {PER_DAY} events a day. Slower by {min(slower):.1f} to {max(slower):.1f} times. "
        f"Which checks refused, out of {n}: {by}. Honest releases refused: {'; '.join(why) or 'none'}. {ran.cpu_s:.0f} CPU s in all.",
    }


def main() -> None:
    result = run()
    report(result.pop("claim"), **result)


if __name__ == "__main__":
    main()
