"""How stale the release in charge is, from releases asked about days whose outcomes are known.

In: the ledger, one line per release and unit of time (a day, or an hour for fast catalogues): how well that release did on that unit's outcomes. Retired
releases are asked too, which needs no training. Out: a `Standing`: today's price of age, the regret it predicts, whether the loss has jumped.

    regret of a unit = quality of a release trained one unit before - quality of the release in charge, over the former

An incident is a mean regret over `rollout.regret_window` above `rollout.delta` for longer than `rollout.tolerance`. Only lines of units whose outcomes have
matured belong in the ledger; nothing here looks at a clock.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.config import Settings, duration_s
from vernal.monitoring.evidence import normal_of
from vernal.terms import US_PER_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

EXPONENT: Final = 0.75  # regret grows about as this power of age, measured on a real stream of 944 days (bench/staleness_elec2.py)
MEMORY: Final = 56  # units that say what the loss usually is
LEAST: Final = 7  # of them, before a jump can be told
BETS: Final = np.array([1.0, 2.0, 3.0])  # sizes of a jump that are bet on, in sd of one unit
FARTHEST: Final = 3.0  # sd that one unit may speak with: a single bad day is no jump
MEAN_WAIT: Final = 365.0  # units between two false jumps, in the mean and at least
MOST_LAG: Final = 0.9
TINY: Final = 1e-300


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How one release did on one unit of time: a line of the ledger."""

    unit: int  # UTC us, where the unit begins
    release: str
    as_of: int  # UTC us; the release knows nothing received at or after it
    quality: float  # mean over the unit's cases; more is better, so a loss is put in negated
    cases: int
    live: bool  # it was in charge when the unit began
    measure: str = ""  # the metric and the unit of time that quality is of


class Ledger:
    """Every score, durably, one JSON line each; a release scored again on a unit replaces its line. One writer.

    Parameters
    ----------
    path : the file; made with the first score
    measure : what is read; scores of another metric or unit of time do not compare, and are passed over
    """

    def __init__(self, path: Path, measure: str = "") -> None:
        self.path, self.measure = path, measure

    def put(self, scores: Iterable[Score]) -> None:
        """Keeps scores; durable when it returns. A line torn by a crash is closed first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            torn = file.read(1) not in (b"", b"\n")
            file.write(b"\n" * torn + b"".join(msgspec.json.encode(score) + b"\n" for score in scores))
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Score]:
        """The newest score of each unit and release, by unit, then by the releases' age, oldest first."""
        found = {(score.unit, score.release): score for score in self.lines() if score.measure == self.measure}
        return sorted(found.values(), key=lambda score: (score.unit, score.as_of, score.release))

    def lines(self) -> Iterator[Score]:
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                yield msgspec.json.decode(line, type=Score)
            except msgspec.MsgspecError:
                continue  # torn by a crash; the keeper scores what is not here again


class Table(NamedTuple):
    """The ledger as arrays: n units, m releases."""

    units: Ints  # (n,) UTC us, ascending
    as_of: Ints  # (m,) UTC us, ascending
    quality: Floats  # (n, m), NaN where a release was not asked
    weight: Floats  # (n,) cases over the usual number of cases, at most 1: a unit with few speaks less
    live: Ints  # (n,) place of the release in charge, -1 where it was not asked

    @classmethod
    def of(cls, scores: Sequence[Score]) -> Self:
        units, row = np.unique(np.array([score.unit for score in scores], np.int64), return_inverse=True)
        releases = sorted({(score.as_of, score.release) for score in scores})
        place = {release: at for at, (_, release) in enumerate(releases)}
        column = np.array([place[score.release] for score in scores], np.int64)
        quality = np.full((len(units), len(releases)), np.nan)
        quality[row, column] = [score.quality for score in scores]
        cases, live = np.zeros(len(units)), np.full(len(units), -1, np.int64)
        np.maximum.at(cases, row, [float(score.cases) for score in scores])
        charged = np.array([score.live for score in scores], np.bool_)
        live[row[charged]] = column[charged]
        weight = np.minimum(cases / max(float(np.median(cases)), 1.0), 1.0) if len(cases) else cases
        return cls(units, np.array([as_of for as_of, _ in releases], np.int64), quality, weight, live)

    def ages(self, unit_us: int) -> Floats:
        """(n, m) how many units older than a fresh release each was."""
        return older(self.units[:, None] - self.as_of[None, :], unit_us)

    def live_quality(self) -> Floats:
        """(n,) of the release in charge, NaN where it was not asked."""
        rows = np.arange(len(self.units))
        return np.where(self.live >= 0, self.quality[rows, np.maximum(self.live, 0)], np.nan) if len(self.as_of) else np.full(len(self.units), np.nan)


