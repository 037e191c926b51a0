"""Whether to train now: a pure function of what is known.

In: `Facts`, one look at the world. Out: a `Decision` with its reason, what waiting and training cost, and when the next training is expected. A trigger
only brings forward what the cadence would do anyway; whether the release that comes of it serves is for the gate to say.

Both costs are shares, so that they compare. Waiting costs the predicted regret over `rollout.delta`: at 1 the release counts as stale. Training costs, where
there is a budget, the root of the share of it that the last 30 days used up: a few trainings are paid for by a calm world's regret, the last ones are kept
for when it matters. Without a budget it costs the share of the pause between two trainings that it takes.
"""

import math
from enum import StrEnum
from typing import Final

import msgspec

from vernal.config import Rollout, duration_s
from vernal.rollout.staleness import EXPONENT
from vernal.terms import DAY_S, US_PER_S

BUDGET_S: Final = 30 * DAY_S  # the stretch that rollout.budget is for

JUMPED: Final = "The loss of the release in charge has jumped."
FAR: Final = 1e4  # units of age: further ahead nothing is expected


class Act(StrEnum):
    TRAIN = "train"
    WAIT = "wait"
    HOLD = "hold"  # broken data must not be learned
    PROPOSE = "propose"  # it would train, were it allowed to


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at one moment. Moments are UTC us; None = never."""

    now: int
    champion_at: int | None = None  # as_of of the release in charge
    last_training_at: int | None = None  # as_of of the newest release, whether it is in charge or was refused
    last_attempt_at: int | None = None  # begin of the last training, however it ended
    predicted_regret: float = 0.0  # of the release in charge by the next look, relative to a fresh one
    price: float = 0.0  # relative regret of a release one unit of time older than a fresh one
    unit_s: int = DAY_S  # the unit of time that outcomes are counted by
    loss_jump: bool = False  # the newest unit says that the loss of the release in charge has jumped
    advances: tuple[str, ...] = ()  # alarms on outcomes that no training has answered yet, one sentence each
    holds: tuple[str, ...] = ()  # alarms on the quality of data not acknowledged yet, one sentence each
    unknown_share: float = 0.0  # of the newest events: those on items that the release in charge never saw
    trainings_in_budget_window: int = 0  # begun in the last BUDGET_S
    follow_ups: tuple[int, ...] = ()  # trainings still owed to a jump, earliest first
    training: bool = False  # one is running
    on_trial: str = ""  # a release that is tried on users
    training_cost_s: float = 0.0  # what the last one took
    new_events: int = 1  # received since last_training_at


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now, and why."""

    at: int  # UTC us
    act: Act
    reason: str  # one sentence
    cost_of_waiting: float
    cost_of_training: float
    follow_ups: tuple[int, ...]  # to remember for the next look
    next_at: int  # UTC us, when the next training is expected if nothing happens
    next_reason: str


def decide(facts: Facts, rollout: Rollout) -> Decision:
    """The decision of one look. Pure: the same facts and settings give the same decision. Cost: 20 us."""
    return Look(facts, rollout).decision()


