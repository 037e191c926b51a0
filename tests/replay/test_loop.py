"""The loop over the past: every policy does what its shop would have done, sees nothing that comes later, and the story is the same every time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Rollout, Settings
from vernal.errors import RequestError, TrainingError
from vernal.events.schema import Event, Kind
from vernal.replay.loop import CADENCES, FRESH, Course, Happening, Machine, Story, Unit, by_week, course, outcome, replayed, rollout_of, thrifty
from vernal.replay.picture import picture
from vernal.replay.space import Past
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.village import START_US, village_events, village_items, village_settings

DAY_US = DAY_S * US_PER_S
DAYS, EVERY_S = 24, 3 * DAY_S
BEGIN, END = START_US + 12 * DAY_US, START_US + DAYS * DAY_US
EVENTS = village_events(village_items(), days=DAYS, per_day=40)


def small() -> Settings:
    """Trains in a tenth of a second: no ranker, one window."""
    settings = village_settings(ranker=False)
    training = msgspec.structs.replace(settings.training, windows=1, requests=100, evaluate_requests=60)
    return msgspec.structs.replace(settings, training=training, rollout=Rollout(regret_window="6d", tolerance="3d"))


def past_of(folder: Path, events: Sequence[Event] = EVENTS) -> Past:
    workspace = Workspace(folder, small(), ManualClock(END))
    items = village_items()
    workspace.log.append(Kind.ITEMS, items, [START_US] * len(items))
    workspace.log.append(Kind.EVENTS, events, [event.time for event in events])
    return Past(workspace)


def run(past: Past, folder: Path, policies: Sequence[str] = tuple(CADENCES)) -> Story:
    return replayed(past, Course(BEGIN, END, EVERY_S, tuple(policies)), folder, small())[0]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    made = past_of(tmp_path_factory.mktemp("village"))
    yield made
    made.space.log.close()


@pytest.fixture(scope="module")
def story(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return run(past, tmp_path_factory.mktemp("replay"))


def trained_at(story: Story, policy: str) -> list[int]:
    return [each.at for each in story.happenings if (each.policy, each.what) == (policy, "training")]


def test_equal_runs_give_equal_bytes(past: Past, story: Story, tmp_path: Path) -> None:
    again = run(past, tmp_path)
    assert msgspec.json.encode(again) == msgspec.json.encode(story)
    assert picture(again) == picture(story)


def test_every_policy_trains_at_its_own_cadence(story: Story) -> None:
    looks = [unit.begin for unit in story.units]
    assert trained_at(story, "frozen") == looks[:1]
    assert trained_at(story, "monthly") == looks[:1]
    assert trained_at(story, "weekly") == looks[::2]  # six days are nearer to a week than nine
    assert trained_at(story, "vernal") == looks


def test_what_comes_later_changes_nothing_before(story: Story, tmp_path: Path) -> None:
    cut = BEGIN + 2 * EVERY_S * US_PER_S
    others = village_events(village_items(), days=DAYS, per_day=40, seed=7)
    mixed = [event for event in EVENTS if event.time < cut] + [event for event in others if event.time >= cut]
    past = past_of(tmp_path / "village", mixed)
    other = run(past, tmp_path / "replay")
    past.space.log.close()
    assert other.units[:2] == story.units[:2]
    assert [each for each in other.happenings if each.at <= cut] == [each for each in story.happenings if each.at <= cut]
    assert other.units[3] != story.units[3]


def test_a_policy_that_trains_at_every_look_is_as_good_as_always_fresh(story: Story) -> None:
    assert np.array_equal(story.series("vernal"), story.series(FRESH))
    assert not np.array_equal(story.series("frozen"), story.series(FRESH))


def test_one_moment_is_trained_once_however_many_policies_ask(past: Past, tmp_path: Path) -> None:
    machine = Machine(past, Course(BEGIN, END, EVERY_S, tuple(CADENCES)), tmp_path, small())
    machine.step(BEGIN)
    assert len(machine.trainings.cpu_s) == 1
    champions = [shop.space.releases.open(shop.space.releases.champion() or "") for shop in machine.shops]
    assert len({tuple(sorted(release.manifest.files.items())) for release in champions}) == 1


def test_releases_that_nobody_needs_are_let_go(past: Past, tmp_path: Path) -> None:
    machine = Machine(past, Course(BEGIN, END, EVERY_S, ("frozen", "vernal")), tmp_path, small())
    for moment in machine.course.looks:
        machine.step(moment)
    assert len(machine.trainings.space.releases.names()) == 1


def test_the_age_of_what_is_in_charge_is_counted(story: Story) -> None:
    by_policy = {found.policy: found for found in story.outcomes}
    assert by_policy["vernal"].age_breaches == 0
    assert by_policy["frozen"].age_breaches == len(story.units) - 2  # the limit is two looks


def told(fresh: Sequence[float], ours: Sequence[float]) -> Story:
    """A story with one policy and a unit a day."""
    units = [
        Unit(begin=k * DAY_US, end=(k + 1) * DAY_US, cases=10, quality={FRESH: f, "frozen": o}, age_s={"frozen": k * DAY_S}, unknown_share={"frozen": 0.01 * k})
        for k, (f, o) in enumerate(zip(fresh, ours, strict=True))
    ]
    promoted = Happening(at=0, policy="frozen", what="promotion", release="r", reason="")
    return Story(
        begin=0, end=len(units) * DAY_US, every_s=DAY_S, metric="recall@20", delta=0.05, regret_window_s=2 * DAY_S, tolerance_s=3 * DAY_S,
        policies=["frozen"], units=units, happenings=[promoted], outcomes=[],
    )  # fmt: skip


def test_an_incident_is_too_much_regret_for_too_long() -> None:
    stale = told([1.0] * 12, [1.0, 1.0, 0.8, 0.8, 0.8, 0.8, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0])
    found = outcome(stale, "frozen", (5 * DAY_S, 0.085))
    assert found.incidents == [(2 * DAY_US, 8 * DAY_US)]
    assert (found.age_breaches, found.unknown_breaches, found.promotions) == (6, 3, 1)
    short = told([1.0] * 12, [1.0, 1.0, 0.8, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert outcome(short, "frozen", (5 * DAY_S, 0.085)).incidents == []


@given(pairs=st.lists(st.tuples(st.floats(0.1, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=40))
def test_no_week_is_better_than_the_worst(pairs: list[tuple[float, float]]) -> None:
    story = told(*zip(*pairs, strict=True))
    found = outcome(story, "frozen", (1, 1.0))
    weeks = [sum(u.quality["frozen"] for u in week) / sum(u.quality[FRESH] for u in week) - 1 for week in by_week(story)]
    assert found.worst_week == pytest.approx(min(weeks), abs=1e-6)
    assert found.worst_week - 1e-6 <= found.against_fresh <= max(weeks) + 1e-6


def test_looks_are_whole_steps_and_begin_once_there_is_history(past: Past) -> None:
    first, last = past.stretch
    made = course(past, every="5d")
    assert made.begin == first + (last - first) // 3
    assert [b - a for a, b in zip(made.looks, made.looks[1:], strict=False)] == [5 * DAY_US] * (len(made.looks) - 1)
    assert made.looks[-1] + 5 * DAY_US <= last


def test_what_cannot_be_replayed_is_said(past: Past) -> None:
    with pytest.raises(RequestError, match="weekly"):
        course(past, policies=["weekli"])
    with pytest.raises(RequestError, match="--every"):
        course(past, every="365d")


def test_an_empty_log_has_no_past(tmp_path: Path) -> None:
    past = past_of(tmp_path, [])
    with pytest.raises(TrainingError, match="import more history"):
        course(past)
    past.space.log.close()


@given(every_d=st.integers(1, 60))
def test_the_policy_of_the_settings_is_never_finer_than_the_looks(every_d: int) -> None:
    made = rollout_of("vernal", Rollout(), every_d * DAY_S)
    assert every_d / 2 <= float(made.cadence[:-1]) <= every_d
    assert float(made.max_age[:-1]) > every_d


def test_thrift_never_adds_work() -> None:
    given_, made = small().training, thrifty(small()).training
    assert all(getattr(made, name) <= getattr(given_, name) for name in ("budget_s", "windows", "requests", "trees", "evaluate_requests"))


def test_the_picture_shows_every_policy_and_is_sound_xml(story: Story) -> None:
    root = ElementTree.fromstring(picture(story))
    curves = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert len(curves) == 2 * len(CADENCES) + 1
    dots = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(dots) == len([each for each in story.happenings if each.what == "training"]) + 2  # and two in the key
