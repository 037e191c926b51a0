"""Experiments and the holdout: ways to answer side by side on users who were drawn for it, and what became of each.

In: names, variants and shares from a person; slates and rewards from the log. Out: a `Comparison` of every arm with the first, at any moment: intervals hold at
all looks together, so whoever looks every day is not fooled. The holdout is the one comparison that is always on: the release in charge against the best
non-personalised list.
"""

import math
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from vernal import config
from vernal.errors import RequestError
from vernal.evaluation.intervals import Interval
from vernal.evaluation.sequences import Moments, mismatch, ratio
from vernal.events.schema import Slate
from vernal.rollout.checkpoint import keep, restored
from vernal.rollout.counting import Counting, offset_at
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.records import FOLDER, Lines
from vernal.rollout.shares import changed, traffic_of
from vernal.serving.times import rfc3339
from vernal.serving.traffic import CHAMPION, HOLDOUT, Experiment, Traffic, Variant, keyed, part
from vernal.serving.upkeep import replaced
from vernal.terms import DAY_S, US_PER_S

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
LEVEL: Final = 0.05  # each interval misses the truth at any look ever with this chance at most
SPAN_S: Final = 28 * DAY_S  # of the holdout's comparison, when it is begun anew; a keeper that starts again does so where it began twice as long ago
CONTROLS: Final = 4  # users of the release in charge that are counted for each one in the holdout
POINTS: Final = 120  # of the past of a comparison
LEAST_MOVE: Final = 1.1  # a point is kept once there are so many times the impressions of the point before
KEPT_EVERY: Final = 100_000  # records; counting as many again takes a second
ODD: Final = 1e-4  # arms of sizes that chance makes this seldom were not shared out as meant

Key = tuple[str, int]  # name of a comparison, and when it began


