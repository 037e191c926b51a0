"""The time machine: the whole loop run over the past at full speed, once per policy, so that anyone can see on their own history what each would have done.

In: a workspace whose log has everything, a stretch, policies. Out: a `Story`: quality over time of each policy beside a release that is always fresh;
trainings, promotions, refusals, alarms, incidents. At each look every policy's shop stands where the log was then (`space.PastSpace`) and does what the
product does; then all releases in charge, and the fresh one, are asked what really came until the next look.

A training is a function of (moment, settings), so policies that train at the same look share one, and the always fresh yardstick is the one made at every look.
Equal logs, settings and options give equal stories. What was answered then shaped what came: on a log whose slates were answered by some release, that release
has the advantage of the house.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from vernal.config import Rollout, Settings, duration_s
from vernal.errors import RequestError, TrainingError, VernalError
from vernal.release import Release, ReleaseStore
from vernal.replay.space import Past, PastSpace
from vernal.rollout.backtests import asked
from vernal.rollout.keeper import Ended, Keeper
from vernal.rollout.policy import Act
from vernal.rollout.records import Training
from vernal.rollout.staleness import incidents
from vernal.terms import DAY_S, US_PER_S
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

FRESH: Final = "fresh"  # the yardstick: trained at every look
NEVER: Final = "3650d"
CADENCES: Final = {"frozen": NEVER, "monthly": "30d", "weekly": "7d", "vernal": ""}  # policy -> fixed cadence; none = the settings' own rules
WEEK_US: Final = 7 * DAY_S * US_PER_S
WARM_UP_S: Final = 56 * DAY_S  # history before the first look, unless the log is short
Say = Callable[[str], None]
What = Literal["training", "promotion", "refusal", "failure", "alarm", "hold"]


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch between two looks."""

    begin: int  # UTC us
    end: int
    cases: int
    quality: dict[str, float]  # by policy, and of the fresh release
    age_s: dict[str, int]  # of the release in charge when the stretch ends
    unknown_share: dict[str, float]  # of its events: those on items that had no event when that release was made


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something a policy did or said."""

    at: int  # UTC us
    policy: str
    what: What
    release: str
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One policy over the whole stretch."""

    policy: str
    trainings: int
    promotions: int
    refusals: int
    alarms: int
    quality: float  # mean over all cases
    against_fresh: float  # that, relative to the fresh release
    worst_week: float  # the same in the week in which it is least
    incidents: list[tuple[int, int]]  # [begin, end) in UTC us of the stretches with too much regret for too long
    age_breaches: int  # units at whose end the release in charge was older than rollout.max_age
    unknown_breaches: int  # units with more than rollout.unknown_share of their events on items unknown to it


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A replay; the same for the same log, settings and options."""

    begin: int  # UTC us
    end: int
    every_s: int
    metric: str
    delta: float
    regret_window_s: int
    tolerance_s: int
    policies: list[str]
    units: list[Unit]
    happenings: list[Happening]
    outcomes: list[Outcome]

    def series(self, name: str) -> NDArray[np.float64]:
        """(n_units,) quality of a policy or of the fresh release; NaN where nothing was asked."""
        return np.array([unit.quality.get(name, np.nan) for unit in self.units])

    def regret(self, policy: str) -> NDArray[np.float64]:
        """(n_units,) how much less than the fresh release, relative."""
        fresh = self.series(FRESH)
        return (fresh - self.series(policy)) / np.where(fresh > 0, fresh, np.nan)


@dataclass(frozen=True)
class Course:
    """What is replayed."""

    begin: int  # UTC us, first look
    end: int  # UTC us, exclusive
    every_s: int
    policies: tuple[str, ...]

    @property
    def looks(self) -> list[int]:
        """Moments of all looks; the last has a whole stretch after it."""
        step = self.every_s * US_PER_S
        return list(range(self.begin, self.end - step + 1, step))


def course(past: Past, begin: int | None = None, end: int | None = None, every: str = "7d", policies: Sequence[str] = tuple(CADENCES)) -> Course:
    """The course with what was not said filled in: from eight weeks into the log, or a third of it where it is short, to its end.

    Raises
    ------
    RequestError
        An unknown policy; a stretch without one whole step.
    TrainingError
        An empty log.
    """
    for policy in policies:
        if policy not in CADENCES:
            raise RequestError.unknown("policy", policy, CADENCES)
    if not len(past.history):
        raise TrainingError.too_little("events", "none", "a past to replay")
    first, last = past.stretch
    begin = first + min(WARM_UP_S * US_PER_S, (last - first) // 3) if begin is None else begin
    made = Course(begin, last if end is None else min(end, last), duration_s(every, "--every"), tuple(policies))
    if made.every_s < 1 or not made.looks:
        raise RequestError.invalid("--every", every, "a step that fits into the stretch", "choose --from, --to and --every so that at least one step fits")
    return made


def thrifty(settings: Settings) -> Settings:
    """Settings under which a training takes seconds: fewer requests, trees and retired releases, no tuning, no search by meaning; the same for every policy."""
    training, rollout = settings.training, settings.rollout
    return replace(
        settings,
        search=replace(settings.search, encoder=""),
        rollout=replace(rollout, keep=0),
        training=replace(
            training,
            budget_s=0,
            windows=min(training.windows, 2),
            requests=min(training.requests, 1_000),
            trees=min(training.trees, 150),
            evaluate_requests=min(training.evaluate_requests, 300),
        ),
    )


def rollout_of(policy: str, rollout: Rollout, every_s: int) -> Rollout:
    """The settings that a policy is: a fixed cadence that nothing brings forward, or the shop's own. Each training falls on the look nearest to its time."""
    cadence = CADENCES[policy]
    if cadence:
        nearest = days(max(duration_s(cadence) - every_s // 2, 1))
        return replace(rollout, mode="automatic", cadence=nearest, cool_down=nearest, max_age=NEVER, budget=0, keep=0)
    nearest = days(max(duration_s(rollout.cadence), every_s) - every_s // 2)
    age, pause = max(duration_s(rollout.max_age), 2 * every_s), min(duration_s(rollout.cool_down), every_s // 2)
    return replace(rollout, mode="automatic", cadence=nearest, max_age=days(age), cool_down=days(pause))


def days(seconds: int) -> str:
    """A duration as settings have it."""
    return f"{seconds / DAY_S:.10g}d"


@dataclass
class Trainings:
    """The release of the present moment, trained once however many ask for it.

    Parameters
    ----------
    space : where it is made
    """

    space: PastSpace
    cpu_s: dict[int, float] = field(default_factory=dict)  # by moment
    made: Release | None = None

    def at(self, moment: int) -> Release:
        """What a shop that trained then would have made; the one made before is let go.

        Raises
        ------
        TrainingError
            There was nothing to learn from.
        """
        if self.made is None or moment not in self.cpu_s:
            gone, began = self.made, time.process_time()
            self.space.to(moment)
            self.made = train(self.space, promote=False)[0]
            self.cpu_s[moment] = time.process_time() - began
            if gone is not None:
                shutil.rmtree(gone.path)
        return self.made


class Sharing:
    """Hands of a keeper that take what another policy, or the yardstick, has trained at the same moment."""

    running = False

    def __init__(self, space: PastSpace, trainings: Trainings) -> None:
        self.space, self.trainings = space, trainings
        self.ended: Ended | None = None

    def start(self, reason: str) -> None:  # noqa: ARG002
        """Trains here and now."""
        try:
            self.ended = Ended(release=adopted(self.trainings.at(self.space.clock.now()), self.space.releases).name)
        except VernalError as error:
            self.ended = Ended(problem=error.sentence())

    def finished(self) -> Ended | None:
        return self.ended


def adopted(release: Release, store: ReleaseStore) -> Release:
    """The same release in another store, under that store's next number; its files are shared."""
    draft = store.draft()
    for file in release.manifest.files:
        os.link(release.path / file, draft.path / file)
    return store.commit(draft, release.manifest.lineage, release.manifest.metrics)


class Shop:
    """One policy's shop, kept by the keeper that serving has.

    Nobody is there to see an alarm, so that what stands is acknowledged at the next look, as the new usual: nobody found a fault.
    """

    def __init__(self, policy: str, space: PastSpace, trainings: Trainings) -> None:
        self.policy, self.space = policy, space
        self.keeper = Keeper(space, Sharing(space, trainings))
        if CADENCES[policy]:
            self.keeper.rescoring.wanted = False  # a fixed cadence asks nothing of the ledger
        self.happenings: list[Happening] = []

    @property
    def trained_at(self) -> list[int]:
        return [each.at for each in self.happenings if each.what == "training"]

    @property
    def charged(self) -> Release | None:
        """The release in charge."""
        name = self.space.releases.champion()
        return self.space.releases.open(name, verify=False) if name else None

    def look(self, now: int) -> None:
        """One look of the keeper."""
        self.space.to(now)
        if self.keeper.watchman.standing_alarms:
            self.keeper.watchman.acknowledge("replay", "nobody found a fault", usual=True)
        decision = self.keeper.tick()
        for raised in self.keeper.watchman.standing_alarms:
            self.happened("alarm", "", raised.alarm.sentence(self.keeper.watchman.named))
        if decision.act is Act.HOLD:
            self.happened("hold", "", decision.reason)
        if decision.act is Act.TRAIN:
            self.settled(self.keeper.trainings[-1])

    def settled(self, training: Training) -> None:
        """What became of a training."""
        self.happened("training", training.release, training.reason)
        if training.outcome == "promoted":
            self.happened("promotion", training.release, training.note)
        elif training.outcome in ("refused", "failed"):
            self.happened("refusal" if training.outcome == "refused" else "failure", training.release, training.note)

    def happened(self, what: What, release: str, reason: str) -> None:
        self.happenings.append(Happening(at=self.space.clock.now(), policy=self.policy, what=what, release=release, reason=reason))


def replayed(past: Past, chosen: Course, folder: Path, settings: Settings, say: Say = lambda _: None) -> tuple[Story, dict[str, float]]:
    """The story of the course, and CPU seconds by stage.

    Parameters
    ----------
    folder : empty; releases and ledgers of the replay are kept there
    settings : under which every policy trains and is asked; `thrifty(space.settings)` where minutes matter

    Raises
    ------
    TrainingError
        Nothing to learn from at the first look.

    Cost: a training per look, and 1 ms per case and release in charge.
    """
    machine = Machine(past, chosen, folder, settings)
    for number, moment in enumerate(chosen.looks, 1):
        machine.step(moment)
        say(machine.line(number))
    return machine.story(), machine.spent()


class Machine:
    """Everything that moves through the past together."""

    def __init__(self, past: Past, chosen: Course, folder: Path, settings: Settings) -> None:
        self.past, self.course, self.settings = past, chosen, settings
        self.trainings = Trainings(PastSpace(past, folder / FRESH, chosen.begin, settings))
        self.shops = [self.shop(policy, folder) for policy in chosen.policies]
        whole = PastSpace(past, folder / "whole", past.stretch[1], settings)
        self.whole, self.all = whole, Snapshot.of(whole)
        self.first_seen = first_arrivals(self.all)
        self.units: list[Unit] = []
        self.asking_s = 0.0

    def shop(self, policy: str, folder: Path) -> Shop:
        rollout = rollout_of(policy, self.settings.rollout, self.course.every_s)
        return Shop(policy, PastSpace(self.past, folder / policy, self.course.begin, replace(self.settings, rollout=rollout)), self.trainings)

    def step(self, moment: int) -> None:
        """One look of every shop, and what came of it until the next."""
        for shop in self.shops:
            shop.look(moment)
        charged = {shop.policy: release for shop in self.shops if (release := shop.charged) is not None}
        self.units.append(self.unit(moment, moment + self.course.every_s * US_PER_S, {FRESH: self.trainings.at(moment)} | charged))

    def unit(self, begin: int, end: int, releases: Mapping[str, Release]) -> Unit:
        """What the releases were worth in [begin, end)."""
        began, training = time.process_time(), self.settings.training
        distinct = {content(release): release for release in releases.values()}
        found = asked(self.whole, list(distinct.values()), begin, end, training.evaluate_requests, training.seed, snapshot=self.all)
        means = {content(release): found.quality[release.name].means()[self.settings.rollout.metric] for release in distinct.values()}
        as_of = {policy: release.manifest.lineage.as_of for policy, release in releases.items()}
        self.asking_s += time.process_time() - began
        return Unit(
            begin=begin,
            end=end,
            cases=len(found.cases),
            quality={policy: round(means[content(release)], 6) for policy, release in releases.items()} if len(found.cases) else {},
            age_s={policy: max(0, end - self.known_to(at)) // US_PER_S for policy, at in as_of.items()},
            unknown_share={policy: round(self.unknown(begin, end, at), 6) for policy, at in as_of.items()},
        )

    def known_to(self, as_of: int) -> int:
        """Until when a release knows everything, as the keeper counts: the arrival of the first event that it does not know."""
        history = self.all.history
        row = history.available_before(as_of)
        return int(history.received_at[row]) if row < len(history) else self.past.stretch[1]

    def unknown(self, begin: int, end: int, as_of: int) -> float:
        """Share of the events in [begin, end) on items without an event before `as_of`."""
        history = self.all.history
        items = history.item[history.available_before(begin) : history.available_before(end)]
        items = items[items >= 0]
        return float((self.first_seen[items] >= as_of).mean()) if len(items) else 0.0

    def line(self, number: int) -> str:
        unit = self.units[-1]
        figures = "  ".join(f"{name} {value:.4f}" for name, value in unit.quality.items())
        return f"{day(unit.begin)}  {number}/{len(self.course.looks)}  {unit.cases:,} cases  {figures}"

    def story(self) -> Story:
        rollout = self.settings.rollout
        happenings = sorted((each for shop in self.shops for each in shop.happenings), key=lambda each: each.at)
        story = Story(
            begin=self.course.begin,
            end=self.units[-1].end,
            every_s=self.course.every_s,
            metric=rollout.metric,
            delta=rollout.delta,
            regret_window_s=duration_s(rollout.regret_window),
            tolerance_s=duration_s(rollout.tolerance),
            policies=list(self.course.policies),
            units=self.units,
            happenings=happenings,
            outcomes=[],
        )
        return replace(story, outcomes=[outcome(story, shop.policy, self.limits) for shop in self.shops])

    @property
    def limits(self) -> tuple[int, float]:
        """(oldest a release may get, s; share of events on unknown items), as the policy `vernal` keeps them."""
        kept = rollout_of("vernal", self.settings.rollout, self.course.every_s)
        return duration_s(kept.max_age), kept.unknown_share

    def spent(self) -> dict[str, float]:
        """CPU seconds: of all trainings, of each policy's own, of asking."""
        cost = self.trainings.cpu_s
        by_policy = {shop.policy: sum(cost.get(at, 0.0) for at in shop.trained_at) for shop in self.shops}
        return {"trainings": sum(cost.values()), "asking": self.asking_s} | by_policy


def content(release: Release) -> str:
    """What tells releases apart that several stores have under numbers of their own."""
    return release.name.partition("-")[2]


def first_arrivals(snapshot: Snapshot) -> NDArray[np.int64]:
    """(n_items,) UTC us of each item's first event; never = the greatest number."""
    history = snapshot.history
    first = np.full(history.n_items, np.iinfo(np.int64).max)
    rows = np.flatnonzero(history.item >= 0)[::-1]
    first[history.item[rows]] = history.received_at[rows]
    return first


def outcome(story: Story, policy: str, limits: tuple[int, float]) -> Outcome:
    """One policy's column of the table."""
    done = [each.what for each in story.happenings if each.policy == policy]
    ours, fresh = (pooled(story.units, name) for name in (policy, FRESH))
    weeks = [(pooled(week, policy), pooled(week, FRESH)) for week in by_week(story)]
    oldest, unknown = limits
    return Outcome(
        policy=policy,
        trainings=done.count("training"),
        promotions=done.count("promotion"),
        refusals=done.count("refusal"),
        alarms=done.count("alarm"),
        quality=round(ours, 6),
        against_fresh=round(ours / fresh - 1, 6) if fresh else 0.0,
        worst_week=round(min((mine / best - 1 for mine, best in weeks if best), default=0.0), 6),
        incidents=stale_stretches(story, policy),
        age_breaches=sum(unit.age_s.get(policy, 0) > oldest for unit in story.units),
        unknown_breaches=sum(unit.unknown_share.get(policy, 0.0) > unknown for unit in story.units),
    )


def stale_stretches(story: Story, policy: str) -> list[tuple[int, int]]:
    """[begin, end) of each incident; window and tolerance are whole units."""
    window, tolerance = (max(1, round(each / story.every_s)) for each in (story.regret_window_s, story.tolerance_s))
    found = incidents(story.regret(policy), window, story.delta, tolerance)
    return [(story.units[first].begin, story.units[last].end) for first, last in zip(found.first.tolist(), found.last.tolist(), strict=True)]


def by_week(story: Story) -> Iterator[list[Unit]]:
    """The units of each week since the beginning; a unit longer than a week stands alone."""
    weeks: dict[int, list[Unit]] = {}
    for unit in story.units:
        weeks.setdefault((unit.begin - story.begin) // WEEK_US, []).append(unit)
    yield from weeks.values()


def pooled(units: Sequence[Unit], name: str) -> float:
    """Mean quality over all cases of the units."""
    asked_of = [unit for unit in units if name in unit.quality]
    cases = sum(unit.cases for unit in asked_of)
    return sum(unit.quality[name] * unit.cases for unit in asked_of) / cases if cases else 0.0


def day(us: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(us // US_PER_S))
