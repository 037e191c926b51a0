"""Claim staleness_replay: the loop replayed on MovieTweetings, a look a week from week 8 of 36, the 5 % / 14 days / 7 days of the defaults.

Everything goes through `vernal.replay.loop`, as the verb does: policies frozen, monthly and vernal (weekly would be vernal again), a training per look shared
by all of them and by the always fresh yardstick, every release in charge asked the same 400 requests of each week. Looks are weekly, so the policy `vernal`
has a cadence of a week and an age limit of two.

A release of ours answers from live lists, counters and user state, however old its models are. What is frozen elsewhere is all of it. So each fixed cadence
is asked twice: as it is here, and as a batch shop, whose lists, counters and users stand still from one training to the next (the same release, the same
code, on a walk that stands). A batch shop's yardstick is the batch shop of the newest look.
"""

import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from claims import contestant, report
from logs import SHARED, found

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Settings, parse
from vernal.evaluation.backtest import Backtest, plain
from vernal.evaluation.splits import Cases, cases
from vernal.events.importing import import_events
from vernal.features.fold import UserState
from vernal.features.live import LiveItems
from vernal.features.walk import Walk
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Recommender
from vernal.release import Release
from vernal.replay.loop import FRESH, Course, Machine, Story, content, course, thrifty
from vernal.replay.space import Past
from vernal.rollout.staleness import incidents
from vernal.terms import US_PER_S

NAME = "staleness_replay"
SEEDS = (1, 2, 3)
EIGHT_WEEKS = 8
CASES = 400  # a week
FIXED = ("frozen", "monthly")
NEWEST = "weekly"  # the batch shop of the newest look
THROUGHOUT = 0.8  # share of the weeks; the first two cannot be stale yet
GAIN = 0.4
BAR = "frozen and monthly: incidents throughout; vernal: 0, Recall@20 within 5 % of always fresh every week, +40 % over frozen at 8 weeks, 0 age breaches"
TREE: dict[str, Any] = {
    "events": {
        "files": ["events.parquet"],
        "types": {"rating": {}},
        "default_type": "rating",
        "columns": {"user": "user_id", "item": "item_id", "type": "", "time": "timestamp"},
    },
    "items": {"files": ["items.parquet"], "id": "item_id", "attributes": ["genres", "year"]},
}


class Standing:
    """A walk that stands where a training was: what a shop knows that refreshes everything then and nothing in between."""

    def __init__(self, walk: Walk, at: int) -> None:
        walk.to(at)
        self.walk, self.at, self.history, self.settings = walk, at, walk.history, walk.settings

    @property
    def live(self) -> LiveItems:
        return self.walk.live

    def to(self, at: int) -> None:
        """Stays."""

    def user(self, user: int, at: int) -> UserState:  # noqa: ARG002
        return self.walk.user(user, self.at)


class Batch:
    """Batch shops: the releases of the machine's policies, each on the walk that stands at its training."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.walks: dict[str, Standing] = {}
        self.quality: dict[str, list[float]] = {policy: [] for policy in (*FIXED, NEWEST)}

    def step(self, moment: int) -> None:
        """Asks every batch shop what the machine asked of the live ones at this look."""
        machine, everything = self.machine, self.machine.all
        charged = {shop.policy: shop.charged for shop in machine.shops if shop.policy in FIXED and shop.charged is not None}
        charged[NEWEST] = machine.trainings.at(moment)
        self.walks = {content(release): self.walks.get(content(release)) or self.standing(release) for release in charged.values()}
        end = moment + machine.course.every_s * US_PER_S
        training = machine.settings.training
        chosen = cases(everything.history, everything.settings.events, moment, end, training.moments).sample(training.evaluate_requests, training.seed)
        means = {name: self.asked(release, chosen) for name, release in {content(release): release for release in charged.values()}.items()}
        for policy, release in charged.items():
            self.quality[policy].append(means[content(release)])

    def standing(self, release: Release) -> Standing:
        everything = self.machine.all
        walk = Walk(everything.plan, everything.settings, everything.history, everything.catalogue)
        return Standing(walk, release.manifest.lineage.as_of)

    def asked(self, release: Release, chosen: Cases) -> float:
        plan, settings = self.machine.all.plan, self.machine.settings
        walk: Any = self.walks[content(release)]
        test = Backtest(Recommender(Parts.of(release, plan), plan, plain(settings)), walk, chosen)
        for case in range(len(chosen)):
            test.ask(case)
        return test.quality.means()[settings.rollout.metric]


def settings(seed: int) -> Settings:
    made = thrifty(parse(TREE))
    return replace(made, training=replace(made.training, seed=seed, evaluate_requests=CASES))


def one(seed: int) -> dict[str, Any]:
    """One seed: the figures of every policy."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for file in ("events.parquet", "items.parquet"):
            (folder / file).symlink_to((SHARED / "movietweetings" / file).resolve())
        with Workspace(folder, settings(seed), ManualClock()) as workspace:
            import_events(workspace.settings, folder, workspace.log)
            past = Past(workspace)
            chosen = course(past, policies=("frozen", "monthly", "vernal"))
            return figures(past, chosen, folder / "replay", workspace.settings)