class Point(msgspec.Struct, frozen=True):
    """An interval as it was."""

    at: str
    shown: int
    value: float | None
    low: float | None
    high: float | None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One arm beside the first."""

    arm: str
    users: int
    shown: Annotated[int, Meta(description="items shown")]
    clicks: int
    rate: Annotated[float, Meta(description="clicks per item shown")]
    value: Annotated[float | None, Meta(description="rate relative to the first arm's, less 1; none for the first arm, or before anything can be said")] = None
    low: Annotated[float | None, Meta(description="lower end of an interval that holds at all looks together")] = None
    high: float | None = None
    past: Annotated[list[Point], Meta(description="how the interval narrowed")] = []


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment, or the holdout, as it stands."""

    name: str
    since: str
    until: str
    arms: list[Compared]
    sentence: str
    left_out: str
    odd: Annotated[str, Meta(description="why no figure means anything; empty = nothing is wrong")] = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment as a person asks for it."""

    name: Annotated[str, Meta(description="small letters, digits and dashes", max_length=40)]
    variants: Annotated[list[Variant], Meta(description="two or more; the first is what the others are compared with", min_length=2, max_length=8)]
    share: Annotated[float, Meta(description="of the users outside the holdout and earlier experiments", gt=0, le=0.95)] = 0.5
    interleaved: Annotated[bool, Meta(description="every slate is drafted from both variants, instead of users between them; two variants")] = False


def start(space: RolloutSpace, by: str, asked: Asked) -> Experiment:
    """Begins an experiment; workers follow within a fifth of a second.

    Raises
    ------
    RequestError
        A name that is taken or is none, variants that are the same, settings that are none of a scenario's.
    ReleaseError
        A variant's release is not there, or may not serve.
    """
    checked(space, asked)
    begun = Experiment(
        name=asked.name,
        variants=tuple(asked.variants),
        share=asked.share,
        begun_at=space.clock.now(),
        since=space.log.end(),
        interleaved=asked.interleaved,
        by=by,
    )

    def with_it(traffic: Traffic) -> Traffic:
        if any(other.name == asked.name for other in traffic.experiments):
            raise RequestError.invalid("name", asked.name, "a name that no running experiment has", f"`vernal experiment stop {asked.name}`")
        return replace(traffic, experiments=(*traffic.experiments, begun))

    changed(space, by, f"experiment {asked.name}", with_it)
    return begun


def checked(space: RolloutSpace, asked: Asked) -> None:
    if not NAME.fullmatch(asked.name) or asked.name in (CHAMPION, HOLDOUT):
        raise RequestError.invalid("name", asked.name, "small letters, digits and dashes")
    names = [variant.name for variant in asked.variants]
    for variant in asked.variants:
        if not NAME.fullmatch(variant.name) or names.count(variant.name) > 1:
            raise RequestError.invalid("variant", variant.name, "a name of its own: small letters, digits and dashes")
        for key in variant.settings:
            if not key.startswith("scenarios."):
                raise RequestError.invalid(f"variant {variant.name}", key, "a setting of a scenario, as scenarios.home.temperature")
        config.changed(space.settings, variant.settings, f"variant {variant.name}")
        if variant.release:
            space.releases.admit(variant.release)
    if asked.interleaved and len(names) != 2:
        raise RequestError.invalid("variants", len(names), "two of them, to be interleaved")
    ways = [(variant.release, msgspec.json.encode(variant.settings, order="sorted")) for variant in asked.variants]
    if len(set(ways)) < len(ways):
        raise RequestError.invalid("variants", names, "variants that differ in release or settings")


def stop(space: RolloutSpace, by: str, name: str) -> Comparison:
    """Ends an experiment, and keeps what it found. Raises RequestError where no such one runs."""
    found = running(space, name)
    last = compared(space, found)
    results_of(space.data).append(last)
    changed(space, by, f"experiment {name} stopped", lambda traffic: replace(traffic, experiments=tuple(e for e in traffic.experiments if e.name != name)))
    return last


def running(space: RolloutSpace, name: str) -> Experiment:
    experiments = traffic_of(space).experiments
    for experiment in experiments:
        if experiment.name == name:
            return experiment
    raise RequestError.unknown("experiment", name, [experiment.name for experiment in experiments])


def results_of(data: Path) -> Lines[Comparison]:
    """What experiments that were stopped had found, oldest first."""
    return Lines(data / FOLDER / "experiments.jsonl", Comparison)


def result(space: RolloutSpace, name: str) -> Comparison:
    """What an experiment finds, or found. Raises RequestError for one that never was."""
    if any(experiment.name == name for experiment in traffic_of(space).experiments):
        return compared(space, running(space, name))
    kept = {each.name: each for each in results_of(space.data).all()}
    if name not in kept:
        raise RequestError.unknown("experiment", name, [*kept, *(experiment.name for experiment in traffic_of(space).experiments)])
    return kept[name]


def compared(space: RolloutSpace, experiment: Experiment) -> Comparison:
    """An experiment as of now. Cost: the log since it began is read, 10 us a slate."""
    counting = counting_of(space, experiment)
    counting.read(space.log)
    return comparison(experiment.name, experiment.begun_at, space.clock.now(), counting, teams=teams_of(experiment))


def counting_of(space: RolloutSpace, experiment: Experiment) -> Counting:
    places = {arm: place for place, arm in enumerate(experiment.arms)}

    def arm(slate: Slate) -> int:
        return places.get(slate.arm, -1)

    return Counting(experiment.arms, arm, space.settings, experiment.since)


def teams_of(experiment: Experiment) -> list[str]:
    """Names of what is compared within the slates of an interleaved experiment; none in any other."""
    return [f"{experiment.name}/{variant.name}" for variant in experiment.variants] if experiment.interleaved else []


def uplift_counting(space: RolloutSpace, salt: str, since: int) -> Counting:
    """The release in charge against the holdout; of the many users of the former some are counted, by the hash that draws the latter."""
    share, key = space.settings.rollout.holdout, keyed(salt, HOLDOUT)
    limit = part(min(1.0, (1 + CONTROLS) * share))

    def arm(slate: Slate) -> int:
        if slate.arm == HOLDOUT:
            return 0
        who = slate.user or slate.rec_id
        counts = slate.arm == CHAMPION and int.from_bytes(blake2b(who.encode(), digest_size=8, key=key).digest(), "big") < limit
        return 1 if counts else -1

    return Counting([HOLDOUT, CHAMPION], arm, space.settings, since)


def comparison(name: str, since: int, now: int, counting: Counting, past: Sequence[Compared] = (), teams: Sequence[str] = ()) -> Comparison:
    """Every arm beside the first, from what was counted; of interleaved slates every team."""
    names = teams or counting.names
    rewards = counting.teams() if teams else [counting.reward_of(arm) for arm in names]
    arms = [beside(arm, rewards[0], reward, place, now, past) for place, (arm, reward) in enumerate(zip(names, rewards, strict=True))]
    odd = "" if teams else nobody_held(rewards) if name == HOLDOUT else shared_oddly(rewards)
    return Comparison(
        name=name, since=rfc3339(since), until=rfc3339(now), arms=arms, sentence=odd or sentence(arms), left_out=counting.left_out.sentence(), odd=odd
    )


def beside(arm: str, first: Moments, reward: Moments, place: int, now: int, past: Sequence[Compared]) -> Compared:
    known = {"arm": arm, "users": reward.users, "shown": int(reward.impressions), "clicks": int(reward.clicks), "rate": reward.rate}
    if place == 0 or not first.clicks or not reward.impressions:
        return Compared(**known)  # type: ignore[arg-type]
    found = finite(ratio(reward, first, LEVEL))
    before = next((other.past for other in past if other.arm == arm), [])
    return Compared(**known, **found, past=moved(before, Point(rfc3339(now), int(reward.impressions), **found)))  # type: ignore[arg-type]


def finite(found: Interval) -> dict[str, float | None]:
    """An interval for JSON, which knows no infinity."""
    return {name: value if abs(value) < 1e9 else None for name, value in zip(("value", "low", "high"), found, strict=True)}


def moved(past: list[Point], point: Point) -> list[Point]:
    """The past with one more point, where enough was shown since the last; thinned when it grows long."""
    if past and point.shown < LEAST_MOVE * past[-1].shown:
        return past
    kept = [*past, point]
    return kept if len(kept) <= POINTS else [*kept[:-1:2], kept[-1]]


def shared_oddly(rewards: Sequence[Moments]) -> str:
    """Whether arms have other numbers of users than chance gives; then no figure of theirs means anything."""
    for place, reward in enumerate(rewards[1:], 1):
        if mismatch(reward.users, rewards[0].users, 0.5) > -math.log(ODD):
            return (
                f"{reward.users:,} users in arm {place + 1}, {rewards[0].users:,} in the first: they were not shared out evenly, and no figure means anything"
            )
    return ""


def nobody_held(rewards: Sequence[Moments]) -> str:
    """Whether the holdout never answers; how many it should have depends on what else ran."""
    held, others = (reward.users for reward in rewards)
    if held == 0 and mismatch(held, others, 1 / (1 + CONTROLS)) > -math.log(ODD):
        return f"the holdout answered nobody while {others:,} users were counted beside it: there is nothing to compare with"
    return ""


def sentence(arms: Sequence[Compared]) -> str:
    """What is found, in words."""
    if not any(arm.shown for arm in arms):
        return "No traffic yet."
    return " ".join(said(arm, arms[0].arm) for arm in arms[1:])


def said(arm: Compared, against: str) -> str:
    if arm.value is None or arm.low is None:
        return f"{arm.arm}: too little to say anything."
    high = f"{100 * arm.high:+.1f} %" if arm.high is not None else "no bound"
    verdict = "better than" if arm.low > 0 else "worse than" if arm.high is not None and arm.high < 0 else "not yet told from"
    return f"{arm.arm} is {verdict} {against}: {100 * arm.value:+.1f} % clicks per item shown [{100 * arm.low:+.1f} %, {high}]."


class Comparing:
    """Keeps every running comparison up to date, for those who ask.

    A process that is started again goes on from what was kept (`checkpoint`), at most `KEPT_EVERY` records back, or counts again from the log.
    """

    def __init__(self, space: RolloutSpace) -> None:
        self.space = space
        self.counted: dict[Key, Counting] = {}
        self.kept: dict[Key, tuple[int, int]] = {}  # offset and erased users of what is in each file
        self.uplift_since = 0  # UTC us
        self.known = read_comparisons(space.data)

    def step(self, now: int) -> list[Comparison]:
        """Every comparison as of now, written down."""
        traffic = traffic_of(self.space)
        wanted: dict[Key, int] = {(experiment.name, experiment.begun_at): experiment.begun_at for experiment in traffic.experiments}
        for experiment in traffic.experiments:
            self.begin(experiment)
        if self.space.settings.rollout.holdout > 0:
            self.uplift(traffic, now)
            wanted[(HOLDOUT, 0)] = self.uplift_since
        self.counted = {key: counting for key, counting in self.counted.items() if key in wanted}
        past = {each.name: each.arms for each in self.known}
        for counting in self.counted.values():
            counting.read(self.space.log)
        self.keep(wanted)
        teams = {experiment.name: teams_of(experiment) for experiment in traffic.experiments}
        self.known = [
            comparison(name, wanted[name, at], now, counting, past.get(name, []), teams.get(name, [])) for (name, at), counting in self.counted.items()
        ]
        replaced(self.space.data / FOLDER / "comparisons.json", Comparisons(self.known))
        return self.known

    def begin(self, experiment: Experiment) -> None:
        key = (experiment.name, experiment.begun_at)
        if key not in self.counted:
            counting = counting_of(self.space, experiment)
            restored(self.file(key), counting, self.what(counting), self.space.log.end())
            self.counted[key], self.kept[key] = counting, (counting.offset, counting.erased)

    def uplift(self, traffic: Traffic, now: int) -> None:
        key, span = (HOLDOUT, 0), SPAN_S * US_PER_S
        if key in self.counted:
            return
        counting = uplift_counting(self.space, traffic.salt, 0)
        since = restored(self.file(key), counting, self.what(counting), self.space.log.end())
        if since is None or since < now - 2 * span:
            offset, at = offset_at(self.space.log, now - span)
            counting, since = uplift_counting(self.space, traffic.salt, offset), at or now
        self.counted[key], self.kept[key], self.uplift_since = counting, (counting.offset, counting.erased), since

    def keep(self, wanted: Mapping[Key, int]) -> None:
        """Writes down what was counted, where there is enough of it or somebody was erased; what is over goes."""
        for key, counting in self.counted.items():
            offset, erased = self.kept[key]
            if counting.offset - offset >= KEPT_EVERY or counting.erased > erased:
                keep(self.file(key), counting, self.what(counting), wanted[key])
                self.kept[key] = counting.offset, counting.erased
        for file in self.folder.glob("*") if self.folder.exists() else ():
            if file not in {self.file(key) for key in wanted}:
                file.unlink()

    def what(self, counting: Counting) -> str:
        """What is counted by which rules."""
        return f"{counting.rules} {traffic_of(self.space).salt} {self.space.settings.rollout.holdout}"

    @property
    def folder(self) -> Path:
        return self.space.data / FOLDER / "counted"

    def file(self, key: Key) -> Path:
        return self.folder / f"{key[0]}-{key[1]}"


class Comparisons(msgspec.Struct, frozen=True):
    """Everything that runs: the holdout, and experiments."""

    running: list[Comparison]


def read_comparisons(data: Path) -> list[Comparison]:
    """What the keeper found last; nothing before it first looked."""
    try:
        return msgspec.json.decode((data / FOLDER / "comparisons.json").read_bytes(), type=Comparisons).running
    except (FileNotFoundError, msgspec.DecodeError):
        return []


def parsed(text: str) -> tuple[str, dict[str, Any]]:
    """(release, settings) of a variant as it is written on a command line: `NAME`, `NAME:RELEASE`, `NAME:KEY=VALUE,KEY=VALUE`."""
    release, settings = "", dict[str, Any]()
    for piece in filter(None, text.split(",")):
        key, is_pair, value = piece.partition("=")
        if is_pair:
            try:
                settings[key] = msgspec.json.decode(value)
            except msgspec.DecodeError:
                settings[key] = value
        else:
            release = piece
    return release, settings
