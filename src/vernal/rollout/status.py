"""How it stands, from what the keeper wrote down: the release in charge and its age, the next training and its reason, staleness, holds, what was done last.

In: the files of the data directory; nothing is computed and nobody is disturbed. Out: `Status`, what `vernal status` prints and `GET /v1/status` answers.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from vernal.events.schema import Kind
from vernal.monitoring.watchman import Watchman
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.records import Training, decisions_of, trainings, trainings_of
from vernal.rollout.shares import traffic_of
from vernal.serving.times import rfc3339
from vernal.serving.upkeep import read_upkeep
from vernal.terms import US_PER_S

SHOWN: Final = 10


def about(text: str) -> Any:
    return Meta(description=text)


class InCharge(msgspec.Struct, frozen=True):
    """The release in charge."""

    name: str
    since: Annotated[str, about("when it was put in charge")]
    reason: Annotated[str, about("why")]
    knows_until: Annotated[str, about("when the first event arrived that it does not know; without one, the end of what it was made from")]
    age_s: Annotated[float, about("since then; 0 while there is no event that it does not know")]


class Said(msgspec.Struct, frozen=True):
    """One decision."""

    at: str
    act: Annotated[str, about("train, wait, hold (broken data must not be learned) or propose (it would train, were it allowed to)")]
    reason: str
    cost_of_waiting: Annotated[float, about("share of what counts as stale")]
    cost_of_training: Annotated[float, about("share of its allowance")]


class Trained(msgspec.Struct, frozen=True):
    """One training that was begun by itself."""

    at: str
    reason: str
    outcome: Annotated[str, about("running, on trial, promoted, rolled back, proposed, refused or failed")]
    took_s: float | None
    release: str
    note: Annotated[str, about("what the gate said, or what failed")]


class Staleness(msgspec.Struct, frozen=True):
    predicted_regret: Annotated[float | None, about("of the release in charge, relative to one trained a unit of time ago; none before it can be told")]
    price: Annotated[float | None, about("regret of a release one unit of time old")]
    incidents: Annotated[int, about("stretches with too much regret for too long, so far")]
    unknown_share: Annotated[float, about("of the last window's events: those on items that the release in charge never saw")]


class Status(msgspec.Struct, frozen=True):
    at: str
    mode: Annotated[str, about("rollout.mode")]
    in_charge: InCharge | None
    on_trial: Annotated[str, about("the release on trial and who meets it; empty = none")]
    looked: Annotated[str, about("when the keeper looked last; empty = never")]
    next_training: Annotated[str, about("when the next training is expected if nothing happens; empty = not known")]
    next_reason: str
    staleness: Staleness | None
    holds: Annotated[list[str], about("alarms that hold training and promotion until they are acknowledged, one sentence each")]
    decisions: Annotated[list[Said], about("newest first")]
    trainings: Annotated[list[Trained], about("newest first")]


def status_of(space: RolloutSpace) -> Status:
    """How it stands now. Cost: a few small files, and one look at the log."""
    now, said, upkeep = space.clock.now(), decisions_of(space.data).all(), read_upkeep(space.data)
    watchman = Watchman(space, space.data / "monitoring")
    last = said[-1] if said else None
    return Status(
        at=rfc3339(now),
        mode=space.settings.rollout.mode,
        in_charge=in_charge(space, now),
        on_trial=on_trial(space),
        looked=rfc3339(upkeep.at) if upkeep else "",
        next_training=rfc3339(upkeep.next_at) if upkeep and upkeep.next_at else "",
        next_reason=last.next_reason if last else "",
        staleness=Staleness(upkeep.predicted_regret, upkeep.price, upkeep.incidents, upkeep.unknown_share) if upkeep else None,
        holds=list(watchman.reasons_to_hold()),
        decisions=[Said(rfc3339(d.at), d.act, d.reason, d.cost_of_waiting, d.cost_of_training) for d in reversed(said[-SHOWN:])],
        trainings=[trained(t) for t in reversed(trainings(trainings_of(space.data))[-SHOWN:])],
    )


def on_trial(space: RolloutSpace) -> str:
    canary = traffic_of(space).canary
    if canary is None:
        return ""
    return f"{canary.release}, met by {100 * canary.share:g} % of users since {rfc3339(canary.step_at)}" + (", held by a person" if canary.held else "")


def in_charge(space: RolloutSpace, now: int) -> InCharge | None:
    promotion = space.releases.last_promotion()
    if promotion is None:
        return None
    lineage = space.releases.manifest(promotion.release).lineage
    first = next(iter(space.log.read(lineage.log_to, 1, frozenset({Kind.EVENTS}))), None)
    until = max(lineage.as_of, first.received_at) if first else lineage.as_of
    age_s = max(0.0, (now - until) / US_PER_S) if first else 0.0
    return InCharge(promotion.release, rfc3339(promotion.at), promotion.reason, rfc3339(until), age_s)


def trained(training: Training) -> Trained:
    took_s = (training.ended_at - training.at) / US_PER_S if training.ended_at > training.at else None
    return Trained(rfc3339(training.at), training.reason, training.outcome, took_s, training.release, training.note)