def figures(past: Past, chosen: Course, folder: Path, told: Settings) -> dict[str, Any]:
    machine = Machine(past, chosen, folder, told)
    batch = Batch(machine)
    for number, moment in enumerate(chosen.looks, 1):
        machine.step(moment)
        batch.step(moment)
        print(machine.line(number), {policy: round(values[-1], 4) for policy, values in batch.quality.items()}, file=sys.stderr, flush=True)
    story, spent = machine.story(), machine.spent()
    live = {found.policy: found for found in story.outcomes}
    stood = {policy: np.array(values) for policy, values in batch.quality.items()}
    vernal, frozen = story.series("vernal"), story.series("frozen")
    return {
        "weeks": len(story.units),
        "incidents": {policy: len(found.incidents) for policy, found in live.items()},
        "share of weeks in incidents": {policy: in_incidents(story, story.regret(policy)) for policy in live},
        "worst week against fresh": {policy: found.worst_week for policy, found in live.items()},
        "mean against fresh": {policy: found.against_fresh for policy, found in live.items()},
        "trainings": {policy: found.trainings for policy, found in live.items()},
        "refused": {policy: found.refusals for policy, found in live.items()},
        "alarms": {policy: found.alarms for policy, found in live.items()},
        "age breaches": {policy: found.age_breaches for policy, found in live.items()},
        "recall@20": {FRESH: float(np.nanmean(story.series(FRESH)))} | {policy: found.quality for policy, found in live.items()},
        "over frozen at 8 weeks": float(vernal[EIGHT_WEEKS] / frozen[EIGHT_WEEKS] - 1),
        "batch recall@20": {policy: float(values.mean()) for policy, values in stood.items()},
        "batch share of weeks in incidents": {policy: in_incidents(story, 1 - values / stood[NEWEST]) for policy, values in stood.items()},
        "over batch frozen at 8 weeks": float(vernal[EIGHT_WEEKS] / stood["frozen"][EIGHT_WEEKS] - 1),
        "over batch monthly": float(np.nanmean(vernal) / stood["monthly"].mean() - 1),
        "cpu_s": spent,
    }


def in_incidents(story: Story, regret: NDArray[np.float64]) -> float:
    """Share of the units inside incidents."""
    window, tolerance = (max(1, round(each / story.every_s)) for each in (story.regret_window_s, story.tolerance_s))
    return incidents(regret, window, story.delta, tolerance).units / len(regret)


def main() -> None:
    if not found("movietweetings"):
        sys.exit(f"{NAME}: needs ../shared/data/movietweetings")
    runs = {seed: contestant(one, seed).value for seed in SEEDS}
    report(NAME, **verdict(runs))


def verdict(runs: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """The claim held against all seeds, word by word: frozen and monthly are the replay's policies, so releases of ours. Batch shops stand beside."""

    def over(*path: str) -> list[float]:
        found: list[Any] = list(runs.values())
        for name in path:
            found = [each[name] for each in found]
        return found

    def told(*path: str) -> list[float]:
        """[median, least, greatest] over seeds."""
        return [statistics.median(over(*path)), min(over(*path)), max(over(*path))]

    vernal = [value for what in ("incidents", "age breaches") for value in over(what, "vernal")]
    fresh_all_along = not any(vernal) and min(over("worst week against fresh", "vernal")) >= -0.05
    names = {"": "our own release", "batch ": "batch shop"}
    stale = {kind: min(over(f"{kind}share of weeks in incidents", "frozen") + over(f"{kind}share of weeks in incidents", "monthly")) for kind in names}
    gain = {kind: statistics.median(over(f"over {kind}frozen at 8 weeks")) for kind in names}
    reached = {kind: fresh_all_along and stale[kind] >= THROUGHOUT and gain[kind] >= GAIN for kind in names}
    return {
        "bar": BAR,
        "measured": {
            "vernal: incidents": told("incidents", "vernal"),
            "vernal: worst week against always fresh": told("worst week against fresh", "vernal"),
            "vernal: age breaches": told("age breaches", "vernal"),
            **{f"vernal over frozen at 8 weeks, {name}": told(f"over {kind}frozen at 8 weeks") for kind, name in names.items()},
            **{
                f"share of weeks in incidents, {name} {policy}": told(f"{kind}share of weeks in incidents", policy)
                for kind, name in names.items()
                for policy in ("frozen", "monthly")
            },
        },
        "unit": "median, least and greatest over seeds",
        "holds": reached[""],
        "baselines": {
            **{f"Recall@20, {policy}": told("recall@20", policy) for policy in (FRESH, "vernal", *FIXED)},
            **{f"Recall@20, batch shop {policy}": told("batch recall@20", policy) for policy in (*FIXED, NEWEST)},
            **{f"{what}, {policy}": told(what, policy) for what in ("trainings", "refused", "alarms", "age breaches") for policy in ("vernal", *FIXED)},
            **{f"CPU s, {stage}": told("cpu_s", stage) for stage in ("trainings", "asking")},
        },
        "seeds": list(runs),
        "notes": f"{over('weeks')[0]} weeks, {CASES:,} requests each. What the bar asks of vernal itself {said(fresh_all_along)}. "
        f"What it asks of frozen and monthly {said(reached[''])} for releases of ours and {said(reached['batch '])} for batch shops: "
        f"with live lists, counters and user state a release of ours that is never trained again is {100 * gain['']:.1f} % behind after 8 weeks, "
        "so most of what goes stale elsewhere does not here. With looks a week apart vernal trains at each of them, as the yardstick does; what can "
        "separate the two is the gate, an alarm that holds training, or a broken cadence. Trainings are those of `vernal replay` without --full.",
    }


def said(held: bool) -> str:
    return "holds" if held else "does not hold"


if __name__ == "__main__":
    main()
