"""Releases asked again about units of time whose outcomes are known by now: what age costs today, without training anything."""

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np

from vernal.config import Settings, duration_s
from vernal.errors import TrainingError
from vernal.evaluation.metrics import PerCase
from vernal.release import Manifest, Promotion
from vernal.rollout.backtests import Backtested, asked
from vernal.rollout.ports import RolloutSpace
from vernal.rollout.staleness import Ledger, Score
from vernal.terms import US_PER_S

log = logging.getLogger("vernal.rollout")
MOST_UNITS: Final = 14  # looked back at once, after a server was off for long
MOST_CASES: Final = 400  # of one unit


def measure_of(settings: Settings) -> str:
    """What a ledger holds under these settings."""
    return f"{settings.rollout.metric} per {duration_s(settings.monitoring.window)} s"


class Rescoring:
    """Fills the ledger, unit by unit, each once its outcomes have matured.

    Parameters
    ----------
    ledger : units up to its newest are done; a keeper that died goes on after them
    """

    def __init__(self, space: RolloutSpace, ledger: Ledger) -> None:
        self.space, self.ledger = space, ledger
        self.scores = ledger.read()
        self.unit_s = duration_s(space.settings.monitoring.window)
        self.done = after(self.scores)  # UTC us; units that begin before were looked at
        self.wanted = True  # whether anybody asks

    def step(self, now: int) -> int:
        """Scores what has matured at `now`; returns how many units. Cost: nothing until a unit matures; then one walk through the log."""
        unit_us, mature_us = self.unit_s * US_PER_S, duration_s(self.space.settings.monitoring.mature_after) * US_PER_S
        end = (now - mature_us) // unit_us * unit_us
        if not self.wanted:
            return 0
        if self.done > end + unit_us:
            log.warning("the clock had run ahead by %d s: releases are scored again from what has matured by now", (self.done - end) // US_PER_S)
            self.scores = [score for score in self.scores if score.unit < end]
            self.done = after(self.scores)
        kept = self.kept(end)
        if not kept:
            return 0
        first = -(-kept[0].lineage.as_of // unit_us) * unit_us  # the first unit that the oldest of them did not see
        begin = max(-(-self.done // unit_us) * unit_us, first, end - MOST_UNITS * unit_us)
        units = range(begin, end, unit_us)
        if units:
            self.keep(units, kept)
        return len(units)

    def kept(self, end: int) -> list[Manifest]:
        """The release in charge and the newest others that know nothing of the last unit, by age, oldest first."""
        releases, champion = self.space.releases, self.space.releases.champion()
        known = sorted(releases.manifests(), key=lambda manifest: manifest.lineage.as_of)
        older = [manifest for manifest in known if manifest.lineage.as_of <= end - self.unit_s * US_PER_S]
        others = [manifest for manifest in older if manifest.name != champion][-1 - self.space.settings.rollout.keep :]
        return [manifest for manifest in older if manifest.name == champion or manifest in others]

    def keep(self, units: range, kept: list[Manifest]) -> None:
        """Asks everybody about all units on one walk, and writes down who did how well on which."""
        names = [manifest.name for manifest in kept]
        try:
            found = asked(self.space, names, units.start, units.stop, MOST_CASES * len(units), self.space.settings.training.seed)
        except TrainingError:  # no positive event at all: nothing can be scored
            return
        self.ledger.put(self.scored(found, units, kept))
        self.scores, self.done = [score for score in self.ledger.read() if score.unit < units.stop], units.stop

    def scored(self, found: Backtested, units: range, kept: list[Manifest]) -> list[Score]:
        metric, measure, scores = self.space.settings.rollout.metric, self.ledger.measure, list[Score]()
        promotions = list(self.space.releases.promotions())
        for unit in units:
            rows = np.flatnonzero((found.cases.at >= unit) & (found.cases.at < unit + units.step))
            live = in_charge(promotions, unit)
            for manifest in kept if len(rows) else ():
                name, as_of = manifest.name, manifest.lineage.as_of
                if name in found.quality and as_of <= unit:
                    each = found.quality[name]
                    quality = PerCase(each.ndcg_10[rows], each.recall_20[rows], each.hit_20[rows]).means()[metric]
                    scores.append(Score(unit=unit, release=name, as_of=as_of, quality=quality, cases=len(rows), live=name == live, measure=measure))
        return scores


def after(scores: Sequence[Score]) -> int:
    """UTC us; where to go on after these."""
    return max((score.unit for score in scores), default=-1) + 1


def in_charge(promotions: Sequence[Promotion], at: int) -> str | None:
    """The release that was in charge at a moment."""
    return next((promotion.release for promotion in reversed(promotions) if promotion.at <= at), None)


def needed(space: RolloutSpace) -> set[str]:
    """Releases that are still to be asked: those in charge when the units began that have not matured, the last that has, and `rollout.keep` before it.

    Of more than MOST_UNITS such units, every second, third and so on counts, so that what is kept of them stays kept until it can be asked.
    """
    monitoring, promotions = space.settings.monitoring, list(space.releases.promotions())
    unit_s, mature_s = duration_s(monitoring.window), duration_s(monitoring.mature_after)
    back = -(-mature_s // unit_s) + 1 + space.settings.rollout.keep  # units
    apart = -(-(back + 1) // MOST_UNITS)
    last = space.clock.now() // (unit_s * US_PER_S)
    found = (in_charge(promotions, unit * unit_s * US_PER_S) for unit in range((last - back) // apart * apart, last + 1, apart))
    return {name for name in found if name is not None}
