"""What two arms of live traffic say of each other at every look, for as long as one likes to look.

In: per arm the sums of a count over a base by user (clicks over items shown, failures over answers). Out: e-values, and the interval of the ratio of the two
rates that holds its figure at all looks together.

Of all clicks of both arms, the canary's part is what chance makes of its part of the items shown, as long as it is no better and no worse. A bet that its rate
is a factor higher is the likelihood ratio of that part; bets on many factors share a capital of 1. Such a sum exceeds 1/a with probability at most a, however
often one looks (Ville). No normal approximation of rare clicks is needed, and no clicks at all is evidence like any other. Clicks of one user come together:
the log of a bet is divided by how many times more the users' counts vary than independent clicks would, estimated from the same sums.

Source: Robbins (1970), mixtures; Lindon and Malek (2022), "Anytime-valid inference for multinomial count data"; Waudby-Smith, Arbour, Sinha, Kennedy and
Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence sequences", for variances estimated on the way; Wedderburn (1974), quasi-likelihood.
"""

import math
from typing import Final

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.evaluation.intervals import Interval

SIZES: Final = np.geomspace(0.03, 3.0, 12)  # of the logs of the factors that are bet on
FEW: Final = 20  # users: with fewer, all that one did counts as done at once
WIDEST: Final = 12.0  # log of the largest ratio looked for
HALVINGS: Final = 48
ABOVE, BELOW = 1, -1


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over users of what each did: two arms' may be added when no user is in both.

    Example
    -------
    >>> one, other = Moments.of(np.array([1.0, 0.0]), np.array([20.0, 10.0])), Moments.of(np.array([2.0]), np.array([30.0]))
    >>> (one + other).rate
    0.05
    """

    users: int = 0
    clicks: float = 0.0
    impressions: float = 0.0
    clicks2: float = 0.0  # of the squares
    cross: float = 0.0  # of clicks times impressions
    impressions2: float = 0.0

    @classmethod
    def of(cls, clicks: NDArray[np.float64], impressions: NDArray[np.float64]) -> "Moments":
        """Of (n,) counts, one a user, and their (n,) bases."""
        c, m = np.asarray(clicks, np.float64), np.asarray(impressions, np.float64)
        return cls(users=len(c), clicks=float(c.sum()), impressions=float(m.sum()), clicks2=float(c @ c), cross=float(c @ m), impressions2=float(m @ m))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})

    @property
    def rate(self) -> float:
        return self.clicks / self.impressions if self.impressions else 0.0

    @property
    def dispersion(self) -> float:
        """Variance of the users' counts, relative to that of independent rare clicks."""
        if not self.clicks:
            return 0.0
        if self.users < FEW:
            return self.clicks2 / self.clicks
        rate = self.rate
        left = self.clicks2 - 2 * rate * self.cross + rate * rate * self.impressions2
        return max(left, 0.0) / self.clicks * self.users / (self.users - 1)


def evidence(canary: Moments, control: Moments, side: int, null: float = 1.0) -> float:
    """Log e-value against "the canary's rate is at most (`ABOVE`) or at least (`BELOW`) `null` times the control's". Cost: 1 us."""
    return log_e(canary.clicks, canary.impressions, control.clicks, control.impressions, dispersion(canary, control), side, null, SIZES)


def dispersion(canary: Moments, control: Moments) -> float:
    """The larger of both arms', so that one user who acts like thousands is evidence of nothing in either; 1 at least."""
    return max(1.0, canary.dispersion, control.dispersion)


def ratio(canary: Moments, control: Moments, alpha: float) -> Interval:
    """The canary's rate over the control's, less 1; each end is wrong at any look ever with probability `alpha` at most. Cost: 0.1 ms."""
    value = canary.rate / control.rate - 1 if control.rate else 0.0 if not canary.rate else math.inf
    ends = (
        end(canary.clicks, canary.impressions, control.clicks, control.impressions, dispersion(canary, control), side, -math.log(alpha), SIZES)
        for side in (1, -1)
    )
    low, high = (float(each) - 1 for each in ends)
    return Interval(value, low, high)


def mismatch(canary: int, control: int, share: float) -> float:
    """Log e-value against "everybody was drawn into the canary with this chance", of the users seen in either arm."""
    sides = [log_e(float(canary), share, float(control), 1 - share, 1.0, side, 1.0, SIZES) for side in (ABOVE, BELOW)]
    return float(np.logaddexp.reduce(sides)) - math.log(2)


@njit(nogil=True, cache=True)
def log_e(c1: float, m1: float, c0: float, m0: float, spread: float, side: int, null: float, sizes: NDArray[np.float64]) -> float:
    """Log of the mean likelihood ratio over bets on one side of the null."""
    if m1 <= 0.0 or m0 <= 0.0:
        return 0.0
    expected = m0 + null * m1
    top, total = -np.inf, 0.0
    for size in sizes:
        factor = math.exp(side * size)
        each = (c1 * side * size + (c1 + c0) * math.log(expected / (m0 + null * factor * m1))) / spread
        if each > top:
            total, top = total * math.exp(top - each) + 1.0, each
        else:
            total += math.exp(each - top)
    return top + math.log(total / len(sizes))


@njit(nogil=True, cache=True)
def end(c1: float, m1: float, c0: float, m0: float, spread: float, side: int, needed: float, sizes: NDArray[np.float64]) -> float:
    """The ratio nearest to the figure that the evidence on one side of it excludes; evidence only grows with the distance."""
    inside, outside = float(side) * WIDEST, -float(side) * WIDEST
    if log_e(c1, m1, c0, m0, spread, side, math.exp(outside), sizes) < needed:
        return 0.0 if side > 0 else np.inf
    for _ in range(HALVINGS):
        middle = 0.5 * (inside + outside)
        if log_e(c1, m1, c0, m0, spread, side, math.exp(middle), sizes) >= needed:
            outside = middle
        else:
            inside = middle
    return math.exp(outside)
