"""What is counted of slates and their rewards, whatever order, repetition or lateness they come in."""

import msgspec
import numpy as np
import pytest
from happened import ARMS, HOUR, START, Log, click, counting, grouped, happenings, slate
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.events.schema import Batch, Erasure, Kind, Slate
from vernal.rollout.counting import APART_US, EARLY_US, LeftOut


def counted(log):
    found = counting()
    for batch in log.batches:
        found.fold(batch)
    found.forget(log.batches[-1].received_at + 3 * HOUR)
    return found


def figures(found, arm="champion"):
    reward = found.evidence(arm).reward
    return reward.users, reward.clicks, reward.impressions


def test_clicks_on_shown_items_are_summed_by_user():
    log = Log().put([slate("a", "ann"), slate("b", "ann"), slate("c", "bob")]).put([click("a", 0), click("b", 0), click("b", 2)])
    reward = counted(log).evidence("champion").reward
    assert (reward.users, reward.clicks, reward.impressions) == (2, 3, 9)
    assert (reward.clicks2, reward.cross, reward.impressions2) == (9, 18, 45)


def test_what_is_no_positive_rewards_nothing():
    log = Log().put(slate("a", "ann")).put([click("a", 0, "view"), click("a", 1, "rated", 3.0), click("a", 2, "rated", 4.0), click("a", 1, "unheard-of")])
    assert figures(counted(log)) == (1, 1, 3)


def test_a_reward_that_comes_before_its_slate_counts():
    assert figures(counted(Log().put(click("a", 1)).put(slate("a", "ann"), START + EARLY_US))) == (1, 1, 3)


@pytest.mark.parametrize(
    ("events", "at", "left_out"),
    [
        ([click("nobody", 0)], START, LeftOut(unknown=1)),
        ([click("a", 0)], START + HOUR + 1, LeftOut(expired=1)),
        ([click("a", 5)], START, LeftOut(not_shown=1)),
    ],
)
def test_a_reward_that_cannot_be_is_left_out_and_said(events, at, left_out):
    found = counted(Log().put(slate("a", "ann")).put(events, at))
    assert (figures(found), found.left_out) == ((1, 0, 3), left_out)


def test_an_item_of_a_slate_rewards_once():
    found = counted(Log().put(slate("a", "ann")).put([click("a", 0), click("a", 0, "rated", 5.0)]))
    assert (figures(found)[1], found.left_out) == (1, LeftOut(repeated=1))


def test_a_user_in_two_arms_stays_in_the_first_and_is_said():
    found = counted(Log().put([slate("a", "ann"), slate("b", "ann", arm="canary")]).put([click("a", 0), click("b", 0)]))
    assert (figures(found), figures(found, "canary")) == ((1, 1, 3), (0, 0, 0))
    assert (found.left_out.crossed, found.left_out.unknown) == (1, 1)


def test_somebody_unknown_is_a_user_of_one_request():
    assert figures(counted(Log().put([slate("a", ""), slate("b", "")]).put(click("b", 0)))) == (2, 1, 6)


def test_clocks_that_are_apart_change_no_figure_and_are_said():
    found = counted(Log().put(slate("a", "ann", time=START - 2 * APART_US)).put(click("a", 0)))
    assert (figures(found), found.left_out) == ((1, 1, 3), LeftOut(apart=1))


@pytest.mark.parametrize("odd", [b"", np.array([0.5, 1.5, 0.5], np.float32).tobytes(), np.zeros(3, np.float32).tobytes()])
def test_impossible_propensities_are_said(odd):
    assert counted(Log().put([slate("a", "ann", propensities=odd), slate("b", "bob")])).left_out.odd == 1


def test_nothing_of_an_erased_user_is_left_in_any_sum():
    without = counted(Log().put(slate("b", "bob")).put(click("b", 0)))
    found = counted(Log().put([slate("a", "ann"), slate("b", "bob")]).put([click("a", 0), click("b", 0)]).put(Erasure("ann", START)).put(click("a", 1)))
    assert found.evidence("champion") == without.evidence("champion")


def test_guards_count_what_went_wrong():
    bad = slate("a", "ann", rung="trending", took_us=10**6, failed=2)
    guards = counted(Log().put([bad, slate("b", "bob", items=()), slate("c", "cy", items=(0, 1, 2))])).evidence("champion").guards
    assert [guards[name].clicks for name in ("failed", "late", "fallen", "empty", "diversity")] == [1, 1, 1, 1, 4]
    assert (guards["failed"].impressions, guards["diversity"].impressions, guards["scores high"].impressions) == (3, 6, 1.5)


def test_segments_and_scenarios_are_told_apart():
    log = Log().put([slate("a", "ann"), slate("b", "bob", segment=""), slate("c", "ann", scenario="similar")]).put([click("a", 0), click("c", 1)])
    segments = counted(log).evidence("champion").segments
    found = {name: (moments.users, moments.clicks, moments.impressions) for name, moments in segments.items()}
    assert found == {"kind = bread": (1, 2, 6), "new users": (1, 0, 3), "scenario home": (2, 1, 6), "scenario similar": (1, 1, 3)}


def test_silence_is_counted_in_users_of_the_other_arm():
    found = counted(Log().put([slate("a", "ann", arm="canary"), slate("b", "bob"), slate("c", "bob"), slate("d", "cy")]))
    assert (found.silent("canary", "champion"), found.silent("champion", "canary")) == (2, 0)


@settings(max_examples=60, deadline=None)
@given(happenings=happenings, pieces=st.lists(st.integers(1, 5), min_size=40, max_size=40))
def test_any_batches_give_the_same_figures(happenings, pieces):
    unique = list({(type(each).__name__, getattr(each, "event_id", each.rec_id)): each for each in happenings}.values())
    one, many = counting(), counting()
    place = 1
    for each in unique:
        one.fold(Batch(place, START, Kind.SLATES if isinstance(each, Slate) else Kind.EVENTS, [each]))
        place += 1
    for batch in grouped(unique, pieces):
        many.fold(batch)
    for arm in ARMS:
        assert one.evidence(arm) == many.evidence(arm)
    assert one.left_out == many.left_out


def test_what_a_sentence_says_is_what_was_left_out():
    assert LeftOut().sentence() == ""
    assert LeftOut(unknown=3, crossed=1).sentence() == "3 rewards of slates that are unknown or of no arm compared, 1 slates of users in two arms"


def test_figures_survive_a_trip_through_json():
    evidence = counted(Log().put(slate("a", "ann")).put(click("a", 0))).evidence("champion")
    assert msgspec.json.decode(msgspec.json.encode(evidence), type=type(evidence)) == evidence
