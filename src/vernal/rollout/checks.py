"""What the gate looks at, one function per check: in go releases and what they answered, out comes a `Check` with its figure, its bound and one sentence.

A comparison of quality refuses what is worse by more than the margin where chance is no explanation (the interval of the ratio lies below 1). A worse
figure within chance passes: a gate that holds back every tenth honest release makes the product stale, which costs more than it saves.
"""

import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal.errors import ReleaseError
from vernal.evaluation.backtest import SHOWN, Backtest
from vernal.evaluation.intervals import LEVEL, Interval, paired_ratios
from vernal.evaluation.metrics import PerCase
from vernal.evaluation.offpolicy import Opinion
from vernal.features.audit import audit
from vernal.ranking.features import feature_names
from vernal.ranking.parts import Parts
from vernal.ranking.request import Request
from vernal.release import Lineage, Release
from vernal.rollout.certificate import Check, CheckVerdict
from vernal.rollout.slices import LEAST
from vernal.training.ports import TrainingSpace
from vernal.training.snapshot import Snapshot

SLOWER = 2.0  # most CPU per request, relative to the release in charge
HEAVIER, SLACK_BYTES = 2.0, 64 * 2**20  # most memory, relative to it, and how much more is never too much
COVERED = 0.5  # least share of the catalogue in any first ten, relative to it
REQUESTS, REPEATS = 40, 5  # asked to time a release
PADDING = "ranker_border"  # the one array that says infinity and means it: a question never answered yes
SKEW = "skew audit"  # the name of that check
MOST_SAID = 3  # faults named in a sentence


class Pair(NamedTuple):
    """Two sides of a comparison, case by case."""

    whom: str  # the other side, as a sentence names it
    ours: PerCase
    theirs: PerCase


def verdict(*, refused: bool) -> CheckVerdict:
    return "refused" if refused else "passed"


def missing(name: str, why: str) -> Check:
    return Check(name=name, verdict="not available", sentence=why)


# The bytes.


def integrity(space: TrainingSpace, name: str, snapshot: Snapshot, champion: Lineage | None) -> Check:
    """Whether the bytes are those that were sealed, and such as this version and these settings can serve."""
    faults = list(faults_of(space, name, snapshot, champion))
    said = "; ".join(faults[:MOST_SAID]) or "every file is as it was sealed, made by this version for this feature plan, and all its parts load"
    return Check(name="integrity", verdict=verdict(refused=bool(faults)), sentence=said, figure=len(faults), bound=0)


def faults_of(space: TrainingSpace, name: str, snapshot: Snapshot, champion: Lineage | None) -> Iterator[str]:
    try:
        release = space.releases.open(name)
    except ReleaseError as error:
        yield str(error).split("\n")[0]
        return
    lineage, running = release.manifest.lineage, importlib.metadata.version("vernal")
    if lineage.code != running:
        yield f"it was made by vernal {lineage.code} and this is vernal {running}: train again"
    if lineage.plan != snapshot.plan.fingerprint:
        yield "its feature plan is not that of the settings: train again"
    if lineage.log_to > snapshot.log_to:
        yield f"it was made from {lineage.log_to:,} records and the log has {snapshot.log_to:,}"
    if champion is not None and lineage.as_of < champion.as_of:
        yield "it was made from an older log than the release in charge: `vernal rollback --to` goes back"
    parts = Parts.of(release, snapshot.plan)
    yield from parts.problems
    if any(number >= len(snapshot.catalogue) or snapshot.catalogue.ids[number] != item for item, number in parts.static):
        yield "its items have other numbers than those of this log"


def finite(release: Release) -> list[str]:
    """Names of the arrays that hold what is no number. Cost: one reading of the arrays, 1 GB/s."""
    names = [file.removesuffix(".npy") for file in release.manifest.files if file.endswith(".npy")]
    return [name for name in names if not sound(name, release.array(name))]


def sound(name: str, array: NDArray[np.generic]) -> bool:
    if array.dtype.kind != "f":
        return True
    numbers = np.isfinite(array)
    return bool((numbers | (array == np.inf) if name == PADDING else numbers).all())


def scores(release: Release, test: Backtest) -> Check:
    """Numbers everywhere: in what it scores with, and in what it scored."""
    odd = finite(release)
    said = f"no number in {', '.join(odd[:MOST_SAID])}" if odd else "" if test.finite else "scores that are no numbers"
    said = said or f"every array, and every score of {len(test.slates):,} answers, is a number"
    return Check(name="finite scores", verdict=verdict(refused=bool(odd) or not test.finite), sentence=said, figure=len(odd) + (not test.finite), bound=0)


# The data.


def data_quality(holds: Sequence[str]) -> Check:
    """Alarms about the data that nobody has acknowledged."""
    said = "; ".join(holds) or "no alarm about the data is open"
    return Check(name="data quality", verdict=verdict(refused=bool(holds)), sentence=said, figure=len(holds), bound=0)


def skew(space: TrainingSpace, snapshot: Snapshot, after: int) -> Check:
    """Served features recomputed from the log: none may differ. Slates above an offset, of releases under the present plan."""
    alike = {manifest.name for manifest in space.releases.manifests() if manifest.lineage.plan == snapshot.plan.fingerprint}
    names = feature_names(snapshot.plan)
    end, history = snapshot.log_to, snapshot.history  # slates that are answered meanwhile saw what the snapshot does not have
    found = audit(space.log, None, snapshot.plan, snapshot.settings, names, after=after, until=end, releases=alike, history=history)
    if not found.values:
        return missing(SKEW, "no request was served on the full rung since the release in charge was made")
    said = f"{found.mismatches:,} of {found.values:,} feature values of {found.slates:,} served requests differ from those recomputed from the log"
    return Check(name=SKEW, verdict=verdict(refused=found.mismatches > 0), sentence=said, figure=found.mismatches, bound=0)


