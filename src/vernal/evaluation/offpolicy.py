"""What another policy would have earned on requests that were answered already: an interval, or "cannot say" with the reason.

In: per item shown what it earned, the chance with which the policy that showed it put it at its position, and the chance the other one would have (both over
all that may stand before it: what an item earns depends on itself and its position). Out: an `Opinion`: the relative uplift three ways, each with an
interval over users, what the weights are like, and what was left out.

Weights only say something where the two policies overlap. Where few items carry all the weight, where the other policy shows what this one never would, or
where the weights do not average 1, no figure is given: intervals are then too narrow, and how much nobody can tell. A model of rewards only lowers the noise
of the weighted rewards; alone it decides nothing.

Source: Horvitz and Thompson (1952); Swaminathan and Joachims (2015), self-normalised; Dudik, Langford and Li (2011), doubly robust; Chernozhukov et al. (2018),
cross-fitting; Li et al. (2018), "Offline evaluation of ranking policies with click models", items and positions; Owen (2013), effective sample size.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from vernal.evaluation.intervals import LEVEL, Interval

Floats = NDArray[np.float64]

LEAST_EFFECTIVE: Final = 1_000.0  # items shown, were all weights alike
LEAST_SHARE: Final = 0.05  # of the items shown
MOST_OUTSIDE: Final = 0.01  # of what the other policy would show, never shown by this one
MOST_OF_ONE: Final = 0.05  # of all weight on one user
MOST_OFF: Final = 4.0  # standard errors of the mean weight from 1
NEAR: Final = 0.02  # relative: what is summed up over draws is no nearer
LEAST_REWARDS: Final = 30
FOLDS: Final = 5
RIDGE: Final = 10.0  # rows' worth of knowing nothing, in the model of rewards


class Shown(NamedTuple):
    """n items shown; rows of one user may be anywhere."""

    user: NDArray[np.int64]  # (n,) whose
    reward: Floats  # (n,)
    logging: Floats  # (n,) chance of this item at its position, by the policy that showed it
    target: Floats  # (n,) by the other one
    outside: Floats  # (n,) chance that the other one puts something there that the first never would
    features: Floats  # (n, f) of the item at its position, for the model of rewards
    shift: Floats  # (n, f) mean features there under the other policy, less those under the one that showed it

    def rows(self, keep: NDArray[np.bool_]) -> "Shown":
        return Shown._make(column[keep] for column in self)


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """What the weights are like."""

    shown: int
    users: int
    rewards: float
    effective: float  # items shown, were all weights alike
    largest: float  # weight
    of_one: float  # share of all weight on one user
    mean: float  # weight; 1 but for chance
    outside: float  # share of what the other policy shows that the first never would

    @property
    def effective_share(self) -> float:
        return self.effective / max(1, self.shown)


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What logged answers say of another policy."""

    says: Literal["better", "worse", "undecided", "cannot say"]
    sentence: str
    overlap: Overlap
    left_out: dict[str, int]  # items shown, by why
    uplift: dict[str, Interval] = {}  # relative, by estimator; none where it cannot say

    def without(self) -> list[str]:
        """What was left out and why, most first."""
        return [f"{n:,} {why}" for why, n in sorted(self.left_out.items(), key=lambda each: -each[1])]


def opinion(shown: Shown, left_out: Mapping[str, int] | None = None, level: float = LEVEL, seed: int = 0) -> Opinion:
    """The opinion on a policy.

    Parameters
    ----------
    left_out : what the caller could not use already
    level : chance with which each interval is to hold its figure
    seed : draws the users of the folds

    Cost: 0.1 s for 50,000 items shown and 20 features.
    """
    shown, left = usable(shown, dict(left_out or {}))
    overlap = overlap_of(shown)
    why = "; ".join(refusals(shown, overlap))
    if why:
        return Opinion(says="cannot say", sentence=f"cannot say, because {why}", overlap=overlap, left_out=left)
    uplift = estimates(shown, level, seed)
    robust, normalised = uplift["doubly robust"], uplift["self-normalised"]
    if max(robust.low - normalised.high, normalised.low - robust.high) > NEAR:
        why = f"the estimates differ by more than chance: {said(robust)} doubly robust, {said(normalised)} self-normalised"
        return Opinion(says="cannot say", sentence=f"cannot say, because {why}", overlap=overlap, left_out=left)
    says: Literal["better", "worse", "undecided"] = "better" if robust.low > 0 else "worse" if robust.high < 0 else "undecided"
    words = f"{said(robust)} reward per item shown, from {overlap.shown:,} shown to {overlap.users:,} users, worth {overlap.effective:,.0f}"
    return Opinion(says=says, sentence=f"{says}: {words}" + ("; too few to tell" if says == "undecided" else ""), overlap=overlap, left_out=left, uplift=uplift)


def usable(shown: Shown, left_out: dict[str, int]) -> tuple[Shown, dict[str, int]]:
    """The rows whose chances are chances, and how many of the others there are by reason."""
    logging, target = shown.logging, shown.target
    faults = {
        "propensity missing": ~np.isfinite(logging),
        "propensity not above 0": logging <= 0,
        "propensity above 1": logging > 1 + 1e-6,
        "no chance under the other policy": ~((target >= 0) & (target <= 1 + 1e-6)),
    }
    bad = np.zeros(len(logging), np.bool_)
    for why, rows in faults.items():
        n = int((rows & ~bad).sum())
        bad |= rows
        if n:
            left_out[why] = left_out.get(why, 0) + n
    return shown.rows(~bad), left_out


