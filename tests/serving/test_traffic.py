"""Shares of the traffic and the arms that follow from them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from vernal.config import Rollout
from vernal.errors import StateError
from vernal.serving.traffic import CANARY, CHAMPION, FILE, HOLDOUT, Canary, Experiment, Split, Traffic, Variant, arm_of, read_traffic, write_traffic

USERS = [f"user-{n}" for n in range(2_000)]
TRIAL = Canary(release="r0002", against="r0001", share=0.05)
EXPERIMENT = Experiment(name="home", variants=(Variant(name="as-is"), Variant(name="bold")), share=0.2)
FULL = Traffic(number=3, holdout=0.02, canary=TRIAL, experiments=(EXPERIMENT,))
shares = st.floats(0, 1)


def exposed(traffic: Traffic, arm: str) -> set[str]:
    split = Split(traffic)
    return {user for user in USERS if split.arm(user) == arm}


@settings(max_examples=20)
@given(narrow=shares, wide=shares)
def test_widening_a_canary_keeps_everybody_who_was_in(narrow, wide):
    narrow, wide = sorted((narrow, wide))
    assert exposed(replace(FULL, canary=replace(TRIAL, share=narrow)), CANARY) <= exposed(replace(FULL, canary=replace(TRIAL, share=wide)), CANARY)


@settings(max_examples=20)
@given(share=shares)
def test_a_canary_moves_nobody_out_of_holdout_or_experiment(share):
    moved = replace(FULL, canary=replace(TRIAL, share=share))
    for arm in (HOLDOUT, *EXPERIMENT.arms):
        assert exposed(moved, arm) == exposed(FULL, arm)


@settings(max_examples=20)
@given(holdout=st.floats(0, 0.5), share=shares, canary=shares)
def test_each_arm_gets_its_share_of_those_left(holdout, share, canary):
    traffic = Traffic(holdout=holdout, canary=replace(TRIAL, share=canary), experiments=(replace(EXPERIMENT, share=share),))
    rest = 1 - holdout
    expected = {HOLDOUT: holdout, "home/as-is": rest * share / 2, "home/bold": rest * share / 2, CANARY: rest * (1 - share) * canary}
    for arm, part in expected.items():
        assert len(exposed(traffic, arm)) / len(USERS) == pytest.approx(part, abs=0.06)


def test_who_is_in_one_canary_says_nothing_about_the_next():
    first, second = (exposed(Traffic(canary=replace(TRIAL, release=name, share=0.5)), CANARY) for name in ("r0002", "r0003"))
    assert 0.4 < len(first & second) / len(first) < 0.6


def test_without_shares_everybody_is_answered_by_the_champion():
    assert arm_of(Traffic(canary=replace(TRIAL, share=0.0)), "ada") == CHAMPION


def test_what_was_written_is_read(tmp_path):
    write_traffic(tmp_path, FULL)
    assert read_traffic(tmp_path, Rollout(holdout=0.02)) == FULL


def test_the_holdout_is_that_of_the_settings_and_nobody_meets_a_canary_that_nobody_judges(tmp_path):
    write_traffic(tmp_path, FULL)
    found = read_traffic(tmp_path, Rollout(holdout=0.1, mode="off"))
    assert (found.holdout, found.canary) == (0.1, None)


def test_a_file_that_is_none_is_said_to_be(tmp_path):
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text("{")
    with pytest.raises(StateError, match="traffic"):
        read_traffic(tmp_path, Rollout())
