"""The gate: whether a release may be put in charge, as a signed certificate.

In: the name of a release that is not in charge yet. Out: `Certificate`, written into it. Promotion asks the certificate, serving asks it again; a trigger
never promotes.

The comparison is fair: nobody is judged by requests they have seen. A release carries how its trial (the same settings, fitted before the last stretch) did on
that stretch. The release in charge stands beside it as it is when it was fitted before the stretch too. Otherwise it is fitted anew on what the trial had:
under the same settings that is the trial itself, so no worse by construction, and under other settings it is really fitted. The released bytes have seen
the stretch, so they are only held to do no worse there than the trial and the release in charge: inverted, shuffled or broken bytes cannot.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from vernal.clock import Clock
from vernal.config import Settings, duration_s
from vernal.errors import GateError, ReleaseError, VernalError
from vernal.evaluation.backtest import showable
from vernal.evaluation.intervals import Interval, paired_coverage
from vernal.evaluation.metrics import PerCase
from vernal.evaluation.metrics import coverage as covered
from vernal.evaluation.offpolicy import Opinion
from vernal.evaluation.splits import Cases, cases
from vernal.events.archive import Archive
from vernal.events.history import Catalogue, History
from vernal.events.ports import EventLog
from vernal.events.reading import read_catalogue, read_history, type_codes
from vernal.features.definition import Plan, compile_plan
from vernal.memo import Memo
from vernal.monitoring.watchman import Watchman
from vernal.release import MANIFEST, Promotion, Release, ReleaseStore, sha256
from vernal.retrieval.encoders import Encoder
from vernal.rollout import checks
from vernal.rollout.backtests import Backtested, answered
from vernal.rollout.certificate import Certificate, Check, Keys, opened_gate, signed, verified, written
from vernal.rollout.checks import Pair
from vernal.rollout.counterfactual import Alternative, considered, logged
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.rescoring import needed
from vernal.rollout.shares import traffic_of
from vernal.rollout.slices import LEAST, slices
from vernal.serving.traffic import releases_of
from vernal.terms import US_PER_S
from vernal.training.snapshot import Snapshot
from vernal.training.train import refitted
from vernal.training.trial import Trial, settings_of

CONSIDERED = 500  # logged slates that it is asked for its own, at most
ORDER = "ndcg@10"  # beside the chosen metric: it sees the order within a slate


def judge(space: RolloutSpace, challenger: str, holds: Sequence[str] = (), *, snapshot: Snapshot | None = None) -> Certificate:
    """The verdict on a release, signed and written beside its manifest.

    A release that was in charge and may serve keeps its certificate unless it passes anew: looking at it again must not take it out of service, nor close
    the way back to it.

    Parameters
    ----------
    holds : unacknowledged alarms about the data, one sentence each
    snapshot : of the space's log, where the caller has read it already

    Raises
    ------
    ReleaseError
        No such release, or a manifest that cannot be read.
    GateError
        The keys of the gate are damaged or gone in part.

    Cost: one walk from the beginning of the log, 2 ms per request of the evaluation, and bootstraps, 2 s in all for 1,000 requests.
    """
    store = space.releases
    manifest, keys = store.manifest(challenger), opened_gate(keys_of(space), store)
    snapshot, champion = snapshot or Snapshot.of(space), in_charge(store, challenger)
    found = tuple(Judging(space, challenger, champion, snapshot, holds).checks())
    refusals = [check for check in found if check.verdict == "refused"]
    certificate = Certificate(
        release=challenger,
        manifest=sha256(store.root / challenger / MANIFEST),
        verdict="refused" if refusals else "passed",
        against=champion.name if champion else "",
        at=space.clock.now(),
        by="the gate",
        reason="; ".join(f"{check.name}: {check.sentence}" for check in refusals) or f"{len(found)} checks, none refused it",
        lineage=manifest.lineage,
        data=digest(snapshot, manifest.lineage.as_of),
        checks=found,
    )
    if refusals and has_served(space, challenger):
        return signed(certificate, keys)
    return written(certificate, store.root / challenger, keys)


def has_served(space: RolloutSpace, name: str) -> bool:
    """Whether a release was ever in charge and has a certificate that lets it be so again."""
    try:
        space.releases.admit(name)
    except ReleaseError:
        return False
    return any(promotion.release == name for promotion in space.releases.promotions())


def open_alarms(space: RolloutSpace) -> tuple[str, ...]:
    """Alarms about the data that nobody has acknowledged, one sentence each, as the keeper left them."""
    return Watchman(space, space.data / "monitoring").reasons_to_hold()


def promote(space: RolloutSpace, name: str, reason: str, *, by: str = "the gate", in_spite: str = "", holds: Sequence[str] = ()) -> Promotion:
    """Puts a judged release in charge.

    Parameters
    ----------
    by : who or what asks for it
    in_spite : why it is put in charge although the gate refused it, or an alarm is open; kept with the promotion, and signed into a certificate that refused
    holds : unacknowledged alarms about the data, one sentence each; the certificate may be older than they are

    Raises
    ------
    GateError
        It was not judged, not against the release in charge now, or refused; its certificate does not hold; or the data are broken.
    ReleaseError
        No such release; damaged bytes: those serve in spite of nothing; another promotion came in between.
    """
    store = space.releases
    store.manifest(name)
    last = store.last_promotion()
    certificate = certificate_of(space, name)
    if certificate is None or certificate.verdict == "unjudged":
        raise GateError.unjudged(name)
    if holds and not in_spite:
        raise GateError.held(name, holds[0])
    champion = in_charge(store, name)
    if certificate.against != (champion.name if champion else ""):
        raise GateError.outdated(name, certificate.against, champion.name if champion else "")
    if certificate.verdict == "refused" and in_spite:
        written(replace(certificate, verdict="overridden", by=by, reason=f"{in_spite} (the gate: {certificate.reason})"), store.root / name, keys_of(space))
    store.admit(name)
    promotion = store.promote(name, f"{reason}, in spite of the gate: {in_spite}" if in_spite else reason, after=last.number if last else 0)
    prune(space)
    return promotion


def prune(space: RolloutSpace) -> None:
    """Deletes old releases that nobody is answered by and that need not be scored any more."""
    space.releases.prune(space.settings.training.keep, *releases_of(traffic_of(space)), *needed(space))


def certificate_of(space: RolloutSpace, name: str) -> Certificate | None:
    """The certificate of a kept release, once it was found to hold; none before it was judged. Raises GateError where it does not hold."""
    return verified(space.releases.root / name, keys_of(space))


def keys_of(space: RolloutSpace) -> Keys:
    return Keys(space.data / "keys")


def in_charge(store: ReleaseStore, challenger: str) -> Release | None:
    """The release to be compared with: none when it is the challenger itself, or cannot be opened and so serves nobody."""
    name = store.champion()
    try:
        return store.open(name) if name and name != challenger else None
    except ReleaseError:
        return None


def digest(snapshot: Snapshot, as_of: int) -> str:
    """sha256 of the events received before `as_of`, as columns. Cost: 1 GB/s, 40 bytes per event."""
    known, total = snapshot.history.before(as_of), hashlib.sha256()
    for name in ("user", "item", "type", "time", "received_at", "value", "offset"):
        total.update(np.ascontiguousarray(getattr(known, name)).data)
    return total.hexdigest()


@dataclass(frozen=True)
class Under:
    """A space under other settings: how the release in charge would be made again."""

    space: RolloutSpace
    settings: Settings

    @property
    def root(self) -> Path:
        return self.space.root

    @property
    def clock(self) -> Clock:
        return self.space.clock

    @property
    def log(self) -> EventLog:
        return self.space.log

    @property
    def archive(self) -> Archive:
        return self.space.archive

    @property
    def releases(self) -> ReleaseStore:
        return self.space.releases

    @property
    def memo(self) -> Memo:
        return self.space.memo

    @property
    def plan(self) -> Plan:
        return compile_plan(self.settings)

    def history(self, until: int | None = None) -> History:
        codes = type_codes(self.settings)
        return self.space.history(until) if codes == type_codes(self.space.settings) else read_history(self.log, self.archive, codes, until)

    def catalogue(self, until: int | None = None) -> Catalogue:
        return read_catalogue(self.log, self.settings.items, until)

    def encoder(self, name: str) -> Encoder:
        return self.space.encoder(name)


class Judging:
    """One release before the gate."""

    def __init__(self, space: RolloutSpace, challenger: str, champion: Release | None, snapshot: Snapshot, holds: Sequence[str]) -> None:
        self.space, self.challenger, self.champion, self.snapshot, self.holds = space, challenger, champion, snapshot, holds
        self.metric, self.margin = space.settings.rollout.metric, space.settings.rollout.margin

    def checks(self) -> Iterator[Check]:
        """Every check in order; a release that is not sound is asked nothing."""
        champion = self.champion.manifest.lineage if self.champion else None
        sound = checks.integrity(self.space, self.challenger, self.snapshot, champion)
        yield sound
        yield checks.data_quality(self.holds)
        if sound.verdict == "refused":
            return
        yield checks.skew(self.space, self.snapshot, champion.log_to if champion else 0)
        yield from self.answers(self.space.releases.open(self.challenger, verify=False))

    def answers(self, release: Release) -> Iterator[Check]:
        """The checks of what it answers."""
        asked, trial = self.cases(release)
        names = [release] if self.champion is None else [release, self.champion]
        found = answered(self.space, names, asked, self.snapshot)
        test, other = found.tests[release.name], found.tests.get(self.champion.name) if self.champion else None
        yield checks.scores(release, test)
        yield from self.quality(release, found, trial)
        yield from self.coverage(release, found)
        yield checks.latency(test, other, self.space.settings.serving.deadline_ms)
        yield checks.memory(release, self.champion)
        yield checks.off_policy(self.earned(release), self.margin)

    def earned(self, release: Release) -> Opinion | str:
        """What its slates would have earned in place of those of the release in charge, or why nobody looked."""
        if self.champion is None:
            return "no release in charge whose answers could be weighed"
        found = logged(self.space, 0, self.snapshot.as_of, CONSIDERED, self.champion.manifest.lineage.log_to)
        if not found.explored:
            return "nothing in the answers of the release in charge was left to chance (scenarios.NAME.temperature): they say nothing of others"
        try:
            return considered(self.space, Alternative(release.name), found, self.snapshot)
        except ReleaseError as error:
            return str(error).split("\n")[0]

    def cases(self, release: Release) -> tuple[Cases, Trial | None]:
        """The requests of the last stretch of the release, those of its trial where it has one."""
        made, trial = settings_of(release) or self.space.settings, Trial.load(release)
        end = release.manifest.lineage.as_of
        begin = trial.begin if trial else end - duration_s(made.training.evaluate_last) * US_PER_S
        every = cases(self.snapshot.history, made.events, begin, end, made.training.moments)
        return trial.rows(every) if trial else (every.sample(made.training.evaluate_requests, made.training.seed), None)

    def quality(self, release: Release, found: Backtested, trial: Trial | None) -> Iterator[Check]:
        """The trial against the release in charge, the bytes against both, and every slice."""
        name, asked = release.name, found.cases
        if len(asked) < LEAST:
            yield checks.missing("temporal backtest", f"{len(asked)} requests in the last stretch; {LEAST} are needed to say anything")
            return
        fair = self.fair(release, found, trial) if trial else "too little history to hold a stretch back from it"
        if isinstance(fair, Pair):
            yield checks.compared("temporal backtest", [fair], [self.metric], asked.user, self.margin)
        elif trial:
            mean = trial.ours.means()[self.metric]
            yield Check(name="temporal backtest", verdict="passed", sentence=f"{self.metric} {mean:.4f}; {fair}", figure=0.0, bound=-self.margin)
        else:
            yield checks.missing("temporal backtest", fair)
        bytes_ = list(self.bytes_pairs(name, found, trial))
        if bytes_:
            yield checks.compared("released bytes", bytes_, sorted({self.metric, ORDER}), asked.user, self.margin)
        yield from self.harmless([*([fair] if isinstance(fair, Pair) and self.champion else []), *bytes_], found)

    def coverage(self, release: Release, found: Backtested) -> Iterator[Check]:
        """Beside the release in charge on the same requests, or else beside its own trial."""
        eligible = int(showable(self.snapshot.catalogue, self.snapshot.history).sum())
        ours, *others = (test.slates for test in found.tests.values())
        share, evaluation = covered(ours, eligible), release.manifest.metrics.get("evaluation")
        if others and self.champion:
            yield checks.coverage(share, paired_coverage(ours, others[0], found.cases.user), self.champion.name)
        elif evaluation:
            ratio = share / evaluation["coverage"] if evaluation["coverage"] else 1.0
            yield checks.coverage(share, Interval(ratio, ratio, ratio), "its trial")

    def fair(self, release: Release, found: Backtested, trial: Trial) -> Pair | str:
        """The trial beside the release in charge on requests that neither has seen; a sentence where that needs no asking."""
        champion = self.champion
        if champion is None:
            return Pair(f"the best list ({trial.best_list})", trial.ours, trial.theirs)
        if champion.manifest.lineage.as_of <= trial.begin and champion.name in found.tests:
            return Pair(f"{champion.name}, which has not seen them either", trial.ours, found.quality[champion.name])
        if champion.manifest.lineage.config == release.manifest.lineage.config:
            return f"{champion.name} was made with the same settings, so fitted on the same data it is this trial: no worse by construction"
        again = self.refitted(champion, release, found.cases, trial.begin)
        if again is not None:
            return Pair(f"{champion.name}'s settings fitted on the same data", trial.ours, again)
        if champion.name in found.tests:
            return Pair(f"{champion.name}, which has seen part of them", trial.ours, found.quality[champion.name])
        return f"{champion.name} cannot be asked, nor made again: {found.skipped[champion.name]}"

    def refitted(self, champion: Release, release: Release, asked: Cases, begin: int) -> PerCase | None:
        """What the settings of the release in charge reach, fitted on what the trial had; none when they are not known or fit nothing."""
        theirs, lineage = settings_of(champion), release.manifest.lineage
        if theirs is None:
            return None
        under = Under(self.space, theirs)
        try:
            whole = Snapshot.of(under)
            past = Snapshot(whole.plan, whole.settings, whole.history.before(lineage.as_of), whole.catalogue, lineage.log_to, lineage.as_of, begin)
            return refitted(under, past, asked)
        except VernalError:
            return None

    def bytes_pairs(self, name: str, found: Backtested, trial: Trial | None) -> Iterator[Pair]:
        """The bytes that would serve beside what they must not be worse than on requests they have seen."""
        ours = found.quality[name]
        if trial:
            yield Pair("its own trial, which had not seen them", ours, trial.ours)
        if self.champion and self.champion.name in found.tests:
            yield Pair(self.champion.name, ours, found.quality[self.champion.name])

    def harmless(self, pairs: Sequence[Pair], found: Backtested) -> Iterator[Check]:
        """One check per slice."""
        groups = slices(found.cases, self.snapshot, self.space.log) if pairs else []
        for group in groups:
            own = [Pair(pair.whom, pair.ours.rows(group.cases), pair.theirs.rows(group.cases)) for pair in pairs]
            yield checks.compared(f"slice {group.name}", own, [self.metric], found.users[group.cases], self.margin, among=len(groups))