# The quality.


def compared(name: str, pairs: Sequence[Pair], metrics: Sequence[str], users: NDArray[np.int32], margin: float, among: int = 1) -> Check:
    """The worst of several comparisons.

    Parameters
    ----------
    among : how many such checks there are; the chance to refuse one by mistake is shared among them
    """
    sides = [(pair, metric) for pair in pairs for metric in metrics]
    ours, theirs = (np.stack([getattr(pair, side).by_metric()[metric] for pair, metric in sides], axis=1) for side in ("ours", "theirs"))  # (n, sides)
    level = 1 - (1 - LEVEL) / (len(sides) * among)
    found = [Interval(*(min(figure, 99.0) - 1 for figure in ratio)) for ratio in paired_ratios(ours, theirs, users, level=level)]
    refused = [ratio.value < -margin and ratio.high < 0 for ratio in found]
    worst = min(range(len(sides)), key=lambda place: (not refused[place], found[place].value))
    pair, metric = sides[worst]
    mine, others = ours[:, worst].mean(), theirs[:, worst].mean()
    low, high = found[worst].low, found[worst].high
    said = f"{metric} {mine:.4f} against {others:.4f} of {pair.whom} on {len(users):,} requests, {percent(found[worst].value)}"
    said += f" [{percent(low)}, {percent(high)}]"
    if refused[worst]:
        said += f"; {percent(-margin)} is allowed"
    return Check(name=name, verdict=verdict(refused=refused[worst]), sentence=said, figure=found[worst].value, low=low, high=high, bound=-margin)


def percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def coverage(ours: float, ratio: Interval, whom: str) -> Check:
    """Share of the catalogue in any first ten.

    Parameters
    ----------
    ratio : over that of the other; refused where chance is no explanation for less than COVERED
    """
    said = f"the first ten cover {100 * ours:.1f} % of the catalogue, {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] times as much as with {whom}"
    refused = max(ratio.value, ratio.high) < COVERED
    return Check(name="coverage", verdict=verdict(refused=refused), sentence=said, figure=ratio.value, low=ratio.low, high=ratio.high, bound=COVERED)


# The cost.


def latency(test: Backtest, other: Backtest | None, deadline_ms: float) -> Check:
    """CPU per request in this process, in turns with the release in charge, or against the deadline when there is none to compare with.

    Each request counts with its median over repeats, a release with the median of its requests: what else the machine does meanwhile is in neither.
    """
    if len(test.asked) < LEAST:
        return missing("latency", f"only {len(test.asked)} requests to time it with")
    contestants = [test] if other is None else [test, other]
    taken = np.median(timed(contestants), axis=(0, 1))  # ms per contestant
    if other is None:
        said = f"{taken[0]:.2f} ms of CPU per request; answers are due in {deadline_ms:g} ms"
        return Check(name="latency", verdict=verdict(refused=taken[0] > deadline_ms), sentence=said, figure=float(taken[0]), bound=deadline_ms)
    ratio = float(taken[0] / taken[1])
    said = f"{taken[0]:.2f} ms of CPU per request, {ratio:.2f} times that of {other.recommender.parts.release}"
    return Check(name="latency", verdict=verdict(refused=ratio > SLOWER), sentence=said, figure=ratio, bound=SLOWER)


def timed(contestants: Sequence[Backtest]) -> NDArray[np.float64]:
    """(repeats, requests, contestants) ms of CPU of this process; every request is answered once before the clock runs."""
    walk, asked = contestants[0].walk, contestants[0].asked
    at, users = int(asked.at[-1]), np.unique(asked.user)[:REQUESTS]
    out = np.empty((1 + REPEATS, len(users), len(contestants)))
    for place, user in enumerate(users.tolist()):
        state, request = walk.user(user, at), Request(user=walk.history.users[user], n=SHOWN)
        for turn in range(1 + REPEATS):
            for which, test in enumerate(contestants):
                began = time.process_time_ns()
                test.recommender.recommend(request, state, walk.live, at, seed=place)
                out[turn, place, which] = (time.process_time_ns() - began) / 1e6
    return out[1:]


def memory(release: Release, other: Release | None) -> Check:
    """Bytes that a server maps for it, relative to the release in charge."""
    if other is None:
        return missing("memory", "no release in charge to compare with")
    ours, theirs = (sum((each.path / file).stat().st_size for file in each.manifest.files) for each in (release, other))
    ratio, most = ours / max(1, theirs), max(HEAVIER, 1 + SLACK_BYTES / max(1, theirs))
    said = f"{ours / 2**20:.1f} MiB, {ratio:.2f} times that of {other.name}"
    return Check(name="memory", verdict=verdict(refused=ratio > most), sentence=said, figure=ratio, bound=most)


def off_policy(found: Opinion | str, margin: float) -> Check:
    """What logged propensities say of what its slates would have earned; on requests it has learned from, so it can only speak against it."""
    if isinstance(found, str):
        return missing("off-policy estimate", found)
    sentence = f"{found.sentence}; left out: {', '.join(found.without())}" if found.left_out else found.sentence
    if not found.uplift:
        return missing("off-policy estimate", sentence)
    value, low, high = found.uplift["doubly robust"]
    refused = value < -margin and high < 0
    return Check(name="off-policy estimate", verdict=verdict(refused=refused), sentence=sentence, figure=value, low=low, high=high, bound=-margin)