def older(age_us: Ints, unit_us: int) -> Floats:
    """Units of time beyond a fresh release, which was trained one unit before."""
    return np.maximum(age_us / unit_us - 1.0, 0.0)


class Prices(NamedTuple):
    """What age costs, estimated at each unit from the units until then; n units."""

    price: Floats  # (n,) quality lost by one unit of age to the power EXPONENT, in the last window, shrunk to its history
    error: Floats  # (n,) its standard error
    usual: Floats  # (n,) the same over all history

    @classmethod
    def of(cls, table: Table, unit_us: int, window: int) -> Self:
        """The slope of quality on age^.75 among releases asked about the same unit, so that what is hard or easy in a unit falls out.

        A slope that does not fall says that the releases asked do not tell what a fresh one would gain, as after a jump that none of them knows: then age
        costs what it usually does.

        Parameters
        ----------
        window : units that say what age costs now

        Source: Efron and Morris (1975) for the shrinkage: the prior's mean and spread are the usual price, as prices differ by about their own size.
        Cost: 0.2 ms at 400 units and 50 releases.
        """
        seen = np.isfinite(table.quality)
        n = seen.sum(axis=1)
        x = centred(table.ages(unit_us) ** EXPONENT, seen)
        y = centred(-np.where(seen, table.quality, 0.0), seen)
        sums = np.cumsum(table.weight * [(x * y).sum(axis=1), (x * x).sum(axis=1), (y * y).sum(axis=1), np.maximum(n - 1, 0)], axis=1)  # (4, n)
        first = np.searchsorted(table.units, table.units - (window - 1) * unit_us)
        before = np.concatenate([np.zeros((4, 1)), sums], axis=1)[:, first]
        xy, xx, yy, degrees = sums - before
        usual = np.maximum(sums[0] / np.maximum(sums[1], TINY), 0.0)
        noise = np.maximum(yy - xy * xy / np.maximum(xx, TINY), 0.0) / np.maximum(degrees - 1.0, 1.0)
        prior = noise / np.maximum(usual * usual, TINY)
        information = np.maximum(xx + prior, TINY)
        price = (xy + prior * usual) / information
        return cls(np.where(price > 0, price, usual), np.sqrt(noise / information), usual)


