"""Whether a release on trial meets more users, is promoted, or goes: a pure function of what its users and the others did.

In: the canary, what was counted since its share was last changed, the settings. Out: a `Verdict` with its reason. A look costs nothing and may come at any
time: the promise, that a release no worse than the one in charge is rolled back with `rollout.promise` at most, is over all looks, all steps and all that
is looked at. Each step counts anew, so that both arms saw the same hours; the steps share the promise, and so do the reward, its segments, the guards and the
shares of users within a step.

The gate has passed the release before, so a canary guards against harm: it goes on as soon as harm that matters is excluded, and also when its time is over
and nothing speaks against it. Then the reason says what loss would have been seen.
"""

import math
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Final, Literal, NamedTuple

import msgspec

from vernal.config import Rollout, duration_s
from vernal.evaluation.intervals import Interval
from vernal.evaluation.sequences import ABOVE, BELOW, Moments, dispersion, evidence, mismatch, ratio
from vernal.serving.traffic import Canary
from vernal.terms import US_PER_S

SHADOWED: Final = 200  # answers nobody sees, to compare with those that were given
LEAST_SHADOWED: Final = 20  # of a segment, to say anything of it
ALIKE: Final = 0.05  # least part of the first items that a release has in common with the one in charge
SHIFTED: Final = 3.0  # log-odds: scores further from those of the release in charge are on another scale
SLOWER: Final = 3.0  # most time per answer, relative to the release in charge
TRIED: Final = 20  # slates in the hour before; with fewer, nothing would be seen in any reasonable time
LEVEL: Final = 0.05  # chance, per step, to take a loss for excluded that is not
WORST: Final = 0.5  # loss that has to be excluded before any step
SETTLED_S: Final = 5.0  # after a change of the share; workers follow within a second, and until then who met what says nothing of it
SURE: Final = 1e-9  # chance of a silence this long
POWER_Z: Final = 0.8416  # for what would have been seen four times in five
SHARED: Final = {"reward": 0.5, "segments": 0.2, "guards": 0.2, "shares": 0.1}  # of the promise


class Guard(NamedTuple):
    """What must not go wrong, whatever the reward: the canary's rate against the other arm's."""

    side: int
    factor: float  # what is allowed
    what: str


GUARDS: Final = {
    "failed": Guard(ABOVE, 1.5, "requests that failed"),
    "late": Guard(ABOVE, 1.5, "answers after the deadline"),
    "fallen": Guard(ABOVE, 1.5, "answers below the ranked rungs"),
    "empty": Guard(ABOVE, 1.5, "slates without items"),
    "diversity": Guard(BELOW, 0.7, "distinct first attributes per item shown"),
    "scores high": Guard(BELOW, 0.5, "clicks per click that the scores promise"),
    "scores low": Guard(ABOVE, 2.0, "clicks per click that the scores promise"),
}


class ArmEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What one arm did and got since the share was last changed. A user without an id is a user of one request."""

    slates: int = 0
    users: int = 0  # that got any
    reward: Moments = Moments()  # positive events that came back in time, over items shown
    guards: dict[str, Moments] = {}  # by name in GUARDS; a count over slates, or over what its words say; absent = not counted
    segments: dict[str, Moments] = {}  # reward, by a segment of users that was chosen before


class Mirror(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over requests that both releases answered, the canary for nobody."""

    n: int = 0
    overlap: float = 0.0  # share of the first items in common
    shift: float = 0.0  # mean score of the canary's items less that of the others, in log-odds
    took_us: float = 0.0
    took_us_against: float = 0.0
    fallen: int = 0  # the canary's answer was on a lower rung than that which was given, or there was none


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a canary at one look."""

    control: ArmEvidence = ArmEvidence()
    canary: ArmEvidence = ArmEvidence()
    mirror: Mirror = Mirror()
    mirrored: dict[str, Mirror] = {}  # by segment
    silent: int = 0  # users the control answered since the canary's last answer
    lately: int = 0  # slates answered in the hour before the canary began, by whatever release


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now, and why."""

    act: Literal["wait", "widen", "promote", "roll back"]
    share: float  # of users from now on; 0 = none
    reason: str  # one sentence


def decide(canary: Canary, evidence: Evidence, rules: Rollout, now: int) -> Verdict:
    """The verdict of one look. Pure: the same arguments give the same verdict.

    Parameters
    ----------
    evidence : counted from `canary.step_at` on; with share 0, the mirror and `lately` are all there is
    now : UTC us

    Cost: 0.2 ms.
    """
    return Look(canary, evidence, rules, now).verdict()


