"""A release asked again over a past stretch, through the code that serves, beside the best non-personalised list.

In: a recommender whose parts were fitted before the stretch, a walk that moves through it, the cases. Out: a `Report` with accuracy, coverage, novelty and
paired intervals over users; `lines` prints it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from vernal.config import Settings
from vernal.evaluation.baselines import Baselines, evaluate_lists
from vernal.evaluation.intervals import Interval, paired_difference, paired_ratio
from vernal.evaluation.metrics import PerCase, coverage, list_ranks, novelty
from vernal.evaluation.splits import Cases, positive_rows
from vernal.events.history import DESCRIBED, HIDDEN, Catalogue, History
from vernal.features.walk import Walk
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request

SHOWN = 20  # items per slate: the longest cut-off reported


@dataclass(frozen=True)
class Report:
    """What a release reached on past requests."""

    asked: Cases
    ours: PerCase
    lists: Baselines
    coverage: float  # share of the catalogue in any first ten
    novelty: float  # bits
    rungs: dict[str, int]

    @property
    def theirs(self) -> PerCase:
        return self.lists.by_name[self.lists.best]

    @property
    def gain(self) -> Interval:
        """NDCG@10 minus that of the best list."""
        return paired_difference(self.ours.ndcg_10, self.theirs.ndcg_10, self.asked.user)

    @property
    def ratio(self) -> Interval:
        return paired_ratio(self.ours.ndcg_10, self.theirs.ndcg_10, self.asked.user)

    def as_dict(self) -> dict[str, Any]:
        """The report as a release's manifest keeps it."""
        named = {name: {metric: round(value, 5) for metric, value in per_case.means().items()} for name, per_case in self.lists.by_name.items()}
        return {
            "requests": len(self.asked),
            "users": len(np.unique(self.asked.user)),
            "from": int(self.asked.at.min()) if len(self.asked) else 0,
            "to": int(self.asked.at.max()) if len(self.asked) else 0,
            "release": {name: round(value, 5) for name, value in self.ours.means().items()},
            "coverage": round(self.coverage, 5),
            "novelty_bits": round(self.novelty, 3),
            "rungs": self.rungs,
            "best_list": self.lists.best,
            "lists": named,
            "gain": [round(figure, 5) for figure in self.gain],
            "ratio": [round(figure, 4) for figure in self.ratio],
        }


class Backtest:
    """Asks a recommender, case by case, and judges what it answered.

    Parameters
    ----------
    recommender : its parts were fitted before the first case
    walk : stands at or before the first case; it is moved
    asked : ordered by moment
    """

    def __init__(self, recommender: Recommender, walk: Walk, asked: Cases) -> None:
        self.recommender, self.walk, self.asked = recommender, walk, asked
        self.slates: list[NDArray[np.int32]] = []
        self.rungs: dict[str, int] = {}
        self.finite = True  # every score so far was a number

    def ask(self, case: int) -> NDArray[np.int32]:
        """What is answered to the next case; its user is known by their past only. Cost: 1 ms."""
        at, user = int(self.asked.at[case]), int(self.asked.user[case])
        self.walk.to(at)
        request = Request(user=self.walk.history.users[user], n=SHOWN)
        ranked = self.recommender.recommend(request, self.walk.user(user, at), self.walk.live, at, seed=case)
        self.slates.append(ranked.numbers)
        self.finite &= bool(np.isfinite(ranked.scores).all())
        self.rungs[str(ranked.rung)] = self.rungs.get(str(ranked.rung), 0) + 1
        return ranked.numbers

    @property
    def quality(self) -> PerCase:
        """Accuracy on the cases asked so far."""
        return PerCase.of([list_ranks(items, self.asked.targets(case)) for case, items in enumerate(self.slates)])

    def report(self, eligible: NDArray[np.bool_]) -> Report:
        """The report, once every case was asked.

        Parameters
        ----------
        eligible : (n_items,) bool, what the lists may show

        Cost: what `baselines.evaluate_lists` costs.
        """
        history, events, asked = self.walk.history, self.walk.settings.events, self.asked
        lists = evaluate_lists(history, events, asked, eligible)
        known = history.before(int(asked.at.min()))
        counts = np.bincount(known.item[positive_rows(known, events)], minlength=history.n_items)
        return Report(asked, self.quality, lists, coverage(self.slates, int(eligible.sum())), novelty(self.slates, counts), self.rungs)


def showable(catalogue: Catalogue, history: History) -> NDArray[np.bool_]:
    """(n_items,) bool: items a slate may show; where nothing is described, all that are not hidden."""
    flags = np.zeros(history.n_items, np.uint8)
    flags[: len(catalogue)] = catalogue.flags[: history.n_items]
    visible = (flags & HIDDEN) == 0
    return visible & ((flags & DESCRIBED) > 0) if (flags & DESCRIBED).any() else visible


def plain(settings: Settings) -> Settings:
    """The settings without scenarios of their own: no exploration, caps or filters, so that two releases are compared on relevance alone."""
    return replace(settings, scenarios={})


def lines(report: Report) -> Sequence[str]:
    """The report as `vernal train` prints it: the release beside every list, best first."""
    named = sorted(report.lists.by_name.items(), key=lambda entry: -entry[1].means()["ndcg@10"])
    rows = [("this release", report.ours), *((f"popular, {name}", per_case) for name, per_case in named)]
    ratio, gain = report.ratio, report.gain
    return [
        f"{'':<28}{'NDCG@10':>9}{'Recall@20':>11}{'HR@20':>8}",
        *(line(name, per_case.means()) for name, per_case in rows),
        f"{ratio.value:.2f}x the best list [{ratio.low:.2f}, {ratio.high:.2f}]; gain {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]",
        f"first ten cover {100 * report.coverage:.1f}% of the catalogue; {report.novelty:.1f} bits of surprise per item",
    ]


def line(name: str, means: Mapping[str, float]) -> str:
    return f"{name:<28}{means['ndcg@10']:>9.4f}{means['recall@20']:>11.4f}{means['hr@20']:>8.4f}"
