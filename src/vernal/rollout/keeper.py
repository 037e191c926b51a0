"""The keeper: one look after another at what came in, and what follows from each.

A look: judge every window that is complete; score releases on the units whose outcomes have matured; decide; train through its hands; have what was trained
judged, and put in charge what passed. Every decision and every training is written down with its reason before anything is done about it, so a keeper that
dies at any step goes on from its files. It knows nothing of processes, threads or time: the clock is the space's, and what trains are its hands.
"""

from collections import Counter
from contextlib import suppress
from typing import Final, Literal, Protocol

import msgspec

from vernal.errors import GateError, VernalError
from vernal.events.ports import EventReader
from vernal.events.schema import Kind
from vernal.monitoring.watchman import Watchman
from vernal.release import Manifest
from vernal.rollout.acknowledging import asks
from vernal.rollout.canary import lower_bound
from vernal.rollout.certificate import Certificate
from vernal.rollout.checks import SKEW
from vernal.rollout.experiments import Comparing
from vernal.rollout.gate import certificate_of, judge, promote, prune
from vernal.rollout.mirroring import MirrorSpace
from vernal.rollout.policy import BUDGET_S, Act, Decision, Facts, decide
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.records import FOLDER, Training, decisions_of, trainings, trainings_of
from vernal.rollout.rescoring import Rescoring, measure_of
from vernal.rollout.shares import traffic_of
from vernal.rollout.staleness import Ledger, Standing, standing
from vernal.rollout.trying import Look, Trying
from vernal.serving.upkeep import OUTCOMES, Upkeep, read_upkeep, write_upkeep
from vernal.terms import US_PER_S
from vernal.training.ports import Outcome, Tracker, Untracked
from vernal.training.tracking import run_of

SAID_AGAIN_US: Final = 3_600 * US_PER_S  # a decision that stays the same is written down this often
MOST_JUDGED: Final = 2  # times that a release may be judged by a keeper that dies of it


class Ended(msgspec.Struct, frozen=True):
    """How a training ended: with a release that nobody has judged yet, or with the sentence of its problem."""

    release: str = ""
    problem: str = ""


class Hands(Protocol):
    """Makes releases."""

    @property
    def running(self) -> bool:
        """Whether a training runs on this data, whoever started it."""
        ...

    def start(self, reason: str) -> None:
        """Begins a training that leaves the present release in charge; it may be done when this returns."""
        ...

    def finished(self) -> Ended | None:
        """How the training started last ended, asked as often as one likes; None while it runs, and for one that died without a word."""
        ...


class Arrivals:
    """How many events came after an offset, counted on from where it was counted last."""

    def __init__(self, log: EventReader, after: int) -> None:
        self.log, self.after, self.seen = log, after, after
        self.n, self.first_at = 0, 0

    def count(self) -> int:
        while batches := list(self.log.read(self.seen, kinds=frozenset({Kind.EVENTS}))):
            self.first_at = self.first_at or batches[0].received_at
            self.n += sum(len(batch.records) for batch in batches)
            self.seen = batches[-1].last
        return self.n


