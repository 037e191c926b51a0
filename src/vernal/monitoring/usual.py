"""What "as usual" means for a coordinate: its own weekday, a wobble that remembers the window before, and sampling noise.

    value(t) = mean(weekday of t) + wobble(t) + noise(t),   wobble(t) = lag x wobble(t - 1) + shock,   noise of known variance

Nothing is assumed of the seven means: the filter starts diffuse, so its one-step errors are the recursive residuals of generalised least squares,
independent and free of the means whatever they are. The wobble's lag and the tails of the errors are pooled over a family of coordinates and shrunk to
what all families say together, since a family may be small; the wobble's size is estimated per coordinate and shrunk to the family, and the uncertainty of
that scale goes into Student tails.

Source: Brown, Durbin and Evans (1975), recursive residuals; Smyth (2004), moderated scale; Harvey (1989), structural models.
"""

from typing import Final, NamedTuple, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import polygamma

from vernal.monitoring import tails

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEEK: Final = 7
STATES: Final = WEEK + 1  # seven means and the wobble
DIFFUSE: Final = 1e4  # variance of a mean nothing is known of, in units of the coordinate
BURNT: Final = 1e2  # an error whose variance is above this tells nothing yet
LAGS: Final = np.array([0.0, 0.25, 0.5, 0.65, 0.8, 0.92])
SIZES: Final = np.array([0.0, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0])  # wobble over noise, variances
MOST_PRIOR: Final = 200.0
LEAST_SQUARE: Final = 0.3  # a coordinate that moves less than this times its noise is a count that is nearly always 0, and tells nothing of scales
PASSES: Final = 8
EVEN: Final = 6.0  # coordinates, spread evenly over SIZES, that a family is filled up with: a few that happened to lie still do not say that all do
SHRINK: Final = 0.95  # of the prior of a family's lag, what all families say together; the rest is even


class Usual(NamedTuple):
    """The fitted null of every coordinate."""

    lag: Floats  # (n,) of the wobble
    wobble: Floats  # (n,) its stationary variance
    prior: Floats  # (n,) degrees of freedom of the family's scale
    share: Floats  # (n,) of the errors' variance that a shock of the wobble has
    degrees: Floats  # (n,) of freedom of the shocks, the harmonic mean over what the reference allows
    table: Floats  # (n, tails.PLACES) the normal value of an error in sd, see tails.py

    @classmethod
    def fitted(cls, value: Floats, variance: Floats, weekday: Ints, families: list[str]) -> Self:
        """The null of a reference.

        Parameters
        ----------
        value, variance : (n_windows, n) readouts, NaN where unobserved
        weekday : (n_windows,) 0..6
        families : (n,) name of each coordinate's family

        Cost: 0.2 s at 56 windows x 350 coordinates.
        """
        n, names = value.shape[1], np.array(families)
        lag, wobble, prior = np.zeros(n), np.zeros(n), np.zeros(n)
        members = [names == family for family in np.unique(names)]
        likelihoods = [likelihood_of(value[:, at], variance[:, at], weekday) for at in members]
        common = np.sum([evidence for _, evidence in map(shrunk, likelihoods)], axis=0)
        lag_prior = np.log(SHRINK * tails.normalised(common) + (1 - SHRINK) / len(LAGS))
        for at, likelihood in zip(members, likelihoods, strict=True):
            lag[at], wobble[at], prior[at] = fitted_family(value[:, at], variance[:, at], weekday, likelihood, lag_prior)
        errors, known, last = errors_of(value, variance, weekday, lag, wobble)
        share = wobble * (1.0 - lag**2) / np.maximum(last, 1e-300)
        posterior = tails.posteriors(tails.likelihoods(errors, known, share), names)
        return cls(lag, wobble, prior, share, 1.0 / (posterior @ (1.0 / tails.DEGREES)), tails.normal_tables(posterior, share))

    @classmethod
    def guessed(cls, sd: Floats) -> Self:
        """The null where there is too little history to fit one: a wobble of (n,) sd, with tails heavier than normal. No promise rests on it."""
        n = len(sd)
        heavy = np.tile(tails.DEGREES == 60.0, (n, 1)).astype(np.float64)
        return cls(np.full(n, 0.6), sd**2, np.full(n, 20.0), np.ones(n), np.full(n, 60.0), tails.normal_tables(heavy, np.ones(n)))


def likelihood_of(value: Floats, variance: Floats, weekday: Ints) -> Floats:
    """(n_lags, n_sizes, n) log likelihood of a family's reference."""
    sizes = seen_mean(variance, value) * SIZES[:, None]  # (n_sizes, n)
    return np.array([[log_likelihood(value, variance, weekday, lag, size) for size in sizes] for lag in LAGS])


def fitted_family(value: Floats, variance: Floats, weekday: Ints, likelihood: Floats, lag_prior: Floats) -> tuple[float, Floats, float]:
    """Lag, wobble (n,) and prior of one family's coordinates."""
    n, noise = value.shape[1], seen_mean(variance, value)
    posterior, evidence = shrunk(likelihood)
    weight = tails.normalised(evidence + lag_prior)  # (n_lags,) of the whole family
    lag = float(weight @ LAGS)
    wobble = np.einsum("l,lsn,sn->n", weight, posterior, noise * SIZES[:, None])
    common = np.full(n, float((wobble / noise).mean())) * noise
    errors, known, _ = errors_of(value, variance, weekday, np.full(n, lag), common)
    degrees = known.sum(axis=0).astype(np.float64)
    return lag, wobble, prior_degrees((errors**2).sum(axis=0) / np.maximum(degrees, 1), degrees)


