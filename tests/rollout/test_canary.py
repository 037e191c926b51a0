"""Laws of the canary: pure, one step at a time, harm goes at once, what is as good as the other arm goes on."""

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.config import Rollout
from vernal.evaluation.sequences import Moments
from vernal.rollout.canary import GUARDS, ArmEvidence, Evidence, Mirror, decide
from vernal.serving.traffic import Canary
from vernal.terms import US_PER_S

RULES = Rollout()
NOW = 1_700_000_000 * US_PER_S
SANE = Mirror(n=500, overlap=250.0, shift=10.0, took_us=1e6, took_us_against=1e6)


def canary(share: float = 0.5, after_s: int = 300, **changes: object) -> Canary:
    return Canary(release="r2", against="r1", share=share, begun_at=NOW - 3_600 * US_PER_S, step_at=NOW - after_s * US_PER_S, **changes)


def moments(clicks: int, impressions: int, users: int = 1_000) -> Moments:
    """Of users who all did about the same."""
    return Moments.of(np.diff(np.linspace(0, clicks, users + 1).astype(int)), np.full(users, impressions / users))


def arm(clicks: int = 2_000, impressions: int = 100_000, users: int = 1_000, **changes: object) -> ArmEvidence:
    return ArmEvidence(slates=impressions // 10, users=users, reward=moments(clicks, impressions, users), **changes)


def test_a_release_as_good_as_the_other_is_promoted_from_the_last_step() -> None:
    verdict = decide(canary(), Evidence(canary=arm(2_100), control=arm()), RULES, NOW)
    assert verdict.act == "promote"
    assert "no worse" in verdict.reason


def test_a_release_that_earns_less_is_rolled_back() -> None:
    verdict = decide(canary(), Evidence(canary=arm(1_600), control=arm()), RULES, NOW)
    assert verdict.act == "roll back"
    assert verdict.share == 0
    assert "-20.0 %" in verdict.reason


def test_the_first_step_excludes_half_the_reward_before_the_second() -> None:
    control = arm(20_000, 990_000, 9_900)
    assert decide(canary(0.01), Evidence(canary=arm(20, 1_000, 100), control=control), RULES, NOW).act == "wait"
    wider = decide(canary(0.01), Evidence(canary=arm(200, 10_000, 100), control=control), RULES, NOW)
    assert (wider.act, wider.share) == ("widen", 0.05)


def test_no_step_is_shorter_than_its_shortest_time() -> None:
    assert decide(canary(after_s=30), Evidence(canary=arm(2_100), control=arm()), RULES, NOW).act == "wait"


def test_a_step_whose_time_is_over_goes_on_and_says_what_would_have_been_seen() -> None:
    little = Evidence(canary=arm(20, 1_000, 100), control=arm(20, 1_000, 100))
    verdict = decide(canary(after_s=5_000), little, RULES, NOW)
    assert verdict.act == "promote"
    assert "would have been seen" in verdict.reason


def test_one_broken_segment_is_enough() -> None:
    ours, theirs = (
        arm(segments={"new": moments(10, 5_000, 100), "known": moments(100, 5_000)}),
        arm(segments={"new": moments(100, 5_000, 100), "known": moments(100, 5_000)}),
    )
    verdict = decide(canary(), Evidence(canary=ours, control=theirs), RULES, NOW)
    assert verdict.act == "roll back"
    assert verdict.reason.startswith("for new")


def test_failures_roll_back_before_any_click_is_back() -> None:
    ours, theirs = arm(0, 1_000, 100, guards={"failed": moments(15, 100, 100)}), arm(0, 99_000, 9_900, guards={"failed": moments(3, 9_900, 9_900)})
    verdict = decide(canary(0.01, 5), Evidence(canary=ours, control=theirs), RULES, NOW)
    assert verdict.act == "roll back"
    assert verdict.reason.startswith("requests that failed")


def test_a_silent_arm_is_a_failed_one() -> None:
    assert decide(canary(0.01), Evidence(control=arm(), silent=3_000), RULES, NOW).act == "roll back"
    assert decide(canary(0.01), Evidence(control=arm(), silent=300), RULES, NOW).act == "wait"


def test_other_shares_of_users_than_asked_for_end_the_trial() -> None:
    verdict = decide(canary(0.5), Evidence(canary=arm(users=1_000), control=arm(users=1_400)), RULES, NOW)
    assert verdict.act == "roll back"
    assert "no figure of it means anything" in verdict.reason


def test_the_first_seconds_after_a_change_say_nothing_of_who_met_it() -> None:
    unsettled = Evidence(canary=arm(0, 1_000, 100), control=arm(0, 5_000, 500), silent=300)
    assert decide(canary(0.5, 1), unsettled, RULES, NOW).act == "wait"
    assert decide(canary(0.5, 10), unsettled, RULES, NOW).act == "roll back"


def test_what_nobody_saw_is_refused_for_nobody() -> None:
    for broken in ({"overlap": 5.0}, {"shift": -2_000.0}, {"shift": float("nan")}, {"took_us": 1e7}, {"fallen": 400}):
        verdict = decide(canary(0), Evidence(mirror=msgspec.structs.replace(SANE, **broken), lately=1_000), RULES, NOW)
        assert (verdict.act, verdict.share) == ("roll back", 0.0)
    segment = Evidence(mirror=SANE, mirrored={"new": Mirror(n=50)}, lately=1_000)
    assert "for new" in decide(canary(0), segment, RULES, NOW).reason


def test_the_shadow_ends_with_the_first_step() -> None:
    verdict = decide(canary(0), Evidence(mirror=SANE, lately=1_000), RULES, NOW)
    assert (verdict.act, verdict.share) == ("widen", 0.01)


def test_a_shop_without_traffic_promotes_at_once_and_says_so() -> None:
    verdict = decide(canary(0, 0), Evidence(), RULES, NOW)
    assert verdict.act == "promote"
    assert "no traffic" in verdict.reason
    assert decide(canary(0, 0), Evidence(lately=1_000), Rollout(canary_steps=[]), NOW).act == "promote"


def test_a_held_canary_keeps_its_share_but_not_against_harm() -> None:
    assert decide(canary(held=True), Evidence(canary=arm(2_100), control=arm()), RULES, NOW).act == "wait"
    assert decide(canary(held=True), Evidence(canary=arm(1_600), control=arm()), RULES, NOW).act == "roll back"


counts = st.builds(
    lambda m, rate, users: arm(int(m * rate), m, users, guards={name: moments(m // 50, m, users) for name in GUARDS}),
    st.integers(0, 200_000), st.floats(0, 0.2), st.integers(1, 5_000),
)  # fmt: skip


@settings(deadline=None)
@given(st.builds(Evidence, canary=counts, control=counts, silent=st.integers(0, 5_000)), st.sampled_from([0.01, 0.05, 0.25, 0.5]), st.integers(0, 30_000))
def test_whatever_was_seen_the_share_stays_or_takes_one_step_or_goes(evidence: Evidence, share: float, after_s: int) -> None:
    verdict = decide(canary(share, after_s), evidence, RULES, NOW)
    steps = [*RULES.canary_steps, 1.0]
    expected = {"wait": share, "widen": steps[steps.index(share) + 1], "promote": 1.0, "roll back": 0.0}
    assert verdict.share == expected[verdict.act]
    assert verdict == decide(canary(share, after_s), evidence, RULES, NOW)
    assert verdict.reason
