"""What a drill is made of: its world, its shop's past, its words and its picture."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest
from numpy.testing import assert_array_equal

from vernal.cli.drill import told
from vernal.cli.drilling import CLOCK, drilled
from vernal.clock import SharedClock
from vernal.monitoring.alarms import Action
from vernal.replay.drillpicture import picture
from vernal.replay.drills import CALM, DRILLS, Course, Day, Drilled, begin_of, beside, done_since, lived, relative, toml_of, world_of
from vernal.replay.simulator import START_S
from vernal.terms import DAY_S, US_PER_S


def day(number: int, ctr: float, best: float = 0.1) -> Day:
    return Day(number, 400, ctr, 0.02, best)


def went(**about: object) -> Drilled:
    days = [day(number, 0.05) for number in range(13)]
    plain = Drilled(
        "outage", "no events", Course(), 86_400.0, "Since then <nothing> came", ["trained (old): promoted"], 200, 0, 0.5, 0.4, 0.5, 0.5, True, False, days
    )
    return msgspec.structs.replace(plain, **about)


@pytest.mark.parametrize("name", DRILLS)
def test_the_trouble_of_a_drill_begins_after_the_calm_days_and_is_all_that_goes_wrong(name: str) -> None:
    drill, world = DRILLS[name], world_of(DRILLS[name], seed=1)
    assert begin_of(drill) * US_PER_S == world.begin + (drill.course.before + drill.course.calm) * DAY_S * US_PER_S
    assert len(world.troubles) + (drill.release is not None) == (name != CALM)
    assert all((trouble.end - trouble.begin > drill.course.trouble * DAY_S) == drill.lasts for trouble in world.troubles)


@pytest.mark.parametrize("name", [name for name in DRILLS if DRILLS[name].lasts])
def test_the_twin_of_what_lasts_has_the_same_people_and_luck_and_in_the_end_the_same_likings(name: str) -> None:
    world, twin = world_of(DRILLS[name], seed=1), world_of(DRILLS[name], seed=1, always=True)
    assert [trouble.begin for trouble in twin.troubles] == [START_S]
    end = world.begin + (world.scale.days - 1) * DAY_S * US_PER_S
    for user in range(5):
        assert_array_equal(world.best(user, end, 10), twin.best(user, end, 10))
    begin = world.begin + DAY_S * US_PER_S
    assert any((world.best(user, begin, 10) != twin.best(user, begin, 10)).any() for user in range(20))
    asked, again = (each.requests(end, end + DAY_S * US_PER_S, 50) for each in (world, twin))
    assert_array_equal(asked.user, again.user)
    assert_array_equal(asked.at, again.at)


def test_what_lasts_has_recovered_when_it_is_as_good_as_where_it_was_always_so() -> None:
    found = went(before=0.7, after=0.55, recovered=False)
    assert beside(found, went(after=0.6)).recovered
    assert beside(found, went(after=0.6)).yardstick == 0.6
    assert not beside(found, went(after=0.62)).recovered
    assert not beside(went(after=0.55, failed=1), went(after=0.6)).recovered


def test_a_shop_has_lived_through_whole_days_before_its_server_begins(tmp_path: Path) -> None:
    file = tmp_path / "vernal.toml"
    file.write_text(toml_of(DRILLS["outage"]))
    world, course = world_of(DRILLS["outage"], seed=1), DRILLS["outage"].course
    with drilled(file, world.begin) as workspace:
        lived(workspace, SharedClock(tmp_path / CLOCK), world, course)
        assert workspace.clock.now() == world.begin + course.before * DAY_S * US_PER_S
        history = workspace.history()
        assert len(history) > 250 * course.before
        assert (history.received_at >= history.time).all()


def test_clicks_are_told_as_a_share_of_what_the_best_slates_would_have_had() -> None:
    assert relative([day(0, 0.05), day(1, 0.02, best=0.04)]) == pytest.approx(0.07 / 0.14)


def test_only_what_held_training_is_told_as_no_longer_held() -> None:
    training = {"at": "2024-01-08T00:00:00Z", "reason": "old", "outcome": "promoted"}
    alarms = [{"acknowledged": f"vernal: {action.name}", "action": str(action)} for action in Action] + [{"acknowledged": "", "action": str(Action.HOLD)}]
    done = list(done_since({"trainings": [training], "holds": ["data is broken"]}, {"alarms": alarms}, 0))
    assert done == ["trained (old): promoted", "no longer held, vernal: HOLD", "held: data is broken"]


def test_a_drill_that_nobody_noticed_says_so() -> None:
    text = told([went(noticed_after_s=None, noticed="", recovered=False)])
    assert "never" in text
    assert "Nobody noticed." in text


def test_the_picture_is_well_formed_and_marks_the_moment_it_was_noticed() -> None:
    root = ElementTree.fromstring(picture([went(), went(name="bot-wave", noticed_after_s=None)]))
    lines = [line for line in root.iter() if line.get("class") == "noticed"]
    assert len(lines) == 1
    assert "Since then <nothing> came" in "".join(lines[0].itertext())