def centred(value: Floats, seen: Bools) -> Floats:
    """Each row less its mean over what was seen; 0 where nothing was."""
    mean = np.where(seen, value, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.where(seen, value - mean[:, None], 0.0)


def trailing_mean(value: Floats, window: int, least: int = 1) -> Floats:
    """(n,) mean of the last `window` values; unknown ones are left out; NaN where there are fewer than `least` values to look at."""
    known = np.isfinite(value)
    sums = np.cumsum(np.stack([np.where(known, value, 0.0), known.astype(np.float64)]), axis=1)
    sums[:, window:] -= sums[:, :-window].copy()
    mean = np.where(sums[1] > 0, sums[0] / np.maximum(sums[1], 1.0), np.nan)
    mean[: least - 1] = np.nan
    return mean


class Incidents(NamedTuple):
    """The stretches in which a release was stale for too long."""

    first: Ints  # (k,) places of their first units
    last: Ints  # (k,)

    @property
    def units(self) -> int:
        return int((self.last - self.first + 1).sum())


def incidents(regret: Floats, window: int, delta: float, tolerance: int) -> Incidents:
    """Stretches of more than `tolerance` units in a row whose trailing mean regret is above delta.

    >>> incidents(np.array([0.0, 0.3, 0.3, 0.3, 0.0, 0.0]), window=2, delta=0.1, tolerance=3)
    Incidents(first=array([1]), last=array([4]))
    """
    stale = np.concatenate([[False], trailing_mean(regret, window, window) > delta, [False]])
    first, after = np.flatnonzero(~stale[:-1] & stale[1:]), np.flatnonzero(stale[:-1] & ~stale[1:])
    long = after - first > tolerance
    return Incidents(first[long], after[long] - 1)


def jumps(loss: Floats, weight: Floats, quiet: int) -> Ints:
    """Places of the units that say the loss has jumped up.

    Each unit's loss is compared with what the last MEMORY units predict, in sd, with their own lag; bets that a jump began then are multiplied up and summed
    over all begins. While nothing jumps that sum grows by at most 1 a unit in the mean, so that it reaches MEAN_WAIT after MEAN_WAIT units in the mean, or
    later. After a jump, `quiet` units belong to it and say nothing. A second one right after them says that training did not help: the new level is the usual.

    Parameters
    ----------
    loss : (n,) of the release in charge; NaN is passed over
    weight : (n,) 0..1

    Source: Shin, Ramdas and Rinaldo (2023), e-detectors. Cost: 0.3 us per unit and remembered unit.
    """
    found = np.zeros(len(loss), np.bool_)
    look_for_jumps(loss, weight, quiet, BETS, found)
    return np.flatnonzero(found)


@njit(nogil=True, cache=True)
def look_for_jumps(loss: Floats, weight: Floats, quiet: int, bets: Floats, found: Bools) -> None:
    usual, n = np.empty(len(loss)), 0  # losses that say what is usual
    capital, resumed, since = np.zeros(len(bets)), 0, 0
    for k in range(len(loss)):
        if k < resumed or not np.isfinite(loss[k]):
            continue
        known = usual[max(n - MEMORY, since) : n]
        if len(known) >= LEAST:
            z = min(surprise(known, loss[k]), FARTHEST) * math.sqrt(weight[k])
            for b in range(len(bets)):
                capital[b] = (capital[b] + 1.0) * math.exp(bets[b] * z - 0.5 * bets[b] * bets[b])
            if capital.mean() >= MEAN_WAIT:
                found[k] = True
                if resumed > 0 and k < resumed + quiet:
                    since = n
                capital[:], resumed = 0.0, k + 1 + quiet
                continue
        usual[n] = loss[k]
        n += 1


@njit(nogil=True, cache=True)
def surprise(known: Floats, value: float) -> float:
    """How far a value is above what the known ones predict, as a standard normal value."""
    n, mean = len(known), known.mean()
    off = known - mean
    square = (off * off).sum()
    lag = min(max((off[1:] * off[:-1]).sum() / max(square, TINY), 0.0), MOST_LAG)
    shocks = off[1:] - lag * off[:-1]
    sd = math.sqrt(max((shocks * shocks).sum() / (n - 3.0) * (1.0 + 1.0 / n), TINY))
    return normal_of((value - mean - lag * off[-1]) / sd, n - 3.0)


class Standing(NamedTuple):
    """How the release in charge stands."""

    predicted_regret: float  # of the release in charge at its age now, relative
    price: float  # relative regret of a release one unit older than a fresh one
    loss_jump: bool  # the loss has jumped, and what follows a jump is not over
    regret: Floats  # (n,) estimated, relative, of the release in charge in each unit of the ledger
    stale: bool  # the mean over the last window is above delta
    incidents: Incidents  # places in `units`
    units: Ints  # (n,) UTC us


def standing(scores: Sequence[Score], now: int, as_of: int, unit_s: int, settings: Settings) -> Standing:
    """How the release in charge, which knows what was received before `as_of`, stands at `now`.

    Parameters
    ----------
    scores : the ledger's, as `Ledger.read` gives them
    unit_s : the unit of time that they are for

    Cost: 5 ms for a year of days, most of it in `Table.of`.
    """
    rollout, unit_us, table = settings.rollout, unit_s * US_PER_S, Table.of(scores)
    window, tolerance = (max(round(duration_s(text) / unit_s), 1) for text in (rollout.regret_window, rollout.tolerance))
    follow_s = max(map(duration_s, rollout.follow_ups), default=duration_s(rollout.cool_down))
    if not scores:
        return Standing(0.0, 0.0, False, np.zeros(0), False, incidents(np.zeros(0), window, rollout.delta, tolerance), table.units)
    prices, live = Prices.of(table, unit_us, window), table.live_quality()
    age = np.where(table.live >= 0, older(table.units - table.as_of[table.live], unit_us), np.nan)
    lost = prices.price * age**EXPONENT
    fresh = np.maximum(np.abs(trailing_mean(live + lost, window)), TINY)
    regret = lost / fresh
    price = float(prices.price[-1] / fresh[-1])
    jumped = jumps(-live, table.weight, math.ceil(follow_s / unit_s))
    return Standing(
        predicted_regret=price * float(older(np.array(now - as_of), unit_us)) ** EXPONENT,
        price=price,
        loss_jump=bool(len(jumped)) and now < int(table.units[jumped[-1]]) + (unit_s + duration_s(settings.monitoring.mature_after) + follow_s) * US_PER_S,
        regret=regret,
        stale=bool(trailing_mean(regret, window, window)[-1] > rollout.delta),
        incidents=incidents(regret, window, rollout.delta, tolerance),
        units=table.units,
    )
