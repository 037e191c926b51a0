"""What a release carries of its own making: the settings it was made with, and how its trial did.

The trial is models and ranker of the same settings, fitted before the last stretch and asked about it. A gate compares that with the release in charge: the
released models have seen the stretch, so their own answers there say whether the bytes are sound and not how good they will be.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.evaluation.backtest import Report
from vernal.evaluation.metrics import PerCase
from vernal.evaluation.splits import Cases
from vernal.release import Draft, Release

SETTINGS, TRIAL = "settings", "trial"
METRICS = ("ndcg_10", "recall_20", "hit_20")


@dataclass(frozen=True)
class Trial:
    """The trial on n cases of [begin, end) (UTC us), beside the best non-personalised list."""

    begin: int
    end: int
    best_list: str  # its name
    user: NDArray[np.int32]  # (n,) user code
    at: NDArray[np.int64]  # (n,) UTC us
    ours: PerCase
    theirs: PerCase  # of the best list

    @classmethod
    def of(cls, report: Report, stretch: tuple[int, int]) -> "Trial":
        return cls(*stretch, report.lists.best, report.asked.user, report.asked.at, report.ours, report.theirs)

    def save(self, draft: Draft) -> None:
        draft.put_json(TRIAL, {"begin": self.begin, "end": self.end, "best_list": self.best_list})
        draft.put_array(f"{TRIAL}_user", self.user)
        draft.put_array(f"{TRIAL}_at", self.at)
        draft.put_array(f"{TRIAL}_quality", np.array([[getattr(side, name) for name in METRICS] for side in (self.ours, self.theirs)]))

    @classmethod
    def load(cls, release: Release) -> "Trial | None":
        """The trial of a release; none when there was too little history for one, or the release is from before trials were kept."""
        if not release.has(f"{TRIAL}.json"):
            return None
        told, (ours, theirs) = release.json(TRIAL), np.array(release.array(f"{TRIAL}_quality"))
        user, at = (np.array(release.array(f"{TRIAL}_{name}")) for name in ("user", "at"))
        return cls(told["begin"], told["end"], told["best_list"], user, at, PerCase(*ours), PerCase(*theirs))

    def rows(self, every: Cases) -> tuple[Cases, "Trial"]:
        """The cases of this trial among all of its stretch, and the trial on them; those of a user erased since are in neither."""
        place = {key: case for case, key in enumerate(zip(every.user.tolist(), every.at.tolist(), strict=True))}
        found = [(place[key], row) for row, key in enumerate(zip(self.user.tolist(), self.at.tolist(), strict=True)) if key in place]
        case, row = np.array(found, np.int64).reshape(-1, 2).T
        kept = Trial(self.begin, self.end, self.best_list, self.user[row], self.at[row], self.ours.rows(row), self.theirs.rows(row))
        return every.rows(case), kept


def settings_of(release: Release) -> Settings | None:
    """The settings that shaped a release; none when it is from before they were kept."""
    return msgspec.convert(release.json(SETTINGS), Settings) if release.has(f"{SETTINGS}.json") else None