class Keeper:
    """Keeps one space from going stale.

    Parameters
    ----------
    hands : what trains
    tracker : told of every training that ended
    mirror : the space, where somebody serves from it: a release on trial is compared there before users see it

    One keeper at a time may look at a space.
    """

    def __init__(self, space: RolloutSpace, hands: Hands, tracker: Tracker | None = None, mirror: MirrorSpace | None = None) -> None:
        self.space, self.hands, self.tracker = space, hands, tracker or Untracked()
        self.decisions, self.lines = decisions_of(space.data), trainings_of(space.data)
        self.trainings = trainings(self.lines)
        self.watchman = Watchman(space, space.data / "monitoring")
        self.rescoring = Rescoring(space, Ledger(space.data / FOLDER / "scores.jsonl", measure_of(space.settings)))
        self.trying, self.comparing = Trying(space, mirror), Comparing(space)
        self.arrivals: dict[int, Arrivals] = {}
        self.last: Decision | None = None  # written down
        self.told: Upkeep | None = None
        self.seen: Look | None = None  # of the release on trial, last
        self.back_at: int | None = None  # when the clock was found to have gone back, last
        for decision in self.decisions.all():
            self.remember(decision)

    def remember(self, decision: Decision) -> None:
        if self.last is not None and decision.at < self.last.at:
            self.back_at = decision.at
        self.last = decision

    def tick(self) -> Decision:
        """One look."""
        now = self.space.clock.now()
        for file, asked in asks(self.watchman.folder):
            self.watchman.acknowledge(asked.by, asked.note, usual=asked.usual)
            file.unlink()
        self.settle()
        self.attend()
        self.watchman.step(now)
        self.rescoring.step(now)
        self.comparing.step(now)
        stands = self.standing(now)
        facts = self.facts(now, stands)
        decision = self.noted(decide(facts, self.space.settings.rollout))
        if decision.act == Act.TRAIN:
            self.write(Training(at=now, reason=decision.reason))
            self.hands.start(decision.reason)
            self.settle()
        self.tell(decision, facts, stands)
        return decision

    def noted(self, decision: Decision) -> Decision:
        """Writes a decision down, unless it says what the last one said a moment ago."""
        last = self.last
        if last is not None and decision.at < last.at:
            back_s = (last.at - decision.at) / US_PER_S
            decision = msgspec.structs.replace(decision, reason=f"{decision.reason} The clock went back by {back_s:,.0f} s.")
        same = last is not None and (last.act, last.follow_ups, last.next_reason) == (decision.act, decision.follow_ups, decision.next_reason)
        if last is None or not same or decision.act == Act.TRAIN or not 0 <= decision.at - last.at < SAID_AGAIN_US:
            self.decisions.append(decision)
            self.remember(decision)
        return decision

    def write(self, training: Training) -> None:
        """Keeps a training as it stands now."""
        self.lines.append(training)
        self.trainings = [*(other for other in self.trainings if other.at != training.at), training]

    def settle(self) -> None:
        """What follows from a training that ended: it is judged, and the end is written down."""
        training = self.trainings[-1] if self.trainings else None
        if training is None or training.outcome != "running":
            return
        ended = self.hands.finished()
        if ended is None and self.hands.running:
            return
        known = {other.release for other in self.trainings if other.release and other.at != training.at}
        if ended is None or ended.release in known:  # a word that is older than this training
            ended = Ended(problem="The trainer died without a word.")
        outcome, note = self.outcome(training, ended)
        if outcome == "on trial":
            self.write(msgspec.structs.replace(training, release=ended.release, outcome=outcome, note=note))
            self.attend()
        else:
            self.closed(msgspec.structs.replace(training, release=ended.release), outcome, note)

    def closed(self, training: Training, outcome: Outcome, note: str) -> None:
        """The end of a training is written down, and told."""
        now = self.space.clock.now()
        self.write(msgspec.structs.replace(training, ended_at=now, outcome=outcome, note=note))
        self.tracker.record(run_of(self.space.releases, training.release, self.space.settings, training.at, now, outcome, training.reason, note))
        prune(self.space)

    def attend(self) -> None:
        """One look at the release on trial, if there is one; a trial that is over ends its training."""
        self.seen = self.trying.look(self.holds())
        if self.told is not None:
            self.told = self.tried_so_far(self.told)
            write_upkeep(self.space.data, self.told)
        training = self.trainings[-1] if self.trainings else None
        if training is None or training.outcome != "on trial" or self.trying.running:
            return
        step, promoted = self.trying.ended(training.release), self.space.releases.champion() == training.release
        self.closed(training, "promoted" if promoted else "rolled back", step.reason if step else "Its trial ended without a word.")

    def outcome(self, training: Training, ended: Ended) -> tuple[Outcome | Literal["on trial"], str]:
        """What becomes of what a training made, and why; a judgement that a kill cut short is made again."""
        releases, name = self.space.releases, ended.release
        if ended.problem:
            return "failed", ended.problem
        canary = traffic_of(self.space).canary
        if canary is not None and canary.release == name:
            return "on trial", training.note
        if releases.champion() == name:
            return "promoted", training.note
        if training.judged == MOST_JUDGED:
            return "failed", f"Whoever judged it died of it {MOST_JUDGED} times."
        self.write(msgspec.structs.replace(training, release=name, judged=training.judged + 1))
        try:
            certificate = self.judged(name)
            if certificate.verdict == "passed" and self.space.settings.rollout.mode == "automatic":
                if self.tried(certificate, training.reason):
                    return "on trial", certificate.reason
                promote(self.space, name, training.reason)  # refused where somebody put another one in charge meanwhile
        except VernalError as error:
            return "failed", error.sentence().replace("\n", " ")
        if certificate.verdict == "refused":
            return "refused", certificate.reason
        if self.space.settings.rollout.mode != "automatic":
            return "proposed", f"rollout.mode is {self.space.settings.rollout.mode}; `vernal promote {name}` puts it in charge."
        return "promoted", certificate.reason

    def tried(self, certificate: Certificate, reason: str) -> bool:
        """Puts a release on trial, where there is one to try it against: the one it was judged against."""
        against = self.space.releases.champion()
        if not against or certificate.against != against or not self.space.settings.rollout.canary_steps:
            return False
        self.trying.begin(certificate.release, against, reason)
        return True

    def judged(self, name: str) -> Certificate:
        """The verdict on a release: the trainer's, unless something came up meanwhile that it did not know."""
        holds = self.holds()
        try:
            found = certificate_of(self.space, name)
        except GateError:
            found = None
        stands = found is not None and found.verdict != "unjudged" and found.against == (self.space.releases.champion() or "") and not holds
        return found if found is not None and stands else judge(self.space, name, holds)

    def standing(self, now: int) -> Standing | None:
        """How stale the release in charge is; none before anything was scored."""
        champion, scores = self.champion(), self.rescoring.scores
        return standing(scores, now, champion.lineage.as_of, self.rescoring.unit_s, self.space.settings) if champion and scores else None

    def facts(self, now: int, stands: Standing | None) -> Facts:
        """What is known now."""
        champion, newest, watchman = self.champion(), self.newest(), self.watchman
        attempt = self.trainings[-1].at if self.trainings else None
        return Facts(
            now=now,
            champion_at=self.known_to(champion, now),
            last_training_at=self.known_to(newest, now),
            last_attempt_at=None if attempt is None else self.past(attempt, now),
            predicted_regret=stands.predicted_regret if stands else 0.0,
            price=stands.price if stands else 0.0,
            unit_s=self.rescoring.unit_s,
            loss_jump=bool(stands and stands.loss_jump),
            advances=tuple(alarm.sentence(watchman.named) for alarm in watchman.unanswered(attempt or 0)),
            holds=self.holds(),
            unknown_share=watchman.unknown_share(now) if champion else 0.0,
            trainings_in_budget_window=sum(training.at > now - BUDGET_S * US_PER_S for training in self.trainings),
            follow_ups=self.last.follow_ups if self.last else (),
            training=self.hands.running,
            on_trial=self.trainings[-1].release if self.trainings and self.trainings[-1].outcome == "on trial" else "",
            training_cost_s=self.took_s() or 0.0,
            new_events=self.after(newest).n,
        )

    def tell(self, decision: Decision, facts: Facts, stands: Standing | None) -> None:
        """Leaves word of how it all stands, for those who scrape."""
        outcomes = Counter(training.outcome for training in self.trainings)
        incidents, incident_at = self.incidents(facts.now, stands)
        upkeep = Upkeep(
            at=facts.now,
            unknown_share=facts.unknown_share,
            predicted_regret=stands.predicted_regret if stands else None,
            price=stands.price if stands else None,
            incidents=incidents,
            incident_at=incident_at,
            alarms=dict(Counter(str(raised.alarm.severity) for raised in self.watchman.standing_alarms)),
            held=bool(facts.holds),
            training=self.hands.running,
            trainings={str(outcome): n for outcome, n in outcomes.items() if outcome in OUTCOMES},
            training_s=self.took_s(),
            refusals=outcomes["refused"],
            skewed=self.skewed(),
            next_at=decision.next_at,
        )
        self.told = self.tried_so_far(upkeep)
        write_upkeep(self.space.data, self.told)

    def incidents(self, now: int, stands: Standing | None) -> tuple[int, int]:
        """How many there were so far, and when the last unit of the newest began (UTC us).

        Regret of the past is estimated anew with every unit, so a look may find fewer than one before; only those after the newest that was counted count.
        """
        told = self.told or read_upkeep(self.space.data) or Upkeep(at=now)
        if stands is None or not len(stands.incidents.first):
            return told.incidents, told.incident_at
        first, last, since = stands.units[stands.incidents.first], int(stands.units[stands.incidents.last[-1]]), min(told.incident_at, now)
        new = int((first > since).sum())
        return told.incidents + new if since else max(told.incidents, new), max(since, last)

    def tried_so_far(self, upkeep: Upkeep) -> Upkeep:
        """With how it stands with releases on trial."""
        low, acts = lower_bound(self.seen.evidence) if self.seen and self.trying.running else None, Counter(step.act for step in self.trying.steps.all())
        return msgspec.structs.replace(upkeep, canary_low=low, canary_acts=dict(acts))

    def skewed(self) -> int | None:
        """Served values that the newest verdict found to differ from the log; none where nothing was judged or compared."""
        newest, found = self.newest(), None
        with suppress(GateError):
            found = certificate_of(self.space, newest.name) if newest else None
        audited = [check for check in found.checks if check.name == SKEW and check.verdict != "not available"] if found else []
        return int(audited[0].figure or 0) if audited else None

    def took_s(self) -> float | None:
        """How long the last training that ended took, until its release was judged."""
        ended = [training for training in self.trainings if training.ended_at > training.at]
        return (ended[-1].ended_at - ended[-1].at) / US_PER_S if ended else None

    def holds(self) -> tuple[str, ...]:
        return self.watchman.reasons_to_hold()

    def champion(self) -> Manifest | None:
        """The release in charge; none where there is none that can be read."""
        name = self.space.releases.champion()
        return next((manifest for manifest in self.space.releases.manifests() if manifest.name == name), None)

    def newest(self) -> Manifest | None:
        """The release that knows most, whether it was put in charge or not."""
        return max(self.space.releases.manifests(), key=lambda manifest: manifest.lineage.log_to, default=None)

    def after(self, manifest: Manifest | None) -> Arrivals:
        """What came in that a release does not know."""
        offset = manifest.lineage.log_to if manifest else 0
        found = self.arrivals.setdefault(offset, Arrivals(self.space.log, offset))
        found.count()
        self.arrivals = {other.after: other for other in list(self.arrivals.values())[-2:]}
        return found

    def known_to(self, manifest: Manifest | None, now: int) -> int | None:
        """Until when a release knows everything: what it was made from, or, where nobody came for longer than a unit after that, the first event since."""
        if manifest is None:
            return None
        as_of, first_at = manifest.lineage.as_of, self.after(manifest).first_at
        return self.past(first_at if first_at > as_of + self.rescoring.unit_s * US_PER_S else as_of, now)

    def past(self, moment: int, now: int) -> int:
        """A moment of the past; one that seems to come is of a clock that has gone back since, and counts from when that was found."""
        return moment if moment <= now else min(now, self.back_at or now)