class Look:
    """The facts of one look with the settings in us."""

    def __init__(self, facts: Facts, rollout: Rollout) -> None:
        self.facts, self.rollout, self.now = facts, rollout, facts.now
        self.cadence, self.max_age, self.cool_down = us(rollout.cadence), us(rollout.max_age), us(rollout.cool_down)
        self.waiting = max(facts.predicted_regret, 0.0) / rollout.delta
        self.training = (
            math.sqrt(facts.trainings_in_budget_window / rollout.budget) if rollout.budget else facts.training_cost_s * US_PER_S / max(self.cool_down, 1)
        )
        self.jumped = (facts.loss_jump or bool(facts.advances)) and not facts.follow_ups  # while a jump is followed up, it is the same jump
        self.owed = (self.now, *sorted(self.now + us(text) for text in rollout.follow_ups)) if self.jumped else facts.follow_ups

    def decision(self) -> Decision:
        """The first rule that applies: off, running, on trial, held, nothing new, the age limit, then whatever brings training forward."""
        facts = self.facts
        if self.rollout.mode == "off":
            return self.said(Act.WAIT, "Training by itself is switched off (rollout.mode).")
        if facts.training:
            return self.said(Act.WAIT, "A training is running.")
        if facts.on_trial:
            return self.said(Act.WAIT, f"{facts.on_trial} is being tried on users.")
        if facts.holds:
            return self.said(Act.HOLD, f"Held while the data is broken: {facts.holds[0]}")
        if facts.new_events <= 0 and facts.last_training_at is not None:
            return self.said(Act.WAIT, "Nothing was received since the last training.")
        if (reason := self.must()) is not None:
            return self.train(reason)
        if (reason := self.may()) is None:
            return self.said(Act.WAIT, f"Waiting costs {self.waiting:.0%} of what counts as stale, training {self.training:.0%} of its allowance.")
        if self.now < self.pause_until():
            return self.said(Act.WAIT, f"{reason} It waits for the pause between two trainings.")
        if self.rollout.budget and facts.trainings_in_budget_window >= self.rollout.budget:
            return self.said(Act.WAIT, f"{reason} It waits for the budget: {facts.trainings_in_budget_window} trainings in 30 days.")
        return self.train(reason)

    def must(self) -> str | None:
        """Why a training is due in spite of budget and pause; once per limit, then the pause holds again."""
        facts = self.facts
        if facts.champion_at is None:
            return "There is no release yet." if self.now >= self.pause_until() else None
        tried = facts.last_attempt_at is not None and facts.last_attempt_at >= self.limit_at()
        if self.now < self.limit_at() or (tried and self.now < self.pause_until()):
            return None
        return f"The release in charge comes near its age limit of {self.rollout.max_age}."

    def may(self) -> str | None:
        """What brings training forward, or the cadence."""
        facts, rollout = self.facts, self.rollout
        if self.jumped:
            return f"An outcome changed: {facts.advances[0]}" if facts.advances else JUMPED
        if self.owed and self.owed[0] <= self.now:
            return "A jump is followed up, now that there is more of the new to learn from."
        if facts.last_training_at == facts.champion_at:  # where the newest release was refused, another one at once would be as well
            if facts.unknown_share > rollout.unknown_share:
                return f"{facts.unknown_share:.1%} of the newest events are on items that the release in charge never saw."
            if self.waiting > self.training:
                return f"Waiting costs {self.waiting:.0%} of what counts as stale, training {self.training:.0%} of its allowance."
        if facts.last_training_at is None or self.now >= facts.last_training_at + self.cadence:
            return f"The last training is {rollout.cadence} old."
        return None

    def train(self, reason: str) -> Decision:
        """Trains, or says that it would; what was owed until now is paid by a training."""
        if self.rollout.mode == "propose":
            return self.said(Act.PROPOSE, reason)
        self.owed = tuple(at for at in self.owed if at > self.now)
        return self.said(Act.TRAIN, reason)

    def said(self, act: Act, reason: str) -> Decision:
        next_at, next_reason = self.expected(act)
        return Decision(
            at=self.now, act=act, reason=reason, cost_of_waiting=self.waiting, cost_of_training=self.training, follow_ups=self.owed,
            next_at=next_at, next_reason=next_reason,
        )  # fmt: skip

    def expected(self, act: Act) -> tuple[int, str]:
        """When the next training is due if nothing happens, and why then."""
        facts, trained = self.facts, act == Act.TRAIN
        last = self.now if trained else facts.last_training_at
        champion = self.now if trained else facts.champion_at
        dues = [(last + self.cadence if last is not None else self.now, "cadence")]
        dues += [(at, "follow-up of a jump") for at in self.owed[:1]]
        if champion is not None:
            dues.append((self.limit_of(champion), "age limit"))
            dues += self.pays_at(champion)
        at, reason = min(dues)
        free = self.pause_of(self.now if trained else facts.last_attempt_at)
        return max(at, free, self.now), reason

    def pays_at(self, champion: int) -> list[tuple[int, str]]:
        """When the predicted regret passes the cost of training at today's price of age."""
        pays = self.training * self.rollout.delta
        if self.facts.price * FAR**EXPONENT <= pays:
            return []
        units = 1.0 + (pays / self.facts.price) ** (1.0 / EXPONENT)
        return [(champion + int(units * self.facts.unit_s * US_PER_S), "predicted regret")]

    def limit_at(self) -> int:
        return self.limit_of(self.facts.champion_at or 0)

    def limit_of(self, champion: int) -> int:
        """When a training is due so that a release this old is replaced in time, with room for a second try after a failed one."""
        room = self.cool_down + round(self.facts.training_cost_s * US_PER_S)
        return champion + self.max_age - min(room, self.max_age // 2)

    def pause_until(self) -> int:
        return self.pause_of(self.facts.last_attempt_at)

    def pause_of(self, attempt: int | None) -> int:
        return attempt + self.cool_down if attempt is not None else self.now


def us(duration: str) -> int:
    return duration_s(duration) * US_PER_S
