"""A shop on trial: users who come back, click at rates of their own, and now and then get errors in bursts, asked look by look what the decision is.

Everything the decision counts is kept by user and summed as it changes, so that a look costs what came since the last. The world is drawn anew for each seed;
what a release does differently is a `Release`: factors on what happens.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numba import njit
from numpy.typing import NDArray

from vernal.config import Rollout
from vernal.evaluation.sequences import Moments
from vernal.rollout.canary import ArmEvidence, Evidence, Mirror, Verdict, decide
from vernal.serving.traffic import Canary
from vernal.terms import US_PER_S

SHOWN = 10
SEGMENTS = ("new", "some", "many")
GUARDS = ("failed", "late", "fallen", "empty", "diversity")
COUNTED = 1 + len(SEGMENTS) + len(GUARDS)
DAY_S = 86_400.0
SANE = Mirror(n=400, overlap=220.0, shift=4.0, took_us=400_000, took_us_against=390_000)


class Release(NamedTuple):
    """What the release on trial does otherwise: factors on rates, the last three on those of one segment."""

    clicks: float = 1.0
    failed: float = 1.0
    late: float = 1.0
    by_segment: tuple[float, float, float] = (1.0, 1.0, 1.0)


ALIKE = Release()


@dataclass
class Shop:
    """One shop, with a canary in some share of it."""

    seed: int
    release: Release = ALIKE
    ctr: float = 0.02
    users: int = 20_000
    heavy: float = 0.5  # variance of the users' rates of clicks and of their activity, relative to the squared mean; 0 = all alike
    requests_s: float = 1_000.0
    now_s: float = 0.0
    totals: NDArray[np.float64] = field(init=False)  # (users, COUNTED, 2) counts and bases since the share was changed
    sums: NDArray[np.float64] = field(init=False)  # (2 arms, COUNTED, 6) as in Moments

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        spread = [rng.gamma(1 / self.heavy, self.heavy, self.users) if self.heavy else np.ones(self.users) for _ in range(2)]
        self.place = rng.random(self.users)  # in the hash that arms are cut from
        self.rate, self.coming = np.minimum(self.ctr * spread[0], 0.9), np.cumsum(spread[1]) / spread[1].sum()
        self.segment = rng.integers(0, len(SEGMENTS), self.users)
        self.restart()
        self.last = self.exposed = 0

    def restart(self) -> None:
        """Counting begins anew."""
        self.totals, self.sums = np.zeros((self.users, COUNTED, 2)), np.zeros((2, COUNTED, 6))

    def run(self, requests: int, share: float) -> None:
        """So many requests, of which the users of the share meet the release on trial."""
        factors = np.array([self.release.clicks, self.release.failed, self.release.late, *self.release.by_segment])
        self.last = serve(
            self.seed * 1_000_003 + int(self.now_s * 1_000), requests, self.now_s, 1 / self.requests_s, share, self.place, self.rate, self.coming, self.segment,
            factors, self.totals, self.sums, self.last,
        )  # fmt: skip
        self.now_s += requests / self.requests_s

    def arm(self, which: int) -> ArmEvidence:
        moments = [Moments(users=int(each[0]), **dict(zip(Moments.__struct_fields__[1:], each[1:].tolist(), strict=True))) for each in self.sums[which]]
        first, guards = moments[1 : 1 + len(SEGMENTS)], moments[1 + len(SEGMENTS) :]
        slates = int(guards[0].impressions)
        return ArmEvidence(
            slates=slates,
            users=guards[0].users,
            reward=moments[0],
            segments=dict(zip(SEGMENTS, first, strict=True)),
            guards=dict(zip(GUARDS, guards, strict=True)),
        )

    def evidence(self) -> Evidence:
        return Evidence(canary=self.arm(1), control=self.arm(0), silent=min(self.last, self.users), mirror=SANE, lately=10_000)


class End(NamedTuple):
    """How a trial ended."""

    verdict: Verdict
    after_s: float
    impressions: float  # the release on trial showed
    of_the_step: float  # in the last step, by the arm that showed fewer
    looks: int


def trial(shop: Shop, rules: Rollout, every: int, most_s: float, canary: Canary | None = None) -> End:
    """A release from the shadow to its end, with a look after every so many requests; a canary that is held stays as it is."""
    canary = canary or Canary(release="r2", against="r1", begun_at=-60 * US_PER_S, step_at=-60 * US_PER_S)
    looks, shown = 0, 0.0
    while True:
        now = int(shop.now_s * US_PER_S)
        verdict = decide(canary, shop.evidence(), rules, now)
        looks += 1
        if verdict.act in ("promote", "roll back") or shop.now_s >= most_s:
            step = [float(shop.sums[arm, 0, 2]) for arm in (0, 1)]
            return End(verdict, shop.now_s, shown + step[1], min(step), looks)
        if verdict.act == "widen":
            canary, shown = replace(canary, share=verdict.share, step_at=now), shown + float(shop.sums[1, 0, 2])
            shop.restart()
        shop.run(every, canary.share)


@njit(nogil=True, cache=True)
def serve(
    seed: int, requests: int, now_s: float, gap_s: float, share: float, place: NDArray[np.float64], rate: NDArray[np.float64], coming: NDArray[np.float64],
    segment: NDArray[np.int64], factors: NDArray[np.float64], totals: NDArray[np.float64], sums: NDArray[np.float64], since: int,
) -> int:  # fmt: skip
    """Adds what the requests did to totals and sums; returns the requests of the control since the canary's last."""
    np.random.seed(seed % 2**31)
    for n in range(requests):
        at_s = now_s + n * gap_s
        user = min(np.searchsorted(coming, np.random.random()), len(coming) - 1)
        arm = 1 if place[user] < share else 0
        since = 0 if arm else since + 1
        season = 1 + 0.3 * np.sin(2 * np.pi * at_s / 86_400.0)
        bad = 20.0 if int(at_s) % 607 < 2 else 1.0  # two bad seconds every ten minutes, for whoever comes
        chance, kind = rate[user] * season, segment[user]
        failing, slow = 0.0005 * bad, 0.002 * bad
        if arm:
            chance *= factors[0] * factors[3 + kind]
            failing *= factors[1]
            slow *= factors[2]
        failed = 1.0 if np.random.random() < failing else 0.0
        empty = 1.0 if user % 997 == 0 else 0.0
        shown = SHOWN * (1.0 - max(failed, empty))
        clicks = float(np.random.binomial(int(shown), min(chance, 1.0)))
        distinct = float(3 + np.random.binomial(SHOWN - 3, 0.5)) if shown else 0.0
        late = 1.0 if np.random.random() < slow else 0.0
        fallen = 1.0 if np.random.random() < 0.5 * slow else 0.0
        add(totals[user], sums[arm], 0, clicks, shown)
        add(totals[user], sums[arm], 1 + kind, clicks, shown)
        for guard, count in enumerate((failed, late, fallen, empty)):
            add(totals[user], sums[arm], 4 + guard, count, 1.0)
        add(totals[user], sums[arm], 8, distinct, shown)
    return since


@njit(nogil=True, cache=True)
def add(total: NDArray[np.float64], sums: NDArray[np.float64], what: int, count: float, base: float) -> None:
    """One user's counts grow; the sums of users, counts, bases, and of their products follow."""
    c, m, sum_ = total[what, 0], total[what, 1], sums[what]
    if c == 0.0 and m == 0.0 and count + base > 0.0:
        sum_[0] += 1.0
    sum_[1] += count
    sum_[2] += base
    sum_[3] += count * (2.0 * c + count)
    sum_[4] += c * base + count * m + count * base
    sum_[5] += base * (2.0 * m + base)
    total[what, 0], total[what, 1] = c + count, m + base
