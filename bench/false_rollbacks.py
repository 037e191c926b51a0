"""Claim false_rollbacks: how often a release exactly as good as the one in charge is rolled back, looked at all the time.

Each run is a shop of its own, half of them with users who are all alike, half with users whose rates of clicks and visits differ. Twice: through all steps as
the decision has it, and held in the last step up to 500,000 items shown per arm, where a z-test looks at the same clicks.
"""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from claims import report
from load.canaries import Shop, trial

from vernal.config import Rollout
from vernal.rollout.canary import decide
from vernal.serving.traffic import Canary
from vernal.terms import US_PER_S

RUNS, FIRST_SEED = 1_000, 50_000  # sizes of bets and parts of the promise were chosen on seeds below 1,000
RULES = Rollout()
EVERY = 100  # requests between two looks
HELD = 100_000  # requests in the last step
NORMAL_Z = 1.959963984540054


def shop(run: int) -> Shop:
    return Shop(FIRST_SEED + run, heavy=0.5 * (run % 2), requests_s=100.0)


def through(run: int) -> str:
    """How a whole trial ends, and after how many looks."""
    return trial(shop(run), RULES, EVERY, 5 * 6 * 3_600.0).verdict.act


def held(run: int) -> tuple[bool, bool]:
    """Whether a canary that is held in the last step is ever rolled back, and whether a z-test ever finds a difference."""
    canary, place = Canary(release="r2", against="r1", share=0.5, held=True), shop(run)
    ours = naive = False
    for look in range(HELD // EVERY):
        place.run(EVERY, canary.share)
        ours |= decide(canary, place.evidence(), RULES, int(place.now_s * US_PER_S)).act == "roll back"
        naive |= look % (4_000 // (10 * EVERY)) == 0 and z_test(place)
    return ours, naive


def z_test(place: Shop) -> bool:
    """Whether clicks per item shown differ at 5 %, every click taken for independent."""
    (_, c0, m0, *_), (_, c1, m1, *_) = place.sums[:, 0]
    rate = (c0 + c1) / (m0 + m1)
    noise = math.sqrt(rate * (1 - rate) * (1 / m0 + 1 / m1))
    return bool(noise > 0 and abs(c1 / m1 - c0 / m0) > NORMAL_Z * noise)


def run() -> None:
    ends, kept = [through(run) for run in range(RUNS)], [held(run) for run in range(RUNS)]
    rolled, still = sum(end == "roll back" for end in ends), sum(ours for ours, _ in kept)
    naive = [sum(naive for _, naive in kept[first::2]) / (RUNS / 2) for first in (0, 1)]
    report(
        "false_rollbacks",
        bar="of 1,000 releases exactly as good as the one in charge at most 10 are rolled back, looked at after every 100 requests",
        measured={"rolled back, through all steps": rolled, "rolled back, held in the last step": still, "promoted, through all steps": ends.count("promote")},
        unit=f"of {RUNS:,}",
        holds=max(rolled, still) <= RUNS * RULES.promise,
        baselines={"z-test, users all alike: share that ever differ": naive[0], "z-test, users who differ: share that ever differ": naive[1]},
        seeds=[FIRST_SEED, FIRST_SEED + RUNS - 1],
        notes="seeds from the first to the last named. CTR 2 %, 20,000 users, 100 requests/s of ten items; rates of users who differ are gamma with half the "
        "squared mean as variance, and so are their visits; errors and late answers come in bursts; reward, segments, guards and shares of users are all "
        f"watched. Held: up to 500,000 items shown per arm, {HELD // EVERY:,} looks; the z-test looks every 2,000 items per arm at 5 %, two-sided.",
    )


if __name__ == "__main__":
    run()
