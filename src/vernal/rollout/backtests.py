"""Several releases asked the same past requests, through the code that serves.

In: names of kept releases (or releases opened elsewhere) and a stretch of the past. Out: `Backtested`: per release the accuracy on every case, the slates,
the cases with their users, so that any two releases can be compared pair by pair and on any slice. One walk through history serves all of them: what it shows
depends on the feature plan alone, and a release made under another plan is left out with its reason.

Nobody is asked whether a release had seen the stretch: whoever compares knows what `lineage.as_of` says of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vernal.errors import ReleaseError
from vernal.evaluation.backtest import Backtest, plain
from vernal.evaluation.metrics import PerCase
from vernal.evaluation.splits import Cases, cases
from vernal.features.walk import Walk
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Recommender
from vernal.release import Release
from vernal.training.ports import TrainingSpace
from vernal.training.snapshot import Snapshot


@dataclass(frozen=True)
class Backtested:
    """What several releases answered to the same n cases."""

    cases: Cases
    walk: Walk  # stands at the last case
    tests: Mapping[str, Backtest]  # by release, in the order asked for
    skipped: Mapping[str, str]  # release -> why it was not asked

    @property
    def users(self) -> NDArray[np.int32]:
        """(n,) whose case it is, for intervals over users."""
        return self.cases.user

    @cached_property
    def quality(self) -> Mapping[str, PerCase]:
        """Accuracy per case, by release."""
        return {name: test.quality for name, test in self.tests.items()}


def asked(space: TrainingSpace, names: Sequence[str | Release], begin: int, end: int, most: int, seed: int, *, snapshot: Snapshot | None = None) -> Backtested:
    """The releases, each asked the requests of [begin, end) (UTC us, by arrival), `most` of them drawn by `seed`.

    Parameters
    ----------
    names : kept releases of the space; one from another store is given opened
    snapshot : of the space's log, where the caller has read it already

    A release that is not kept, damaged, or made under another feature plan is in `skipped`. Without cases nothing is asked.
    Cost: one walk from the beginning of the log to the stretch, and 1 ms per case and release.
    """
    snapshot = snapshot or Snapshot.of(space)
    moments = snapshot.settings.training.moments
    chosen = cases(snapshot.history, snapshot.settings.events, begin, end, moments).sample(most, seed)
    return answered(space, names, chosen, snapshot)


def answered(space: TrainingSpace, names: Sequence[str | Release], chosen: Cases, snapshot: Snapshot) -> Backtested:
    """`asked`, for cases that were chosen already."""
    walk = Walk(snapshot.plan, snapshot.settings, snapshot.history, snapshot.catalogue)
    tests: dict[str, Backtest] = {}
    skipped: dict[str, str] = {}
    for each in names:
        try:
            release = each if isinstance(each, Release) else space.releases.open(each)
            tests[release.name] = Backtest(Recommender(parts_of(release, snapshot), snapshot.plan, plain(snapshot.settings)), walk, chosen)
        except ReleaseError as error:
            skipped[each if isinstance(each, str) else each.name] = str(error)
    for case in range(len(chosen)):
        for test in tests.values():
            test.ask(case)
    return Backtested(chosen, walk, tests, skipped)


def parts_of(release: Release, snapshot: Snapshot) -> Parts:
    """The parts of a release, none of them missing for being made under another plan.

    Raises
    ------
    ReleaseError
        It was made under another feature plan: the walk does not show what its ranker was taught to read.
    """
    if release.manifest.lineage.plan != snapshot.plan.fingerprint:
        raise ReleaseError.unservable(f"feature plan of {release.name}", release.manifest.lineage.plan[:12], f"{snapshot.plan.fingerprint[:12]}, that of now")
    return Parts.of(release, snapshot.plan)
