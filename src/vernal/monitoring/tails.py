"""How far out the errors of a healthy world reach: shocks with Student tails under Gaussian sampling noise.

An error is a shock of the wobble, whose share q of the variance the filter knows, plus noise that is normal because windows have many rows. Given the
degrees of freedom of the shocks, that is a scale mixture of normals, for which densities and tail probabilities are short sums. Which degrees of freedom is
a posterior over a grid, and the tail used is its mean: it is as heavy as what the reference cannot rule out.

Source: Andrews and Mallows (1974), scale mixtures of normal distributions.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr, logsumexp, ndtri_exp

Floats = NDArray[np.float64]

DEGREES: Final = np.array([3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, 20.0, 30.0, 60.0, 200.0, 2000.0])
SHARES: Final = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])  # of the error's variance that the shock has
NODES: Final = 80
PER_SD: Final = 8  # places of a table per sd
PLACES: Final = 40 * PER_SD + 1  # up to 40 sd
PRIOR: Final = np.array([0.002, 0.002, 0.003, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.20, 0.25, 0.306])  # before any error was seen
SHRINK: Final = 0.95  # of the prior of a family, what all families say together; the rest is PRIOR


@lru_cache(maxsize=1)
def mixtures() -> tuple[Floats, Floats]:
    """(n_shares, n_degrees, NODES) sd of the normals and (n_degrees, NODES) their log weights."""
    sd, log_weight = np.empty((len(SHARES), len(DEGREES), NODES)), np.empty((len(DEGREES), NODES))
    for d, nu in enumerate(DEGREES):
        log_g = np.linspace(np.log(nu) - 14.0 / np.sqrt(nu) - 3.0 / nu, np.log(nu) + 9.0 / np.sqrt(nu), NODES)  # of a chi-square variate
        density = 0.5 * nu * log_g - 0.5 * np.exp(log_g) - 0.5 * nu * np.log(2.0) - gammaln(nu / 2)
        log_weight[d] = density - logsumexp(density)
        variance = np.exp(-log_g)
        variance /= np.exp(log_weight[d]) @ variance
        sd[:, d] = np.sqrt(1.0 - SHARES[:, None] + SHARES[:, None] * variance)
    return sd, log_weight


@lru_cache(maxsize=1)
def log_tables() -> tuple[Floats, Floats]:
    """Log density and log upper tail, (n_shares, n_degrees, PLACES) each, at 0, 1/8, 2/8, ... sd."""
    (sd, log_weight), u = mixtures(), np.arange(PLACES) / PER_SD
    density, tail = np.empty((2, len(SHARES), len(DEGREES), PLACES))
    for share, of in enumerate(sd):  # one at a time: all at once take ten times the memory
        scaled = u[:, None] / of[:, None, :]  # (n_degrees, PLACES, NODES)
        density[share] = logsumexp(log_weight[:, None, :] - 0.5 * scaled**2 - np.log(of[:, None, :]), axis=-1)
        tail[share] = logsumexp(log_weight[:, None, :] + log_ndtr(-scaled), axis=-1)
    return density, tail


def level_of(share: Floats) -> NDArray[np.int64]:
    """Places in SHARES, rounded towards heavier tails; a wobble too small to be told from none has none."""
    return np.minimum(np.searchsorted(SHARES, share - 0.01), len(SHARES) - 1)


def likelihoods(errors: Floats, known: NDArray[np.bool_], share: Floats) -> Floats:
    """(n, n_degrees) log likelihood of each coordinate's errors, (n_windows, n), scaled to unit mean square."""
    density, level = log_tables()[0], level_of(share)
    scale = np.sqrt((np.where(known, errors, 0.0) ** 2).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    place = np.minimum(np.abs(errors) / np.maximum(scale, 1e-12) * PER_SD, PLACES - 1.001)
    low = place.astype(np.int64)
    out = np.zeros((errors.shape[1], len(DEGREES)))
    for j in range(errors.shape[1]):
        at, part = low[known[:, j], j], (place - low)[known[:, j], j]
        of = density[level[j]]  # (n_degrees, PLACES)
        out[j] = (of[:, at] * (1 - part) + of[:, at + 1] * part).sum(axis=1) if scale[j] > 0 else 0.0
    return out


def posteriors(likelihood: Floats, families: NDArray[np.str_]) -> Floats:
    """(n, n_degrees) posterior of each coordinate's family, shrunk to that of all."""
    everything = normalised(likelihood.sum(axis=0) + np.log(PRIOR))
    prior = np.log(SHRINK * everything + (1 - SHRINK) * PRIOR)
    out = np.empty(likelihood.shape)
    for family in np.unique(families):  # a family that is alone repeats what it said in the prior; that only sharpens it where it has many errors
        at = families == family
        out[at] = normalised(likelihood[at].sum(axis=0) + prior)
    return out


def normalised(log_weight: Floats) -> Floats:
    weight = np.exp(log_weight - log_weight.max())
    return weight / weight.sum()


def normal_tables(posterior: Floats, share: Floats) -> Floats:
    """(n, PLACES) the standard normal value as improbable as an error of 0, 1/8, 2/8, ... sd."""
    tail = log_tables()[1]
    with np.errstate(divide="ignore"):
        logs = np.log(posterior)[:, :, None]
    mixed = np.array([logsumexp(tail[level] + log, axis=0) for level, log in zip(level_of(share), logs, strict=True)])
    return np.maximum.accumulate(-ndtri_exp(mixed), axis=1)


@njit(nogil=True, cache=True)
def looked_up(u: float, table: Floats) -> float:
    """The normal value of an error in sd."""
    place = min(abs(u) * PER_SD, PLACES - 1.001)
    low = int(place)
    z = table[low] + (table[low + 1] - table[low]) * (place - low)
    return z if u >= 0 else -z
