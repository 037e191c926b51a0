"""A release on trial: seen by nobody, then by a share of the users in steps, then in charge or gone.

In: a release that the gate has passed. Out: the traffic changed step by step as `canary.decide` says, each change with its reason, written down before it is
made; so whoever dies at any step goes on from the files, and what was counted since the step began is counted again from the log. A rollback is one small file
replaced: the release in charge never left.
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from vernal.config import duration_s
from vernal.errors import ReleaseError, RequestError, StateError, VernalError
from vernal.events.schema import Slate
from vernal.rollout.canary import TRIED, Evidence, Verdict, decide
from vernal.rollout.counting import Counting, LeftOut, recent
from vernal.rollout.gate import promote
from vernal.rollout.mirroring import Mirroring, MirrorSpace
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.records import FOLDER, Lines
from vernal.rollout.shares import changed, traffic_of
from vernal.serving.times import rfc3339
from vernal.serving.traffic import CANARY, CHAMPION, Canary
from vernal.serving.upkeep import replaced
from vernal.terms import US_PER_S

BY: Final = "the keeper"
HOUR_US: Final = 3_600 * US_PER_S
log = logging.getLogger("vernal.rollout")
ENDS: Final = ("promote", "roll back")
Act = Literal["begin", "widen", "promote", "roll back"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a canary's share, and why."""

    at: int  # UTC us
    release: str
    against: str
    begun_at: int
    act: Act
    share: float
    reason: str
    by: str = BY


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the last look at a canary saw; `data/rollout/canary.json`."""

    at: int
    canary: Canary
    verdict: Verdict
    evidence: Evidence
    left_out: LeftOut


def steps_of(data: Path) -> Lines[Step]:
    """Every step of every canary, oldest first."""
    return Lines(data / FOLDER / "canaries.jsonl", Step)


def read_look(data: Path) -> Look | None:
    """What the last look saw; none before the first."""
    with suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((data / FOLDER / "canary.json").read_bytes(), type=Look)
    return None


class Trying:
    """Takes one release at a time through its trial.

    Parameters
    ----------
    mirror : where somebody serves, what answers for nobody; none = there is nothing to compare before users see it
    """

    def __init__(self, space: RolloutSpace, mirror: MirrorSpace | None = None) -> None:
        self.space, self.mirror, self.steps = space, mirror, steps_of(space.data)
        self.counting: Counting | None = None
        self.counted: tuple[str, int] = ("", 0)  # release and step that are counted
        self.mirroring: Mirroring | None = None
        self.lately = 0

    @property
    def running(self) -> bool:
        return traffic_of(self.space).canary is not None

    def begin(self, release: str, against: str, reason: str) -> None:
        """Puts a release on trial, seen by nobody yet; one that is on trial goes."""
        now, log = self.space.clock.now(), self.space.log
        canary = Canary(release=release, against=against, begun_at=now, step_at=now, since=log.end(), reason=reason)
        self.write(canary, Verdict(act="wait", share=0.0, reason=reason), "begin")
        changed(self.space, BY, reason, lambda traffic: replace(traffic, canary=canary))

    def look(self, holds: tuple[str, ...] = ()) -> Look | None:
        """One look at the canary, and what follows; none where there is no canary.

        Parameters
        ----------
        holds : alarms on the quality of data: nothing is widened or promoted on data that may be broken
        """
        canary = traffic_of(self.space).canary
        if canary is None:
            self.drop()
            return None
        canary = self.within(canary)
        if (verdict := self.settled(canary) or self.count(canary)) is None:
            verdict = self.allowed(canary, decide(canary, self.evidence(canary), self.space.settings.rollout, self.space.clock.now()), holds)
        seen = self.keep(canary, verdict)
        self.act(canary, verdict)
        return seen

    def within(self, canary: Canary) -> Canary:
        """The canary, its step counted from now where it began later than a shortest step from now: the clock had run ahead."""
        now, rules = self.space.clock.now(), self.space.settings.rollout
        if canary.step_at <= now + duration_s(rules.canary_step) * US_PER_S:
            return canary
        reason = f"The clock had run ahead by {(canary.step_at - now) / US_PER_S:,.0f} s: the step counts from now."
        again = replace(canary, step_at=now)
        changed(self.space, BY, reason, lambda traffic: replace(traffic, canary=again) if traffic.canary == canary else traffic)
        return again

    def settled(self, canary: Canary) -> Verdict | None:
        """What needs no evidence: a decision that a kill cut short, another release in charge, no way to open it, one that knows less than the other."""
        champion = self.space.releases.champion()
        said = [step for step in self.steps.all(most=4) if step.begun_at == canary.begun_at and step.release == canary.release]
        if said and said[-1].act in ENDS:
            return Verdict(act="promote" if said[-1].act == "promote" else "roll back", share=said[-1].share, reason=said[-1].reason)
        if champion == canary.release:
            return Verdict(act="promote", share=1.0, reason="it was put in charge meanwhile")
        if champion != canary.against:
            return Verdict(act="roll back", share=0.0, reason=f"{champion or 'nothing'} is in charge meanwhile, and it was tried against {canary.against}")
        try:
            ours, theirs = (self.space.releases.manifest(name).lineage for name in (canary.release, canary.against))
            if ours.log_to < theirs.log_to:
                late = f"it knows the log up to {rfc3339(ours.as_of)}, {canary.against} up to {rfc3339(theirs.as_of)}"
                return Verdict(act="roll back", share=0.0, reason=f"it is stale: {late}")
            self.space.releases.admit(canary.release, verify=False)
        except VernalError as error:
            return Verdict(act="roll back", share=0.0, reason=error.sentence().replace("\n", " "))
        return None

    def allowed(self, canary: Canary, verdict: Verdict, holds: tuple[str, ...]) -> Verdict:
        """The verdict as far as it may be carried out: back always, on only when nothing holds it."""
        if verdict.act not in ("widen", "promote"):
            return verdict
        mode, alone = self.space.settings.rollout.mode, f"; it would {verdict.act}: {verdict.reason}"
        if mode != "automatic":
            return Verdict(act="wait", share=canary.share, reason=f"rollout.mode is {mode}{alone}")
        return Verdict(act="wait", share=canary.share, reason=f"held by an alarm: {holds[0]}{alone}") if holds else verdict

    def count(self, canary: Canary) -> Verdict | None:
        """Counts what came since the last look; a new step counts anew. The end of a release whose bytes turn out to be damaged."""
        if self.counting is None or self.counted != (canary.release, canary.step_at):
            arms = {(CHAMPION, canary.against): 0, (CANARY, canary.release): 1}

            def arm(slate: Slate) -> int:
                return arms.get((slate.arm, slate.release), -1)

            codes = self.space.catalogue().attributes[:, 0, 0] if self.space.settings.items.attributes else None
            self.counting = Counting([CHAMPION, CANARY], arm, self.space.settings, canary.since, codes)
            self.counted = (canary.release, canary.step_at)
            self.lately = recent(self.space.log, min(canary.begun_at, self.space.clock.now()), HOUR_US, TRIED)
        self.counting.read(self.space.log)
        if canary.share > 0:
            self.unmirrored()
            return None
        try:
            self.compare(canary)
        except ReleaseError as error:
            return Verdict(act="roll back", share=0.0, reason=error.sentence().replace("\n", " "))
        except StateError as error:  # nobody serves, so nothing can be compared
            log.warning("no shadow: %s", error)
        return None

    def compare(self, canary: Canary) -> None:
        """Has the release answer for nobody what others were just asked."""
        if self.mirror is None:
            return
        if self.mirroring is None:
            self.mirroring = Mirroring(self.mirror, canary)
        self.mirroring.look()

    def evidence(self, canary: Canary) -> Evidence:
        counting, mirroring = self.counting, self.mirroring
        assert counting is not None
        return Evidence(
            control=counting.evidence(CHAMPION),
            canary=counting.evidence(CANARY),
            mirror=mirroring.whole if mirroring else Evidence().mirror,
            mirrored=mirroring.segments if mirroring else {},
            silent=counting.silent(CANARY, CHAMPION) if canary.share > 0 else 0,
            lately=self.lately,
        )

    def act(self, canary: Canary, verdict: Verdict) -> None:
        """Does what the verdict says, once it is written down."""
        stands = traffic_of(self.space).canary == canary  # else a person has held, moved or ended it meanwhile
        if verdict.act == "wait" or (verdict.act in ("widen", "promote") and not stands):
            return
        self.write(canary, verdict, verdict.act)
        if verdict.act == "widen":
            now = self.space.clock.now()
            wider = replace(canary, share=verdict.share, step_at=now, since=self.space.log.end())
            changed(self.space, BY, verdict.reason, lambda traffic: replace(traffic, canary=wider) if traffic.canary == canary else traffic)
            return
        if verdict.act == "promote" and self.space.releases.champion() != canary.release:
            try:
                promote(self.space, canary.release, f"{canary.reason} Tried on users: {verdict.reason}")
            except VernalError as error:
                verdict = Verdict(act="roll back", share=0.0, reason=error.sentence().replace("\n", " "))
                self.write(canary, verdict, "roll back")
        changed(self.space, BY, verdict.reason, lambda traffic: traffic if traffic.canary is None else replace(traffic, canary=None))
        self.drop()

    def write(self, canary: Canary, verdict: Verdict, act: Act) -> None:
        now = self.space.clock.now()
        step = Step(at=now, release=canary.release, against=canary.against, begun_at=canary.begun_at, act=act, share=verdict.share, reason=verdict.reason)
        self.steps.append(step)

    def keep(self, canary: Canary, verdict: Verdict) -> Look:
        """Leaves word of this look for those who ask."""
        evidence = self.evidence(canary) if self.counting is not None else Evidence()
        left_out = self.counting.left_out if self.counting is not None else LeftOut()
        look = Look(at=self.space.clock.now(), canary=canary, verdict=verdict, evidence=evidence, left_out=left_out)
        replaced(self.space.data / FOLDER / "canary.json", look)
        return look

    def ended(self, release: str) -> Step | None:
        """How the trial of a release ended; none while it goes on."""
        found = [step for step in self.steps.all() if step.release == release and step.act in ENDS]
        return found[-1] if found and not self.running else None

    def unmirrored(self) -> None:
        if self.mirroring is not None:
            self.mirroring.close()
            self.mirroring = None

    def drop(self) -> None:
        """Lets go of everything about a trial that is over."""
        self.unmirrored()
        self.counting, self.counted = None, ("", 0)


def hold(space: RolloutSpace, by: str, reason: str, *, held: bool) -> Canary:
    """Keeps the share of a canary where it is, or lets the keeper go on.

    Raises
    ------
    RequestError
        Nothing is on trial.
    """
    canary = on_trial(space)
    changed(space, by, reason, lambda traffic: traffic if traffic.canary is None else replace(traffic, canary=replace(traffic.canary, held=held)))
    return replace(canary, held=held)


def abort(space: RolloutSpace, by: str, reason: str) -> Canary:
    """Takes a release on trial away from everybody. Raises RequestError where nothing is on trial."""
    canary = on_trial(space)
    now = space.clock.now()
    step = Step(at=now, release=canary.release, against=canary.against, begun_at=canary.begun_at, act="roll back", share=0.0, reason=reason, by=by)
    steps_of(space.data).append(step)
    changed(space, by, reason, lambda traffic: replace(traffic, canary=None))
    return canary


def on_trial(space: RolloutSpace) -> Canary:
    canary = traffic_of(space).canary
    if canary is None:
        raise RequestError.invalid("canary", "none", "a release on trial", "`vernal status` says what the keeper waits for")
    return canary
