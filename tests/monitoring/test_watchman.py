"""The watchman: silent in a healthy village, plain about a broken one, and the same whatever kills it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from vernal.clock import ManualClock
from vernal.config import Monitoring
from vernal.events.schema import Event, Item, Kind
from vernal.features.definition import compile_plan
from vernal.monitoring.alarms import Alarm, Harm, Severity, Size, Span
from vernal.monitoring.coordinates import Statistic
from vernal.monitoring.schema import Stream
from vernal.monitoring.watchman import Watchman
from vernal.monitoring.weighing import subsided, weighed
from vernal.release import Lineage, ReleaseStore
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.memory import MemoryLog
from vernal.testing.village import START_US, village_events, village_items, village_settings

DAY_US = DAY_S * US_PER_S
BEGUN, BROKEN = 30, 34  # days: the watch begins, and what breaks breaks
ITEMS = village_items()
EVENTS = village_events(ITEMS, n_users=60, days=38, per_day=500)


class Village:
    """A workspace of a log in memory."""

    def __init__(self, folder: Path, events: Sequence[Event]) -> None:
        self.settings, self.clock = village_settings(), ManualClock(START_US)
        self.log = MemoryLog(self.clock)
        self.log.append(Kind.ITEMS, ITEMS, [0] * len(ITEMS))
        self.log.append(Kind.EVENTS, events, [max(event.time, START_US) for event in events])
        self.plan = compile_plan(self.settings)
        self.releases = ReleaseStore(folder / "releases", self.clock)
        self.folder = folder / "monitoring"

    def watchman(self) -> Watchman:
        return Watchman(self, self.folder)


def day(number: int) -> int:
    return START_US + number * DAY_US


def broken(how: Callable[[Event], Event | None], since: int = BROKEN) -> list[Event]:
    changed = [how(event) if event.time >= day(since) else event for event in EVENTS]
    return [event for event in changed if event is not None]


def watched(folder: Path, events: Sequence[Event], until: int = 38) -> Watchman:
    watchman = Village(folder, events).watchman()
    watchman.step(day(BEGUN))
    watchman.step(day(until))
    return watchman


def test_a_healthy_village_raises_nothing_and_holds_nothing(tmp_path: Path) -> None:
    watchman = watched(tmp_path, EVENTS)
    assert (watchman.state.alarms, watchman.holds, watchman.advances) == ([], (), ())
    assert {name: len(kin.strips) for name, kin in watchman.state.streams.items()} == {"view": 8, "buy": 8}


FAULTS = {
    "a type that is not sent any more": lambda e: None if e.type == "buy" else e,
    "users and items swapped": lambda e: msgspec.structs.replace(e, user=e.item, item=e.user),
    "clocks an hour behind": lambda e: msgspec.structs.replace(e, time=e.time - 3_600 * US_PER_S),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_data_holds_training_within_two_windows(tmp_path: Path, fault: str) -> None:
    events = broken(FAULTS[fault])
    village = Village(tmp_path, EVENTS[:1])
    village.log = MemoryLog(village.clock)
    village.log.append(Kind.ITEMS, ITEMS, [0] * len(ITEMS))
    arrivals = {event.event_id: event.time for event in EVENTS}
    village.log.append(Kind.EVENTS, events, [arrivals[event.event_id] for event in events])
    watchman = village.watchman()
    watchman.step(day(BROKEN))
    assert watchman.holds == ()
    watchman.step(day(BROKEN + 2))
    assert watchman.holds
    assert all(alarm.pages and alarm.blocks_training for alarm in watchman.holds)


def test_a_type_that_falls_silent_is_named_at_once_with_its_true_size(tmp_path: Path) -> None:
    watchman = watched(tmp_path, broken(FAULTS["a type that is not sent any more"]), until=BROKEN + 1)
    alarm = watchman.holds[0]
    assert (alarm.column, alarm.statistic) == ("buy events", Statistic.VOLUME)
    assert "the number of `buy events` per window fell from 2" in alarm.sentence(watchman.named)
    assert alarm.size.after < 1
    assert watchman.named(alarm.since.first) == "2023-12-19"


def test_a_declared_day_may_be_silent(tmp_path: Path) -> None:
    village = Village(tmp_path, [event for event in EVENTS if not day(BROKEN) <= event.time < day(BROKEN + 1)])
    village.settings = msgspec.structs.replace(village.settings, monitoring=Monitoring(known_days=["2023-12-19"]))
    watchman = village.watchman()
    watchman.step(day(BEGUN))
    watchman.step(day(38))
    assert watchman.holds == ()


def test_a_season_is_told_and_does_not_hold_until_it_has_grown_to_a_fault() -> None:
    size = Size(shift=0.1, low=0.05, high=0.15, before=0.01, after=0.02, after_low=0.01, after_high=0.03)
    told = Alarm(9, "buy.user", Statistic.UNSEEN, Stream.QUALITY, size, Span(8, 8, 9), 20.0, Severity.P1, Harm.UNKNOWN)
    assert (weighed(told).severity, weighed(told).blocks_training) == (Severity.P3, False)
    grown = msgspec.structs.replace(told, size=msgspec.structs.replace(size, shift=0.3))
    assert (weighed(grown).severity, weighed(grown).blocks_training) == (Severity.P1, True)
    feature = msgspec.structs.replace(grown, column="served.item_age.first_seen", statistic=Statistic.OUT_OF_RANGE)
    assert (weighed(feature, importance=0.2).severity, weighed(feature).severity) == (Severity.P2, Severity.P3)
    outcome = msgspec.structs.replace(told, stream=Stream.OUTCOME)
    assert weighed(outcome) == outcome


def test_a_shift_has_subsided_when_it_is_no_fault_and_not_for_certain_near_one() -> None:
    def size(shift: float, half: float) -> Size:
        return Size(shift=shift, low=shift - half, high=shift + half, before=0.0, after=0.0, after_low=0.0, after_high=0.0)

    assert all(subsided(size(sign * 0.15, 0.1), 0.2) for sign in (-1, 1))  # chance
    assert not any(subsided(size(sign * 0.15, 0.02), 0.2) for sign in (-1, 1))  # near a fault
    assert not any(subsided(size(sign * 0.25, 9.0), 0.2) for sign in (-1, 1))  # a fault, however little is known
    assert not subsided(size(float("nan"), float("nan")), 0.2)


def test_a_watchman_killed_between_any_two_windows_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    events = broken(FAULTS["users and items swapped"])
    whole = watched(tmp_path / "whole", events)
    village = Village(tmp_path / "killed", events)
    for at in range(BEGUN, 39):
        village.watchman().step(day(at))
    assert (village.folder / "watchman.msgpack").read_bytes() == (whole.folder / "watchman.msgpack").read_bytes()


def test_a_step_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    watchman = watched(tmp_path, EVENTS)
    assert watchman.step(day(38)) == []
    assert watchman.step(day(37)) == []
    assert watchman.state.next == day(38) // DAY_US


@pytest.mark.parametrize("ahead", [3, 90])
def test_a_clock_that_ran_ahead_and_came_back_blinds_nobody(tmp_path: Path, ahead: int) -> None:
    events = broken(FAULTS["a type that is not sent any more"])
    village = Village(tmp_path, [event for event in events if event.time < day(32)])
    watchman = village.watchman()
    watchman.step(day(BEGUN))
    watchman.step(day(32 + ahead))
    watchman = village.watchman()
    assert watchman.step(day(32)) == []
    assert (watchman.state.next, watchman.holds) == (day(33) // DAY_US, ())
    late = [event for event in events if event.time >= day(32)]
    village.log.append(Kind.EVENTS, late, [event.time for event in late])
    assert {judged.window for judged in watchman.step(day(BROKEN))} == {day(33) // DAY_US}
    assert watchman.holds == ()
    watchman.step(day(BROKEN + 2))
    assert "buy events" in {alarm.column for alarm in watchman.holds}


def test_a_reference_of_windows_that_a_clock_ran_ahead_to_is_given_up(tmp_path: Path) -> None:
    village = Village(tmp_path, EVENTS)
    watchman = village.watchman()
    watchman.step(day(38))
    watchman.step(day(26))
    assert (watchman.watches, watchman.state.next) == ({}, day(27) // DAY_US)
    watchman.step(day(38))
    assert {name: watch.restarts for name, watch in watchman.watches.items()} == {"view": 1, "buy": 1}
    assert watchman.holds == ()


def test_an_acknowledged_fault_that_was_mended_is_forgotten_and_one_that_was_not_rings_again(tmp_path: Path) -> None:
    mended = [e for e in EVENTS if e.type == "view" or not day(BROKEN) <= e.time < day(BROKEN + 1)]
    for name, events, rings in (("mended", mended, False), ("broken", broken(FAULTS["a type that is not sent any more"]), True)):
        watchman = watched(tmp_path / name, events, until=BROKEN + 1)
        assert watchman.acknowledge("ada", "the app was mended") == 1
        assert watchman.holds == ()
        watchman.step(day(38))
        assert bool(watchman.holds) == rings
        assert watchman.state.alarms[0].acknowledged_by == "ada"


def test_a_fault_is_over_after_two_windows_as_usual_without_anybodys_word(tmp_path: Path) -> None:
    mended = [e for e in EVENTS if e.type == "view" or not day(BROKEN) <= e.time < day(BROKEN + 1)]
    for name, windows, over in (("by itself", 2, 3), ("a person", 0, None)):
        village = Village(tmp_path / name, mended)
        village.settings = msgspec.structs.replace(village.settings, monitoring=Monitoring(mended_after=windows))
        watchman = village.watchman()
        watchman.step(day(BEGUN))
        held = [bool(watchman.step(day(BROKEN + n)) and watchman.holds) for n in range(1, 5)]
        assert held == [n < over if over else True for n in range(1, 5)]
        word = ("vernal", "As usual again for 2 windows.") if over else ("", "")
        assert [(raised.acknowledged_by, raised.note) for raised in watchman.state.alarms] == [word]
        assert watchman.watches["buy"].restarts == (1 if over else 0)


def test_a_fault_that_goes_on_is_never_over(tmp_path: Path) -> None:
    for name in ("a type that is not sent any more", "users and items swapped"):
        watchman = watched(tmp_path / name, broken(FAULTS[name]))
        assert watchman.holds
        assert "vernal" not in {raised.acknowledged_by for raised in watchman.state.alarms}


def test_goods_of_a_new_kind_are_no_fault_and_old_goods_of_a_new_kind_are(tmp_path: Path) -> None:
    def renamed(item: Item, kind: str, name: str) -> Item:
        return msgspec.structs.replace(item, item=name, attributes={attribute: [kind] for attribute in item.attributes})

    for case, prefix, strange in (("new goods", "new-", False), ("relabelled", "", True)):
        village = Village(tmp_path / case, [e for e in EVENTS if e.time < day(BROKEN)])
        goods = [renamed(item, "unheard of", prefix + item.item) for item in ITEMS[::2]]
        village.log.append(Kind.ITEMS, goods, [day(BROKEN)] * len(goods))
        names = {item.item for item in ITEMS[::2]}
        events = [msgspec.structs.replace(e, item=prefix + e.item) if e.item in names else e for e in EVENTS if e.time >= day(BROKEN)]
        village.log.append(Kind.EVENTS, events, [event.time for event in events])
        watchman = village.watchman()
        watchman.step(day(BEGUN))
        watchman.step(day(38))
        columns = {raised.alarm.column for raised in watchman.state.alarms if raised.alarm.statistic == Statistic.UNSEEN}
        assert bool(columns & {f"{kind}.{name}" for kind in ("view", "buy") for name in village.settings.items.attributes}) == strange


def test_a_young_shop_is_judged_with_a_caveat_first_and_with_the_promise_after_three_weeks(tmp_path: Path) -> None:
    watchman = Village(tmp_path, EVENTS).watchman()
    assert watchman.step(day(5)) == []
    watchman.step(day(9))
    assert all(watch.caveat() for watch in watchman.watches.values())
    watchman.step(day(38))
    assert not any(watch.caveat() for watch in watchman.watches.values())
    assert watchman.holds == ()


def test_the_share_of_events_on_items_the_release_never_saw(tmp_path: Path) -> None:
    late = broken(lambda e: msgspec.structs.replace(e, item="new-" + e.item) if e.type == "buy" else e)
    village = Village(tmp_path, late)
    watchman = village.watchman()
    assert watchman.unknown_share(day(BROKEN)) == 0.0
    until = next(k for k, event in enumerate(late) if event.time >= day(BROKEN)) + len(ITEMS)
    lineage = Lineage(log_from=1, log_to=until, as_of=day(BROKEN), config="", plan="", code="", seed=0)
    village.releases.promote(village.releases.commit(village.releases.draft(), lineage, {}).name, "trained")
    assert watchman.unknown_share(day(BROKEN + 1)) == pytest.approx(0.5, abs=0.1)


def test_other_columns_begin_anew_and_what_was_spent_stays_spent(tmp_path: Path) -> None:
    village = Village(tmp_path, broken(FAULTS["a type that is not sent any more"]))
    watchman = village.watchman()
    watchman.step(day(BEGUN))
    watchman.step(day(BROKEN + 1))
    assert watchman.holds
    village.settings = msgspec.structs.replace(village.settings, items=msgspec.structs.replace(village.settings.items, attributes=[]))
    anew = village.watchman()
    assert anew.holds == ()
    anew.step(day(BROKEN + 1))
    assert {watch.restarts for watch in anew.watches.values()} == {1}
    assert [raised.acknowledged_by for raised in anew.state.alarms] == ["a change of settings"] * len(watchman.state.alarms)


def test_windows_may_be_hours_and_are_named_so(tmp_path: Path) -> None:
    village = Village(tmp_path, EVENTS)
    village.settings = msgspec.structs.replace(village.settings, monitoring=Monitoring(window="6h", reference="10d"))
    watchman = village.watchman()
    watchman.step(day(BEGUN))
    assert len(watchman.watches["buy"].reference.numbers) == 40
    assert len(watchman.step(day(BEGUN + 1))) == 8
    assert watchman.named(watchman.state.next) == "2023-12-16 00:00Z"


def test_a_data_set_that_ended_long_ago_is_no_shop_that_fell_silent(tmp_path: Path) -> None:
    watchman = Village(tmp_path, EVENTS).watchman()
    watchman.step(day(400))
    assert watchman.holds == ()
    assert watchman.watches["buy"].reference.last == day(36) // DAY_US


def test_a_quarter_of_the_clocks_being_late_is_told_by_its_tail(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    lag, late = draw.exponential(60.0, len(EVENTS)), draw.random(len(EVENTS)) < 0.25
    events = [
        msgspec.structs.replace(e, time=e.time - round((wait + 400 * (slow and e.time >= day(BROKEN))) * US_PER_S))
        for e, wait, slow in zip(EVENTS, lag.tolist(), late.tolist(), strict=True)
    ]
    village = Village(tmp_path, EVENTS[:1])
    village.log = MemoryLog(village.clock)
    village.log.append(Kind.ITEMS, ITEMS, [0] * len(ITEMS))
    village.log.append(Kind.EVENTS, events, [event.time for event in EVENTS])
    watchman = village.watchman()
    watchman.step(day(BROKEN))
    assert watchman.holds == ()
    watchman.step(day(BROKEN + 2))
    assert {alarm.column for alarm in watchman.holds} & {"view.lag", "buy.lag"}