def seen_mean(of: Floats, value: Floats, unseen: float = 1.0) -> Floats:
    """(n,) mean over the windows in which a coordinate was observed; `unseen` where it never was."""
    seen = np.isfinite(value)
    n = seen.sum(axis=0)
    return np.where(n > 0, np.where(seen, of, 0.0).sum(axis=0) / np.maximum(n, 1), unseen)


def shrunk(likelihood: Floats) -> tuple[Floats, Floats]:
    """Posterior over sizes per lag and coordinate, with the family's own distribution of sizes as prior, and the family's evidence per lag.

    Source: Kiefer and Wolfowitz (1956), the nonparametric maximum likelihood of a mixing distribution, a few steps of EM.
    """
    top = likelihood.max(axis=1, keepdims=True)
    relative = np.exp(likelihood - top)  # (n_lags, n_sizes, n)
    prior = np.full(likelihood.shape[:2], 1.0 / likelihood.shape[1])
    for _ in range(PASSES):
        joint = prior[:, :, None] * relative
        posterior = joint / joint.sum(axis=1, keepdims=True)
        prior = (posterior.sum(axis=2) + EVEN / len(SIZES)) / (posterior.shape[2] + EVEN)
    evidence = (np.log(joint.sum(axis=1)) + top[:, 0]).sum(axis=1)
    return posterior, evidence


def prior_degrees(square: Floats, degrees: Floats) -> float:
    """Degrees of freedom of the family's scale: few when its coordinates differ by more than chance. Source: Smyth (2004), section 6.2."""
    known = (degrees >= 5) & (square > LEAST_SQUARE)
    if known.sum() < 3:
        return 4.0
    logs = np.log(np.maximum(square[known], 1e-12))
    excess = float(logs.var(ddof=1) - polygamma(1, degrees[known] / 2).mean())
    if excess <= 0:
        return MOST_PRIOR
    grid = np.geomspace(1.0, MOST_PRIOR, 60)
    return float(grid[np.argmin(np.abs(polygamma(1, grid / 2) - excess))])


def errors_of(value: Floats, variance: Floats, weekday: Ints, lag: Floats, wobble: Floats) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Standardised one-step errors and which are known, (n_windows, n) each, and (n,) the variance of the last error."""
    errors, known = np.zeros(value.shape), np.zeros(value.shape, np.bool_)
    _, last = recursive_residuals(value, variance, weekday, lag, wobble, errors, known)
    return errors, known, last


def log_likelihood(value: Floats, variance: Floats, weekday: Ints, lag: float, wobble: Floats) -> Floats:
    """(n,) of the reference, free of the weekday means."""
    errors, known = np.zeros(value.shape), np.zeros(value.shape, np.bool_)
    spread, _ = recursive_residuals(value, variance, weekday, np.full(len(wobble), lag), wobble, errors, known)
    return -0.5 * (spread + (errors**2).sum(axis=0))


@njit(nogil=True, cache=True)
def recursive_residuals(
    value: Floats, variance: Floats, weekday: Ints, lag: Floats, wobble: Floats, errors: Floats, known: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Fills standardised one-step errors; returns (n,) the sum of their log variances and the last variance."""
    n_windows, n = value.shape
    spread, last = np.zeros(n), np.ones(n)
    for j in range(n):
        mean, cov = np.zeros(STATES), np.zeros((STATES, STATES))
        begin(mean, cov, wobble[j])
        gain = np.empty(STATES)
        for t in range(n_windows):
            pass_time(mean, cov, lag[j], wobble[j])
            if np.isfinite(value[t, j]):
                f = gains(cov, weekday[t], variance[t, j], gain)
                v = value[t, j] - mean[weekday[t]] - mean[WEEK]
                if f < BURNT:
                    errors[t, j], known[t, j] = v / np.sqrt(f), True
                    spread[j] += np.log(f)
                    last[j] = f
                learn(mean, cov, gain, v, f)
    return spread, last


@njit(nogil=True, cache=True)
def begin(mean: Floats, cov: Floats, wobble: float) -> None:
    """The state before anything was seen."""
    mean[:], cov[:] = 0.0, 0.0
    for k in range(WEEK):
        cov[k, k] = DIFFUSE
    cov[WEEK, WEEK] = wobble


@njit(nogil=True, cache=True)
def pass_time(mean: Floats, cov: Floats, lag: float, wobble: float) -> None:
    """One window on: the wobble fades and is shocked."""
    mean[WEEK] *= lag
    for k in range(WEEK):
        cov[k, WEEK] *= lag
        cov[WEEK, k] *= lag
    cov[WEEK, WEEK] = cov[WEEK, WEEK] * lag * lag + wobble * (1.0 - lag * lag)


@njit(nogil=True, cache=True)
def gains(cov: Floats, weekday: int, noise: float, gain: Floats) -> float:
    """Fills the covariance of the state with the next value, and returns that value's variance."""
    for k in range(STATES):
        gain[k] = cov[k, weekday] + cov[k, WEEK]
    return gain[weekday] + gain[WEEK] + noise


@njit(nogil=True, cache=True)
def learn(mean: Floats, cov: Floats, gain: Floats, error: float, f: float) -> None:
    for k in range(STATES):
        mean[k] += gain[k] / f * error
    for k in range(STATES):
        for m in range(STATES):
            cov[k, m] -= gain[k] * gain[m] / f