def lower_bound(evidence: Evidence) -> float:
    """What a canary's reward is at least, relative to the other arm's, less 1; -1 before anything can be said."""
    return ratio(evidence.canary.reward, evidence.control.reward, LEVEL).low


class Against(NamedTuple):
    """One thing that may speak against a release."""

    log_e: float  # weighted by its part of the promise
    words: Callable[[], str]


class Look:
    """One look at a canary."""

    def __init__(self, canary: Canary, evidence: Evidence, rules: Rollout, now: int) -> None:
        self.canary, self.evidence, self.rules, self.now = canary, evidence, rules, now
        self.ours, self.theirs = evidence.canary, evidence.control
        self.steps = sorted(rules.canary_steps)
        self.further = next((step for step in self.steps if step > canary.share), 1.0)
        self.step_s = (now - canary.step_at) / US_PER_S
        self.longest_s = duration_s(rules.canary_for) / (len(self.steps) + 1)

    def verdict(self) -> Verdict:
        if not self.steps:
            return self.promoted("no canary: rollout.canary_steps is empty")
        wrong = self.unlike() if self.canary.share == 0 else self.harm()
        if wrong:
            return Verdict(act="roll back", share=0.0, reason=wrong)
        if self.canary.held:
            return self.same("held by a person")
        return self.in_shadow() if self.canary.share == 0 else self.in_traffic()

    # Answers nobody sees.

    def in_shadow(self) -> Verdict:
        """On to the first step, once enough was compared or nothing will be."""
        seen = self.evidence.mirror.n
        if self.evidence.lately < TRIED and seen < TRIED:
            return self.promoted(f"{self.evidence.lately} slates in the hour before: no traffic to try it on")
        if self.step_s < duration_s(self.rules.canary_step) or (seen < SHADOWED and self.step_s < self.longest_s):
            return self.same(f"{seen:,} of {SHADOWED} answers compared that nobody sees")
        return self.wider(f"{seen:,} answers that nobody saw: {self.compared(self.evidence.mirror)}" if seen else "nothing could be compared before")

    def unlike(self) -> str:
        """What is wrong with answers nobody saw; empty = nothing."""
        parts = {"": self.evidence.mirror, **self.evidence.mirrored}
        for name, mirror in parts.items():
            if mirror.n >= LEAST_SHADOWED and (fault := self.fault(mirror)):
                where = f" for {name}" if name else ""
                return f"refused before anybody saw it: {fault}{where}, in {mirror.n:,} answers"
        return ""

    def fault(self, mirror: Mirror) -> str:
        overlap, shift, slower = mirror.overlap / mirror.n, mirror.shift / mirror.n, mirror.took_us / max(mirror.took_us_against, 1.0)
        if mirror.fallen > mirror.n / 2:
            return f"{mirror.fallen:,} times it could not answer as {self.canary.against} did"
        if overlap < ALIKE:
            return f"{100 * overlap:.1f} % of its first items are those of {self.canary.against}"
        if not abs(shift) <= SHIFTED:
            return f"its scores are {shift:+.1f} in log-odds from those of {self.canary.against}"
        return f"it takes {slower:.1f} times as long as {self.canary.against}" if slower > SLOWER else ""

    def compared(self, mirror: Mirror) -> str:
        slower = mirror.took_us / max(mirror.took_us_against, 1.0)
        return f"{100 * mirror.overlap / mirror.n:.0f} % of the first items in common, {slower:.2f} times the time"

    # Answers users see.

    def in_traffic(self) -> Verdict:
        """On when a loss that matters is excluded, or when the step's time is over; users must have had time to come."""
        if self.step_s < duration_s(self.rules.canary_step):
            return self.same(self.figures())
        found, allowed = ratio(self.ours.reward, self.theirs.reward, LEVEL), self.allowed()
        if self.theirs.reward.clicks and found.low > -allowed:
            better = "better than" if found.low > 0 else "no worse than the margin beside"
            words = f"{better} {self.canary.against}" if self.further == 1.0 else f"a loss of {100 * allowed:.0f} % is excluded"
            return self.wider(f"{words}: {self.figures()}")
        if self.step_s < self.longest_s:
            return self.same(self.figures())
        return self.wider(f"its time is over and nothing speaks against it: {self.figures()}; {self.would_have_seen()}")

    def allowed(self) -> float:
        """The loss to exclude before the next step: over all the traffic it would reach, no more than the margin."""
        return min(WORST, self.rules.margin / self.further)

    def harm(self) -> str:
        """What speaks against it beyond chance; empty = nothing."""
        settled = self.step_s >= SETTLED_S
        if settled and (1 - self.canary.share) ** self.evidence.silent < SURE:
            return f"it is silent: {self.evidence.silent:,} other users were answered since it answered last"
        found = [*self.by_reward(), *self.by_segments(), *self.by_guards(), *(self.by_shares() if settled else [])]
        top = max(each.log_e for each in found)
        total = top + math.log(sum(math.exp(each.log_e - top) for each in found))
        if total < math.log(len(self.steps) / self.rules.promise):
            return ""
        return max(found, key=attrgetter("log_e")).words()

    def by_reward(self) -> list[Against]:
        return [Against(weighed("reward", 1, evidence(self.ours.reward, self.theirs.reward, BELOW)), self.figures)]

    def by_segments(self) -> list[Against]:
        """The reward of each segment that both arms have."""
        names = sorted(self.ours.segments.keys() & self.theirs.segments.keys())
        return [self.segment(name, self.ours.segments[name], self.theirs.segments[name], len(names)) for name in names]

    def segment(self, name: str, ours: Moments, theirs: Moments, among: int) -> Against:
        return Against(weighed("segments", among, evidence(ours, theirs, BELOW)), partial(self.figures, ours, theirs, f"for {name}: "))

    def by_guards(self) -> list[Against]:
        """What the table of guards watches, as far as it was counted in both arms."""
        names = sorted(GUARDS.keys() & self.ours.guards.keys() & self.theirs.guards.keys())
        return [self.guard(GUARDS[name], self.ours.guards[name], self.theirs.guards[name]) for name in names]

    def guard(self, guard: Guard, ours: Moments, theirs: Moments) -> Against:
        return Against(weighed("guards", len(GUARDS), evidence(ours, theirs, guard.side, guard.factor)), partial(self.rates, guard.what, ours, theirs))

    def by_shares(self) -> list[Against]:
        """Whether the arms have the users they should have; where not, no comparison of them means anything."""
        return [Against(weighed("shares", 1, mismatch(self.ours.users, self.theirs.users, self.canary.share)), self.shares)]

    # Words.

    def figures(self, ours: Moments | None = None, theirs: Moments | None = None, where: str = "") -> str:
        """The reward beside that of the other arm, or a segment's."""
        ours, theirs = ours or self.ours.reward, theirs or self.theirs.reward
        if not theirs.clicks:
            return f"{where}no clicks yet on {ours.impressions:,.0f} items shown by it and {theirs.impressions:,.0f} by {self.canary.against}"
        found = ratio(ours, theirs, LEVEL)
        return f"{where}{percent(found.value)} clicks per item shown {interval(found)}, {ours.impressions:,.0f} shown to {ours.users:,} users"

    def rates(self, what: str, ours: Moments, theirs: Moments) -> str:
        return f"{what}: {ours.rate:.3g} against {theirs.rate:.3g} with {self.canary.against}, in {self.ours.slates:,} answers"

    def shares(self) -> str:
        ours, theirs = self.ours.users, self.theirs.users
        share = f"{100 * ours / max(1, ours + theirs):.2f} % of {ours + theirs:,} users"
        return f"{share} met it, {100 * self.canary.share:g} % should have: no figure of it means anything"

    def would_have_seen(self) -> str:
        """The smallest loss that four in five such trials would have found."""
        ours, theirs = self.ours.reward, self.theirs.reward
        if not (ours.impressions and theirs.clicks):
            return "no loss would have been seen"
        rate = (ours.clicks + theirs.clicks) / (ours.impressions + theirs.impressions)
        noise = math.sqrt(dispersion(ours, theirs) / rate * (1 / ours.impressions + 1 / theirs.impressions))
        loss = (math.sqrt(2 * math.log(2 * len(self.steps) / self.rules.promise)) + POWER_Z) * noise
        return f"a loss of {100 * loss:.0f} % would have been seen" if loss < 1 else "no loss would have been seen"

    def same(self, reason: str) -> Verdict:
        return Verdict(act="wait", share=self.canary.share, reason=reason)

    def promoted(self, reason: str) -> Verdict:
        return Verdict(act="promote", share=1.0, reason=reason)

    def wider(self, reason: str) -> Verdict:
        return self.promoted(reason) if self.further == 1.0 else Verdict(act="widen", share=self.further, reason=reason)


def weighed(part: str, among: int, log_e: float) -> float:
    """An e-value with its part of the promise."""
    return log_e + math.log(SHARED[part] / among)


def percent(share: float) -> str:
    return f"{100 * share:+.1f} %" if math.isfinite(share) else "no bound"


def interval(found: Interval) -> str:
    return f"[{percent(found.low)}, {percent(found.high)}]"