def overlap_of(shown: Shown) -> Overlap:
    weight = shown.target / shown.logging
    total, squares = float(weight.sum()), float(weight @ weight)
    by_user = by_cluster(shown.user, weight[:, None])[:, 0]
    return Overlap(
        shown=len(weight),
        users=len(by_user),
        rewards=float(shown.reward.sum()),
        effective=total**2 / squares if squares else 0.0,
        largest=float(weight.max(initial=0.0)),
        of_one=float(by_user.max(initial=0.0)) / total if total else 0.0,
        mean=total / max(1, len(weight)),
        outside=float(shown.outside.mean()) if len(weight) else 0.0,
    )


def refusals(shown: Shown, overlap: Overlap) -> list[str]:
    """Why no figure would mean anything; none = one does."""
    weight = shown.target / shown.logging
    n, effective = overlap.shown, overlap.effective
    faults = [
        (overlap.rewards < LEAST_REWARDS, f"only {overlap.rewards:g} rewards came back for {n:,} items shown"),
        (effective < LEAST_EFFECTIVE, f"{n:,} items shown are worth {effective:,.0f} of those the other policy would show, {LEAST_EFFECTIVE:,.0f} are needed"),
        (overlap.effective_share < LEAST_SHARE, f"{100 * overlap.effective_share:.1f} % of what was shown carries the weight, {100 * LEAST_SHARE:g} % must"),
        (overlap.outside > MOST_OUTSIDE, f"{100 * overlap.outside:.1f} % of what the other policy shows was never going to be shown"),
        (overlap.of_one > MOST_OF_ONE, f"one user carries {100 * overlap.of_one:.1f} % of the weight"),
    ]
    off = abs(overlap.mean - 1 + overlap.outside) if n else 0.0
    faults.append(
        (
            off > max(NEAR, MOST_OFF * error_of_mean(shown.user, weight)),
            f"weights average {overlap.mean:.2f} and not 1: the logged chances are not those of what answered",
        )
    )
    return [why for refused, why in faults if refused]


def estimates(shown: Shown, level: float, seed: int) -> dict[str, Interval]:
    """Relative uplift of reward per item shown, by estimator, each with its interval over users."""
    reward, weight = shown.reward, shown.target / shown.logging
    model, moved = modelled(shown, seed)
    mean = float((weight * reward).sum() / weight.sum())
    gains = {
        "inverse propensity": (weight - 1) * reward,
        "self-normalised": weight * (reward - mean) + mean - reward,
        "doubly robust": (weight - 1) * (reward - model) + moved,
    }
    return {name: relative(shown.user, gain, reward, level) for name, gain in gains.items()}


def modelled(shown: Shown, seed: int) -> tuple[Floats, Floats]:
    """(n,) the reward expected of each item shown, and (n,) how much more the other policy is expected to earn there, by a model fitted on other users."""
    features, reward, width = shown.features, shown.reward, shown.features.shape[1]
    users, whose = np.unique(shown.user, return_inverse=True)
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(users))[whose]
    parts = [fold == part for part in range(FOLDS)]
    squares = np.stack([features[rows].T @ features[rows] for rows in parts])  # (FOLDS, f, f)
    products = np.stack([features[rows].T @ reward[rows] for rows in parts])  # (FOLDS, f)
    model, moved = np.empty(len(reward)), np.empty(len(reward))
    for part, rows in enumerate(parts):
        others = np.arange(FOLDS) != part
        scale = np.diag(squares[others].sum(axis=0)) / max(1, len(reward) - int(rows.sum()))
        known = squares[others].sum(axis=0) + np.diag(RIDGE * scale + 1e-9)
        slope = np.linalg.solve(known, products[others].sum(axis=0)) if width else np.empty(0)
        model[rows], moved[rows] = features[rows] @ slope, shown.shift[rows] @ slope
    return model, moved


def relative(user: NDArray[np.int64], gain: Floats, reward: Floats, level: float) -> Interval:
    """Sum of gains over sum of rewards, with its interval over users: a ratio of sums, linearised."""
    sums = by_cluster(user, np.stack([gain, reward], axis=1))  # (n_users, 2)
    value = float(sums[:, 0].sum() / sums[:, 1].sum())
    left = sums[:, 0] - value * sums[:, 1]
    n, fourth = len(left), float((left**4).sum())
    error = float(np.sqrt(n / max(1, n - 1) * (left @ left))) / float(sums[:, 1].sum())
    heavy = max(4.0, float(left @ left) ** 2 / max(fourth, 1e-300))  # how many users the noise seems to come from
    width = float(student.ppf((1 + level) / 2, heavy)) * error
    return Interval(value, value - width, value + width)


def error_of_mean(user: NDArray[np.int64], values: Floats) -> float:
    """Standard error of a mean over rows that come by user."""
    if not len(values):
        return 0.0
    sums = by_cluster(user, (values - values.mean())[:, None])[:, 0]
    return float(np.sqrt(sums @ sums)) / len(values)


def by_cluster(user: NDArray[np.int64], columns: Floats) -> Floats:
    """(n_users, columns) sums."""
    users, whose = np.unique(user, return_inverse=True)
    return np.stack([np.bincount(whose, column, len(users)) for column in columns.T], axis=1)


def said(found: Interval) -> str:
    return f"{100 * found.value:+.1f} % [{100 * found.low:+.1f} %, {100 * found.high:+.1f} %]"
