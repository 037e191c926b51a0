"""Laws of the policy: a decision is a pure function of its facts, triggers only bring training forward, nothing trains broken data."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vernal.config import Rollout
from vernal.rollout.policy import Act, Decision, Facts, decide
from vernal.terms import DAY_S, HOUR_S, US_PER_S

HOUR, DAY = HOUR_S * US_PER_S, DAY_S * US_PER_S
NOW = 1_700_000_000_000_000
WEEKLY = Rollout(cadence="7d", max_age="9d", cool_down="12h", budget=10)
shares = st.floats(0, 2, allow_nan=False)
moments = st.none() | st.integers(NOW - 40 * DAY, NOW)
settings = st.builds(
    Rollout, mode=st.sampled_from(["automatic", "propose", "off"]), cadence=st.sampled_from(["6h", "1d", "7d", "30d"]),
    max_age=st.sampled_from(["1d", "3d", "10d", "45d"]), cool_down=st.sampled_from(["1h", "6h", "2d"]), budget=st.integers(0, 12),
)  # fmt: skip
facts = st.builds(
    Facts, now=st.just(NOW), champion_at=moments, last_training_at=moments, last_attempt_at=moments, predicted_regret=shares, price=shares,
    loss_jump=st.booleans(), advances=st.lists(st.just("the rate of positive labels fell"), max_size=1).map(tuple),
    holds=st.lists(st.just("price is 100 times too large"), max_size=1).map(tuple), unknown_share=st.floats(0, 1),
    trainings_in_budget_window=st.integers(0, 15), follow_ups=st.lists(st.integers(NOW - DAY, NOW + 7 * DAY), max_size=2).map(lambda f: tuple(sorted(f))),
    training=st.booleans(), training_cost_s=st.floats(0, 7_200), new_events=st.integers(0, 3),
)  # fmt: skip
eventful = st.lists(st.tuples(st.sampled_from(["", "jump", "hold", "failed", "refused"]), st.integers(0, 20)), max_size=6)


def known(**changes: object) -> Facts:
    """A release of yesterday in charge, nothing to worry about."""
    return msgspec.structs.replace(Facts(now=NOW, champion_at=NOW - DAY, last_training_at=NOW - DAY, last_attempt_at=NOW - DAY), **changes)


def lived(rollout: Rollout, events: dict[int, str], hours: int = 24 * 30, every: int = 3) -> list[Decision]:
    """The decisions of a keeper that looks every few hours and trains at once; `events` says what happens at which look."""
    champion = trained = attempted = NOW
    attempts, follow_ups, out = [NOW], (), []
    for hour in range(every, hours, every):
        now, event = NOW + hour * HOUR, events.get(hour, "")
        recent = sum(at > now - 30 * DAY for at in attempts)
        seen = Facts(
            now=now, champion_at=champion, last_training_at=trained, last_attempt_at=attempted, loss_jump=event == "jump",
            holds=("broken",) if event == "hold" else (), trainings_in_budget_window=recent, follow_ups=follow_ups,
        )  # fmt: skip
        decision = decide(seen, rollout)
        out.append(decision)
        follow_ups = decision.follow_ups
        if decision.act == Act.TRAIN:
            attempts.append(now)
            attempted = now
            trained = now if event != "failed" else trained
            champion = now if event not in ("failed", "refused") else champion
    return out


def trainings(decisions: list[Decision]) -> list[int]:
    return [d.at for d in decisions if d.act == Act.TRAIN]


@given(facts, settings)
def test_a_decision_is_a_pure_function_of_its_facts(seen: Facts, rollout: Rollout) -> None:
    again = msgspec.json.decode(msgspec.json.encode(seen), type=Facts)
    assert decide(seen, rollout) == decide(again, rollout)
    decision = decide(seen, rollout)
    assert msgspec.json.decode(msgspec.json.encode(decision), type=Decision) == decision


@given(facts, settings)
def test_nothing_trains_while_a_training_runs_or_data_quality_is_held_or_it_is_switched_off(seen: Facts, rollout: Rollout) -> None:
    decision = decide(seen, rollout)
    if decision.act in (Act.TRAIN, Act.PROPOSE):
        assert not seen.training
        assert not seen.holds
        assert rollout.mode == {Act.TRAIN: "automatic", Act.PROPOSE: "propose"}[decision.act]
    if seen.holds and not seen.training and rollout.mode != "off":
        assert decision.act == Act.HOLD


@given(facts, settings)
def test_pause_and_budget_are_kept_except_at_the_age_limit(seen: Facts, rollout: Rollout) -> None:
    decision = decide(seen, rollout)
    if decision.act != Act.TRAIN or "age limit" in decision.reason or "no release" in decision.reason:
        return
    hours = {"1h": 1, "6h": 6, "2d": 48}[rollout.cool_down]
    assert seen.last_attempt_at is None or seen.now - seen.last_attempt_at >= hours * HOUR
    assert rollout.budget == 0 or seen.trainings_in_budget_window < rollout.budget


@given(facts, settings)
def test_a_training_pays_what_was_owed_and_nothing_else_does(seen: Facts, rollout: Rollout) -> None:
    decision = decide(seen, rollout)
    still_due = [at for at in seen.follow_ups if at > seen.now]
    if decision.act == Act.TRAIN:
        assert all(at > seen.now for at in decision.follow_ups)
        assert set(still_due) <= set(decision.follow_ups)
    else:
        assert set(seen.follow_ups) <= set(decision.follow_ups)


@given(facts, settings)
def test_the_next_training_is_never_expected_in_the_past(seen: Facts, rollout: Rollout) -> None:
    assert decide(seen, rollout).next_at >= seen.now


@given(eventful, st.sampled_from(["1d", "5d", "7d"]), st.sampled_from(["4d", "9d"]), st.sampled_from([0, 2, 12]))
def test_no_release_in_charge_gets_older_than_the_age_limit_while_data_is_sound_and_trainings_succeed(
    jumps: list[tuple[str, int]], cadence: str, max_age: str, budget: int
) -> None:
    events = {3 * at: event for event, at in jumps if event in ("", "jump")}
    at = [NOW, *trainings(lived(Rollout(cadence=cadence, max_age=max_age, budget=budget, cool_down="6h"), events)), NOW + 30 * 24 * HOUR]
    assert max(b - a for a, b in pairwise(at)) <= int(max_age[:-1]) * DAY
    if budget == 0:
        assert max(b - a for a, b in pairwise(at)) <= int(cadence[:-1]) * DAY + 3 * HOUR


@given(eventful)
def test_trainings_that_fail_or_are_refused_are_tried_again_no_sooner_than_the_pause_even_past_the_age_limit(drawn: list[tuple[str, int]]) -> None:
    events = {hour: event for event, at in drawn for hour in range(3 * at, 3 * at + 72, 3) if event in ("failed", "refused")}
    rollout = Rollout(cadence="2d", max_age="3d", cool_down="6h")
    at = trainings(lived(rollout, events))
    near = [b for a, b in pairwise(at) if b - a < 6 * HOUR]  # only the first try at a limit cuts the pause short
    assert all(b - a >= 12 * HOUR for a, b in pairwise(near))


def test_a_jump_is_followed_up_after_three_and_seven_days() -> None:
    rollout = Rollout(cadence="30d", max_age="45d", cool_down="6h")
    at = trainings(lived(rollout, {48: "jump"}))
    assert [(x - NOW) // HOUR for x in at] == [48, 48 + 72, 48 + 168]


def test_a_jump_that_is_still_reported_while_it_is_followed_up_is_the_same_jump() -> None:
    rollout = Rollout(cadence="30d", max_age="45d", cool_down="6h")
    at = trainings(lived(rollout, dict.fromkeys(range(48, 48 + 168, 3), "jump")))
    assert [(x - NOW) // HOUR for x in at] == [48, 48 + 72, 48 + 168]


def test_a_jump_during_a_hold_is_answered_when_the_hold_ends() -> None:
    first = decide(known(loss_jump=True, holds=("unit x100",)), WEEKLY)
    assert first.act == Act.HOLD
    then = decide(known(follow_ups=first.follow_ups), WEEKLY)
    assert then.act == Act.TRAIN
    assert then.follow_ups == (NOW + 3 * DAY, NOW + 7 * DAY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"loss_jump": True}, "jumped"),
        ({"advances": ("the rate of positive labels fell from 16 % to 11 %",)}, "rate of positive labels"),
        ({"unknown_share": 0.06}, "6.0%"),
        ({"predicted_regret": 0.03, "trainings_in_budget_window": 3}, "60%"),
        ({"follow_ups": (NOW - 1,)}, "followed up"),
        ({"champion_at": None, "last_training_at": None, "last_attempt_at": None}, "no release"),
    ],
)
def test_each_trigger_advances_training_and_says_why(changes: dict[str, object], reason: str) -> None:
    assert decide(known(), WEEKLY).act == Act.WAIT
    decision = decide(known(**changes), WEEKLY)
    assert decision.act == Act.TRAIN
    assert reason in decision.reason


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
def test_the_dearer_waiting_is_the_sooner_it_trains(low: float, high: float, spent: int) -> None:
    low, high = sorted((low, high))
    acts = [decide(known(predicted_regret=regret, trainings_in_budget_window=spent), WEEKLY).act for regret in (low, high)]
    assert acts != [Act.TRAIN, Act.WAIT]


@given(st.floats(0.001, 1), st.integers(0, 9), st.integers(0, 9))
def test_the_more_of_the_budget_is_spent_the_dearer_is_the_rest(regret: float, few: int, many: int) -> None:
    few, many = sorted((few, many))
    costs = [decide(known(predicted_regret=regret, trainings_in_budget_window=spent), WEEKLY).cost_of_training for spent in (few, many)]
    assert costs[0] <= costs[1] <= 1


def test_where_the_newest_release_was_refused_only_cadence_and_jumps_train_again() -> None:
    refused = known(champion_at=NOW - 5 * DAY, last_training_at=NOW - DAY, predicted_regret=0.5, unknown_share=0.5)
    assert decide(refused, WEEKLY).act == Act.WAIT
    assert decide(msgspec.structs.replace(refused, loss_jump=True), WEEKLY).act == Act.TRAIN


def test_with_nothing_new_to_learn_from_nothing_is_trained() -> None:
    assert decide(known(new_events=0, champion_at=NOW - 30 * DAY, last_training_at=NOW - 30 * DAY), WEEKLY).act == Act.WAIT


def test_the_default_trains_daily() -> None:
    at = trainings(lived(Rollout(), {}, hours=24 * 10))
    assert [(x - NOW) // HOUR for x in at] == [24 * day for day in range(1, 10)]
