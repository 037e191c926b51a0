"""Streams in which releases age: what policies see of them, and how stale the release in charge gets under each.

A stream is a matrix of losses: entry (m, d) is the loss on day d of a release trained at the beginning of day m. A day's outcomes are known one day after it
ends, so such a release knows the days before m - 1, and the release that regret is measured against on day d is the one trained at its beginning. A policy
looks at the beginning of each day and sees matured days of the release in charge and of the retired ones it keeps, and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.rollout.policy import Act, Facts, decide
from vernal.rollout.staleness import Score, incidents, standing
from vernal.terms import DAY_S, US_PER_S

DAY = DAY_S * US_PER_S
LAG = 1  # days until a day's outcomes are known
WINDOW, TOLERANCE = 14, 7  # days: what an incident is
TRAINING_S = 60.0  # what a training takes, as the policy is told
Floats = NDArray[np.float64]


class Outcome(NamedTuple):
    """What a policy reached on one stream."""

    incidents: int
    incident_days: int
    trainings: int
    regret: float  # mean

    def as_dict(self) -> dict[str, float]:
        return {"incidents": self.incidents, "incident days": self.incident_days, "trainings": self.trainings, "mean regret": self.regret}


@dataclass(frozen=True)
class Stream:
    """A stream with the day on which its first release is trained, and what counts as stale there."""

    loss: Floats  # (n_days, n_days)
    begin: int
    delta: float  # absolute

    def days(self) -> range:
        return range(self.begin, len(self.loss))

    def judged(self, policy: Callable[["Stream"], Iterator[int]]) -> Outcome:
        """Runs a policy, which yields the release in charge on each day."""
        serving = np.fromiter(policy(self), np.int64)
        days = np.array(self.days())
        regret = self.loss[serving, days] - self.loss[days, days]
        found = incidents(regret, WINDOW, self.delta, TOLERANCE)
        return Outcome(len(found.first), found.units, len(np.unique(serving)), float(regret.mean()))


def every(n: int) -> Callable[[Stream], Iterator[int]]:
    """A training every n days."""
    return lambda stream: (stream.begin + (day - stream.begin) // n * n for day in stream.days())


def three_sd(stream: Stream, reference: int = 30) -> Iterator[int]:
    """The usual performance trigger: a training when a day's loss is over the mean and 3 sd of the 30 days before it."""
    serving, seen = stream.begin, []
    for day in stream.days():
        if len(seen) > LAG + reference:
            *usual, newest = seen[-LAG - reference - 1 : len(seen) - LAG]
            if newest > np.mean(usual) + 3 * np.std(usual):
                serving = day
        yield serving
        seen.append(stream.loss[serving, day])


def vernal(settings: Settings) -> Callable[[Stream], Iterator[int]]:
    """The policy of `vernal.rollout`, fed as a keeper feeds it."""

    def policy(stream: Stream) -> Iterator[int]:
        releases, in_charge, follow_ups = [stream.begin], {}, ()
        ledger: list[Score] = []
        for day in stream.days():
            if (known := day - 1 - LAG) >= stream.begin:
                kept = [release for release in releases if release <= in_charge[known]][-1 - settings.rollout.keep :]
                ledger += [scored(stream, release, known, release == in_charge[known]) for release in kept]
            decision = decide(facts(ledger, day, releases, follow_ups, settings), settings.rollout)
            follow_ups = decision.follow_ups
            if decision.act == Act.TRAIN and day > stream.begin:
                releases.append(day)
            in_charge[day] = releases[-1]
            yield releases[-1]

    return policy


def scored(stream: Stream, release: int, day: int, live: bool) -> Score:
    return Score(unit=day * DAY, release=f"{release:04d}", as_of=(release - LAG) * DAY, quality=-float(stream.loss[release, day]), cases=1_000, live=live)


def facts(ledger: list[Score], day: int, releases: list[int], follow_ups: tuple[int, ...], settings: Settings) -> Facts:
    now, as_of = day * DAY, (releases[-1] - LAG) * DAY
    stands = standing(ledger, now, as_of, DAY_S, settings)
    return Facts(
        now=now, champion_at=as_of, last_training_at=as_of, last_attempt_at=releases[-1] * DAY, predicted_regret=stands.predicted_regret, price=stands.price,
        loss_jump=stands.loss_jump, trainings_in_budget_window=sum(release > day - 30 for release in releases), follow_ups=follow_ups,
        training_cost_s=TRAINING_S,
    )  # fmt: skip
