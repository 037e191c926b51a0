"""A healthy product that breathes, and nine ways in which it stops being healthy: rows, or the same rows as the cells they fall into.

50 features: 35 numeric of five kinds (index mod 5: normal 10 + 3z, lognormal exp .8z, softplus 2z, heavy z (1 + .3 z^2), count floor exp(1 + .6z)), every
third one with 2 % missing; 15 categorical, Zipf 1.1, of 2 to 1,000 categories. y is logistic in six numeric features and a categorical one; the served p is
the true chance of an ordinary day. A world of kind *iid* never moves. *breathing*: a weekday effect (sd .03) and an AR(1) wobble (.6, sd .03) on every
numeric location, category tilt and on the base rate, in units of sd. *heavy*: the same with Student shocks of 5 degrees. All of it follows from (seed, t).

`summary` draws the counts of a window from their exact distribution instead of drawing values and binning them; the seven columns that y depends on are
drawn as values all the same. drift_false_alarms compares the two.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from vernal.monitoring.bins import BINS, CELLS, MISSING, OTHER, UNSEEN, Bins
from vernal.monitoring.reference import Window
from vernal.monitoring.schema import Column, Kind, Schema, Stream
from vernal.monitoring.summaries import Outcomes, Summary, fixed_point

Floats = NDArray[np.float64]
N_NUMERIC, N_ROWS, N_REFERENCE = 35, 5_000, 56
SIZES: Final = (2, 3, 4, 5, 8, 10, 12, 20, 30, 50, 80, 100, 200, 500, 1_000)
DRIVERS: Final = (0, 5, 10, 1, 2, 3)
WEIGHTS: Final = np.array([0.6, -0.5, 0.45, 0.3, -0.25, 0.2])
DRIVER_CATEGORY = 4  # c04
BASE, LAG, WEEKDAY_SD, WOBBLE_SD, MISSING_SHARE = -2.0, 0.6, 0.03, 0.03, 0.02
COV_NUMERIC, COV_CATEGORICAL = (0, 4, 7, 11, 18, 25, 33), (3, 6, 9)
SEASON, UNIT, NEW, LOST = (2, 8, 15, 21, 30), 6, (2, 7, 11), (0, 9, 21)
SCENARIOS: Final = {
    "cov": [f"n{c:02d}" for c in COV_NUMERIC] + [f"c{c:02d}" for c in COV_CATEGORICAL],
    "label": ["rate", "bias"],
    "concept": ["n00", "n05", "n10"],
    "concept_small": ["n00"],
    "newcat": [f"c{c:02d}" for c in NEW],
    "missing": [f"n{c:02d}" for c in LOST],
    "unit": [f"n{UNIT:02d}"],
    "season": [f"n{c:02d}" for c in SEASON],
}
DEPENDENT: Final = np.array([*DRIVERS, N_NUMERIC, N_NUMERIC + 1 + DRIVER_CATEGORY])  # columns that y depends on, and the score
INDEPENDENT: Final = np.setdiff1d(np.arange(N_NUMERIC + 1 + len(SIZES)), DEPENDENT)
SCHEMA: Final = Schema.of(
    [Column(f"n{c:02d}") for c in range(N_NUMERIC)]
    + [Column("score", stream=Stream.PREDICTION)]
    + [Column(f"c{c:02d}", Kind.CATEGORICAL) for c in range(len(SIZES))],
    score="score",
)


class Day(NamedTuple):
    """What moves on one window."""

    location: Floats  # (35,) in sd
    tilt: Floats  # (15,) in sd of log-frequency
    base: float  # added to the logit
    lost: Floats  # (35,) share missing
    new: Floats  # (15,) share of values never seen before
    scale: Floats  # (35,) multiplies the value


class Rows(NamedTuple):
    numeric: Floats  # (n, 36) the features and the logit of p
    categorical: NDArray[np.int64]  # (n, 15)
    outcomes: Outcomes


class World:
    """One seed of one kind, healthy up to window `onset` and drifting by `scenario` from it on."""

    def __init__(self, seed: int, kind: str = "breathing", scenario: str = "", onset: int = N_REFERENCE, windows: int = N_REFERENCE + 500) -> None:
        self.seed, self.kind, self.scenario, self.onset = seed, kind, scenario, onset
        random = np.random.default_rng([seed, 1])
        n = N_NUMERIC + len(SIZES) + 1
        size = 0.0 if kind == "iid" else 1.0
        weekday = WEEKDAY_SD * random.standard_normal((7, n))
        shocks = random.standard_t(5, (windows, n)) / np.sqrt(5 / 3) if kind == "heavy" else random.standard_normal((windows, n))
        wobble = np.zeros((windows, n))
        wobble[0] = WOBBLE_SD * shocks[0]
        for t in range(1, windows):
            wobble[t] = LAG * wobble[t - 1] + np.sqrt(1 - LAG**2) * WOBBLE_SD * shocks[t]
        self.moves = size * (weekday[np.arange(windows) % 7] + wobble)  # (windows, n)
        self.category_effect = 0.3 * random.standard_normal(SIZES[DRIVER_CATEGORY])
        self.zipf = [zipf(k) for k in SIZES]

    def day(self, t: int) -> Day:
        """The state of window t, with the drift if it has begun."""
        location, tilt, base = self.moves[t, :N_NUMERIC].copy(), self.moves[t, N_NUMERIC:-1].copy(), float(self.moves[t, -1])
        lost, new, scale = np.where(np.arange(N_NUMERIC) % 3 == 0, MISSING_SHARE, 0.0), np.zeros(len(SIZES)), np.ones(N_NUMERIC)
        age = t - self.onset + 1
        if self.scenario and age > 0:
            location[list(COV_NUMERIC)] += 0.25 * (self.scenario == "cov")
            tilt[list(COV_CATEGORICAL)] += 0.5 * (self.scenario == "cov")
            location[list(SEASON)] += 0.02 * age * (self.scenario == "season")
            base -= 0.35 * (self.scenario == "label")
            lost[list(LOST)] = 0.06 if self.scenario == "missing" else lost[list(LOST)]
            new[list(NEW)] = 0.02 * (self.scenario == "newcat")
            scale[UNIT] = 100.0 if self.scenario == "unit" else 1.0
        return Day(location, tilt, base, lost, new, scale)

    def weights(self, t: int) -> Floats:
        """What the six drivers are worth to y on window t; p always thinks WEIGHTS."""
        flip = np.where(np.arange(6) < 3, -1.0, 1.0) if self.scenario == "concept" else np.where(np.arange(6) < 1, 0.5, 1.0)
        return WEIGHTS * flip if self.scenario.startswith("concept") and t >= self.onset else WEIGHTS

    def shares(self, c: int, tilt: float) -> Floats:
        """The distribution of a categorical feature at a tilt."""
        p, score = self.zipf[c]
        q = p * np.exp(tilt * score)
        return q / q.sum()

    def rows(self, t: int, n: int = N_ROWS) -> Rows:
        """n rows of window t."""
        day, random = self.day(t), np.random.default_rng([self.seed, 1_000 + t])
        z, category, logit, label = self.drawn(t, day, random, n)
        numeric, categorical = np.empty((n, N_NUMERIC + 1)), np.empty((n, len(SIZES)), np.int64)
        for c in range(N_NUMERIC):
            of = z[:, DRIVERS.index(c)] if c in DRIVERS else random.standard_normal(n) + day.location[c]
            numeric[:, c] = np.where(random.random(n) < day.lost[c], np.nan, day.scale[c] * value_of(c, of))
        numeric[:, N_NUMERIC] = logit
        for c, size in enumerate(SIZES):
            of = category if c == DRIVER_CATEGORY else random.choice(size, n, p=self.shares(c, day.tilt[c]))
            categorical[:, c] = np.where(random.random(n) < day.new[c], 1_000_000 + random.integers(0, 50, n), of)
        return Rows(numeric, categorical, Outcomes(sigmoid(logit), label))

    def drawn(self, t: int, day: Day, random: np.random.Generator, n: int) -> tuple[Floats, NDArray[np.int64], Floats, NDArray[np.uint8]]:
        """z of the drivers (n, 6), the driving category (n,), the served logit (n,) and the label (n,)."""
        z = random.standard_normal((n, 6)) + day.location[list(DRIVERS)]
        cumulated = np.cumsum(self.shares(DRIVER_CATEGORY, day.tilt[DRIVER_CATEGORY]))
        category = np.minimum(np.searchsorted(cumulated, random.random(n), side="right"), len(cumulated) - 1)
        effect = BASE + self.category_effect[category]
        label = random.random(n) < sigmoid(z @ self.weights(t) + effect + day.base)
        return z, category, z @ WEIGHTS + effect, label.astype(np.uint8)

    def summary(self, t: int, frame: "Frame", n: int = N_ROWS) -> Summary:
        """The summary of n rows of window t, in the same distribution as that of `rows`."""
        day, random = self.day(t), np.random.default_rng([self.seed, 1_000_000 + t])
        z, category, logit, label = self.drawn(t, day, random, n)
        numeric = np.stack([value_of(c, z[:, k]) for k, c in enumerate(DRIVERS)] + [logit], axis=1)
        for k, c in enumerate(DRIVERS):
            if day.lost[c]:
                numeric[random.random(n) < day.lost[c], k] = np.nan
        outcomes = Outcomes(sigmoid(logit), label)
        known, made = Summary.of(frame.drivers, numeric, category[:, None], outcomes, score_at=len(DRIVERS)), Summary.empty(frame.bins)
        made.flat[0], made.score[:], made.moments[:] = n, known.score, known.moments
        drawn = frame.drawn(self, day, outcomes, random)
        for whole, of_known, of_drawn in zip((made.counts, made.residual, made.weight), (known.counts, known.residual, known.weight), drawn, strict=True):
            whole[DEPENDENT], whole[INDEPENDENT] = of_known, of_drawn
        return made


class Frame:
    """Bins frozen from a healthy world, and the chance of every cell of them at any state of the world."""

    def __init__(self, world: World, windows: int = 4) -> None:
        rows = [world.rows(t) for t in range(windows)]
        numeric = np.concatenate([r.numeric for r in rows])
        known = [np.arange(size) for size in SIZES]  # commonest first, all of them seen in 56 windows
        self.bins = Bins.of(Bins.frozen(numeric, np.empty((1, 0), np.int64)).edges[:, : BINS + 1], known)
        edges = self.bins.edges[:, : BINS + 1]
        self.drivers = Bins.of(edges[[*DRIVERS, N_NUMERIC]], [known[DRIVER_CATEGORY]])
        self.edges = edges[:N_NUMERIC]
        self.z_edges = np.stack([z_of(c, row) for c, row in enumerate(self.edges)])  # (35, 33)
        self.top = [cell_of(size) for size in SIZES]

    def drawn(self, world: World, day: Day, outcomes: Outcomes, random: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
        """Counts, residuals and weights (n_independent, CELLS) of the columns that y does not depend on.

        Counts are multinomial. Given them, the rows in a cell are a random draw from all rows, so the sums over a cell have known means and covariances
        (of sampling without replacement); they are drawn from their normal limit.
        """
        residual, weight, _ = fixed_point(outcomes)
        n, shares = len(residual), self.probabilities(world, day)[INDEPENDENT]
        counts = random.multinomial(n, shares / shares.sum(axis=1, keepdims=True))  # (n_independent, CELLS)
        covariance = np.cov(residual, weight)
        noise = random.standard_normal((*counts.shape, 2)) @ np.linalg.cholesky(covariance).T * np.sqrt(counts)[..., None]
        noise -= (counts / n)[..., None] * noise.sum(axis=1, keepdims=True)
        sums = np.rint(counts[..., None] * [residual.mean(), weight.mean()] + noise).astype(np.int64)
        return counts.astype(np.int64), sums[..., 0], sums[..., 1]

    def probabilities(self, world: World, day: Day) -> Floats:
        """(51, CELLS); the score's row is left empty."""
        out = np.zeros((len(SCHEMA.columns), CELLS))
        moved = self.z_edges if (day.scale == 1).all() else np.stack([z_of(c, e / day.scale[c]) for c, e in enumerate(self.edges)])
        below = ndtr(moved - day.location[:, None])
        out[:N_NUMERIC, : BINS + 2] = np.diff(below, axis=1, prepend=0.0, append=1.0) * (1 - day.lost)[:, None]
        out[:N_NUMERIC, MISSING] = day.lost
        out[N_NUMERIC, 0] = 1.0
        for c in range(len(SIZES)):
            shares = np.bincount(self.top[c], world.shares(c, day.tilt[c]), CELLS) * (1 - day.new[c])
            out[N_NUMERIC + 1 + c] = shares
            out[N_NUMERIC + 1 + c, UNSEEN] = day.new[c]
        return out


