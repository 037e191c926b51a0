"""Slates: what was seen, how fresh it was and what came of it is watched; outcomes are judged when they have matured."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from test_watchman import EVENTS, ITEMS, Village, day

from vernal.events.schema import Event, Kind, Slate
from vernal.features.definition import compile_plan
from vernal.monitoring.coordinates import Statistic
from vernal.monitoring.schema import Stream
from vernal.monitoring.served import SERVED, Chosen, Odds, Shown, rows_of, watched
from vernal.monitoring.watchman import Watchman
from vernal.ranking.features import CONTEXT, QUERY, feature_names
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.memory import MemoryLog
from vernal.testing.village import village_settings

NAMES = feature_names(compile_plan(village_settings()))
SLATES, K, BROKEN = 60, 5, 34
NUMBERS = {item.item: number for number, item in enumerate(ITEMS)}


class Trouble:
    """What a healthy counter does; a test overrides one thing."""

    def features(self, features: np.ndarray) -> np.ndarray:
        return features

    def late_s(self) -> int:
        return 0

    def worth(self) -> float:
        return 1.0

    def named(self) -> bool:
        return True


def counter(number: int, offset: int, trouble: Trouble) -> tuple[list[Slate], list[Event]]:
    """A day's slates and what was bought from them: a score of 1 more doubles the odds or so."""
    draw = np.random.default_rng([7, number])
    slates, events = [], []
    for k in range(SLATES):
        at = day(number) + int(draw.integers(DAY_S // 2)) * US_PER_S
        goods = [ITEMS[place].item for place in draw.choice(len(ITEMS), K, replace=False)]
        features = trouble.features(draw.standard_normal((K, len(NAMES)))).astype(np.float32)
        scores = -np.sort(-draw.normal(-1.0, 1.0, K)).astype(np.float32)
        seen = (at // US_PER_S - trouble.late_s()) // 300 * 300
        numbers = np.array([NUMBERS[item] for item in goods], np.uint32)
        slates.append(
            Slate(
                f"{number}-{k}", at, f"guest-{k}", "home", "champion", "r", "full", b"{}", int(draw.integers(1 << 60)), offset, offset, seen, goods,
                numbers.tobytes(), np.ones(K, np.float32).tobytes(), scores.tobytes(), features.tobytes(),
            )
        )  # fmt: skip
        bought = draw.random(K) < 1 / (1 + np.exp(0.5 - trouble.worth() * (scores + 1.0)))
        of = slates[-1].rec_id if trouble.named() else ""
        events += [Event(f"{number}-{k}-{j}", "buy", f"guest-{k}", goods[j], at + (j + 1) * 60 * US_PER_S, rec_id=of) for j in np.flatnonzero(bought)]
    return slates, sorted(events, key=lambda event: event.time)


def shop(folder: Path, trouble: Trouble, until: int = 38, broken: int = BROKEN, begun: int = 30) -> Watchman:
    village = Village(folder, EVENTS[:1])
    village.log = MemoryLog(village.clock)
    village.log.append(Kind.ITEMS, ITEMS, [0] * len(ITEMS))
    for number in range(until):
        slates, events = counter(number, village.log.end(), trouble if number >= broken else Trouble())
        records = sorted([*slates, *events], key=lambda record: record.time)
        for record in records:
            village.log.append(Kind.SLATES if isinstance(record, Slate) else Kind.EVENTS, [record], [record.time])
    watchman = village.watchman()
    watchman.step(day(begun))
    watchman.step(day(until))
    return watchman


def test_a_healthy_counter_raises_nothing_and_its_outcomes_are_judged(tmp_path: Path) -> None:
    watchman = shop(tmp_path, Trouble())
    assert watchman.state.alarms == []
    rows, outcomes = watchman.watches[SERVED].judged
    assert [number - rows[0] for number in rows] == list(range(8))
    assert outcomes == rows[:-1]
    assert {strip.rows for strip in watchman.state.streams[SERVED].strips} == {SLATES}


def test_a_frozen_map_gives_probabilities_that_hold(tmp_path: Path) -> None:
    watchman = shop(tmp_path, Trouble())
    moves = {(c.name, m.statistic): m for s in watchman.report().streams if s.name == SERVED for c in s.columns for m in c.moves}
    bias = watchman.watches[SERVED].reference.means()[watchman.watches[SERVED].reference.at(Statistic.BIAS)]
    assert abs(bias) < 0.05
    assert ("served.logit", "location") in moves


class NoFeature(Trouble):
    def features(self, features: np.ndarray) -> np.ndarray:
        features[:, 3] = np.nan
        return features


class Stale(Trouble):
    def late_s(self) -> int:
        return 2 * 3_600


@pytest.mark.parametrize(("trouble", "column"), [(NoFeature(), f"served.{NAMES[3]}"), (Stale(), "served.hop_behind")])
def test_broken_features_hold_training_within_two_windows(tmp_path: Path, trouble: Trouble, column: str) -> None:
    watchman = shop(tmp_path, trouble, BROKEN + 2)
    assert column in {alarm.column for alarm in watchman.holds}


class Worthless(Trouble):
    def worth(self) -> float:
        return -1.0


def test_scores_that_mean_something_else_advance_training_and_do_not_hold_it(tmp_path: Path) -> None:
    watchman = shop(tmp_path, Worthless())
    assert {alarm.stream for alarm in watchman.advances} == {Stream.OUTCOME}
    assert watchman.holds == ()
    last = max(alarm.window for alarm in watchman.advances) + 1
    before, after = (last + watchman.mature) * watchman.length - 1, (last + watchman.mature) * watchman.length
    assert watchman.unanswered(before)  # a training that began when its outcomes were not known yet is no answer to it
    assert not watchman.unanswered(after)


class Drifted(Trouble):
    def features(self, features: np.ndarray) -> np.ndarray:
        features[:, 5] += self.far
        return features

    def __init__(self, far: float) -> None:
        self.far = far


@pytest.mark.parametrize("far", [1.0, 2.5, 9.0])
def test_a_feature_that_drifts_however_far_neither_pages_nor_holds(tmp_path: Path, far: float) -> None:
    watchman = shop(tmp_path, Drifted(far))
    drifted = [raised.alarm for raised in watchman.state.alarms if raised.alarm.column == f"served.{NAMES[5]}" and raised.alarm.stream == Stream.FEATURE]
    assert drifted
    assert not any(alarm.pages for alarm in drifted)
    assert watchman.holds == ()


def test_what_was_told_of_a_young_shop_is_over_when_three_weeks_say_what_is_usual(tmp_path: Path) -> None:
    young = shop(tmp_path / "young", Drifted(9.0), until=20, broken=12, begun=9)
    assert young.watches[SERVED].reference.is_short
    assert [raised.alarm.column for raised in young.standing_alarms] == [f"served.{NAMES[5]}"] * len(young.state.alarms) != []
    grown = shop(tmp_path / "grown", Drifted(9.0), until=24, broken=12, begun=9)
    assert not grown.watches[SERVED].reference.is_short
    assert grown.watches[SERVED].restarts == 0
    assert {(raised.acknowledged_by, raised.note) for raised in grown.state.alarms} == {("vernal", "Three weeks say what is usual now.")}


def test_a_kill_between_windows_changes_no_outcome(tmp_path: Path) -> None:
    whole = shop(tmp_path / "whole", Worthless())
    again = shop(tmp_path / "again", Worthless())
    village = again.space
    (tmp_path / "again" / "monitoring" / "watchman.msgpack").unlink()
    for at in range(30, 39):
        village.watchman().step(day(at))
    assert village.watchman().state.alarms == whole.state.alarms
    assert village.watchman().state.next == whole.state.next


def labelled(rows: list[tuple[int, int, int]], chosen: list[tuple[int, int, int]], within: int, named: Sequence[int] = ()) -> list[int]:
    def columns(of: list[tuple[int, int, int]]) -> list[np.ndarray]:
        return [np.array([each[k] for each in of], np.int64) for k in range(3)]

    user, item, at = columns(rows)
    shown = Shown(len(rows), np.empty((len(rows), 0)), user, item, at, np.zeros(len(rows), np.int64))
    return shown.labels([Chosen(*columns(chosen), np.isin(np.arange(len(chosen)), named))], within, named=bool(named)).tolist()


def test_a_label_is_the_same_users_choice_of_the_same_item_in_time() -> None:
    rows = [(1, 7, 100), (1, 8, 100), (2, 7, 100), (1, 7, 300)]
    assert labelled(rows, [(1, 7, 150), (2, 8, 150), (1, 8, 99), (2, 7, 100)], 60) == [1, 0, 1, 0]


def test_where_events_name_their_slates_what_people_choose_by_themselves_is_no_outcome() -> None:
    rows = [(1, 7, 100), (1, 8, 100)]
    chosen = [(1, 7, 120), (1, 8, 130)]
    assert labelled(rows, chosen, 60) == [1, 1]
    assert labelled(rows, chosen, 60, named=[1]) == [0, 1]


class Unnoticed(Trouble):
    """The slates are worth nothing any more; people find the same things by themselves."""

    def named(self) -> bool:
        return False


def test_slates_that_fail_are_noticed_though_people_find_the_same_by_themselves(tmp_path: Path) -> None:
    watchman = shop(tmp_path, Unnoticed(), BROKEN + 3)
    assert watchman.state.streams[SERVED].named
    assert {alarm.stream for alarm in watchman.advances} == {Stream.OUTCOME}


def test_odds_recover_what_made_the_labels() -> None:
    draw = np.random.default_rng(0)
    score, place = draw.normal(2.0, 3.0, 20_000), draw.integers(0, 10, 20_000)
    logit = -1.0 + 0.4 * score - 0.5 * np.log1p(place)
    label = (draw.random(20_000) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
    assert np.abs(Odds.fitted(score, place, label).logit(score, place) - logit).max() < 0.3


def test_neither_ages_nor_the_calendar_are_watched() -> None:
    plan = compile_plan(village_settings())
    left = set(feature_names(plan)) - set(watched(plan))
    assert {"item_age.first_seen", "retrieval.fresh", "retrieval.fresh.share", *CONTEXT, *QUERY} == left


def test_rows_are_features_then_score_then_propensity() -> None:
    slate = counter(0, 1, Trouble())[0][0]
    rows = rows_of(slate, np.arange(len(NAMES)))
    assert rows.shape == (K, len(NAMES) + 2)
    assert np.array_equal(rows[:, -2], np.frombuffer(slate.scores, np.float32))