def past(world: World, frame: Frame, windows: int = N_REFERENCE) -> list[Window]:
    """The reference windows of a world."""
    return [Window(t, world.summary(t, frame)) for t in range(windows)]


def zipf(size: int) -> tuple[Floats, Floats]:
    """Shares by rank, and the log-frequency score of each rank, mean 0 and sd 1."""
    p = np.arange(1, size + 1) ** -1.1
    p /= p.sum()
    score = -np.log(p)
    score -= p @ score
    return p, score / np.sqrt(p @ score**2)


def cell_of(size: int) -> NDArray[np.int64]:
    return np.minimum(np.arange(size), OTHER)


def sigmoid(x: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-x))


def value_of(c: int, z: Floats) -> Floats:
    """The value of the c-th numeric feature at a standard normal z."""
    kind = c % 5
    if kind == 0:
        return 10 + 3 * z
    if kind == 1:
        return np.exp(0.8 * z)
    if kind == 2:
        return np.logaddexp(0.0, 2 * z)
    return z * (1 + 0.3 * z**2) if kind == 3 else np.floor(np.exp(1 + 0.6 * z))


def z_of(c: int, edge: Floats) -> Floats:
    """The z below which the c-th feature's value is below an edge."""
    kind = c % 5
    if kind == 0:
        return (edge - 10) / 3
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == 1:
            return np.where(edge > 0, np.log(np.maximum(edge, 1e-300)) / 0.8, -np.inf)
        if kind == 2:
            return np.where(edge > 0, (np.maximum(edge, 1e-300) + np.log(-np.expm1(-np.maximum(edge, 1e-300)))) / 2, -np.inf)
        if kind == 4:
            return np.where(edge > 0, (np.log(np.maximum(np.ceil(edge), 1e-300)) - 1) / 0.6, -np.inf)
    p, q = 1 / 0.3, -edge / 0.3  # z^3 + p z + q = 0, one real root
    return -2 * np.sqrt(p / 3) * np.sinh(np.arcsinh(1.5 * q / p * np.sqrt(3 / p)) / 3)
