"""The simulated world: the same for the same seed, true to what it says of itself, wrong only where it is told to be."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.replay.nature import Memory, expected_clicks, look
from vernal.replay.simulator import What
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.simulator import Arrival, Asked, Habits, Scale, Trouble, World
from vernal.testing.tiny import tiny_world

SCALE = Scale(people=60, items=50, categories=4, days=20)
DAY_US = DAY_S * US_PER_S
FAMILIES = st.sampled_from(["cascade", "position"])
seeds = st.integers(0, 2**31)


def slates(world: World, asked: Asked, k: int, seed: int = 0) -> np.ndarray:
    """Items that are there, each once a slate."""
    draw = np.random.default_rng(seed)
    there = [np.flatnonzero(world.nature.born <= at // US_PER_S) for at in asked.at]
    return np.array([draw.permutation(items)[:k] for items in there], np.int32)


def life(world: World, days: int = 10, a_day: int = 40) -> tuple[np.ndarray, list[Arrival]]:
    """Requests answered at random, and visits; returns the clicks and what arrived."""
    clicks = []
    for day in range(days):
        begin = world.begin + day * DAY_US
        asked = world.requests(begin, begin + DAY_US, a_day)
        clicks.append(world.look(asked, slates(world, asked, 6, day), [f"r{day}-{row}" for row in range(a_day)]))
        world.visits(begin, begin + DAY_US, a_day)
    return np.concatenate(clicks), world.events(world.begin + 400 * DAY_US)


@settings(max_examples=10, deadline=None)
@given(seeds, FAMILIES)
def test_the_same_seed_gives_the_same_life(seed: int, family: str) -> None:
    one, two = (life(World(SCALE, Habits(family=family), seed=seed)) for _ in range(2))
    assert (one[0] == two[0]).all()
    assert one[1] == two[1]


@settings(max_examples=15, deadline=None)
@given(seeds, FAMILIES)
def test_who_answers_first_changes_nothing_for_the_others(seed: int, family: str) -> None:
    habits = Habits(family=family, base=-2.0)
    one, two = World(SCALE, habits, seed=seed), World(SCALE, habits, seed=seed)
    asked = one.requests(one.begin, one.begin + DAY_US, 40)
    order = np.argsort(asked.user, kind="stable")
    shown, names = slates(one, asked, 6), np.array([f"r{row}" for row in range(40)])
    clicked = one.look(asked, shown, names.tolist())
    assert (two.look(Asked(asked.user[order], asked.at[order]), shown[order], names[order].tolist()) == clicked[order]).all()


@settings(max_examples=6, deadline=None)
@given(seeds, FAMILIES)
def test_what_is_expected_of_a_slate_is_the_mean_of_what_happens(seed: int, family: str) -> None:
    world = World(SCALE, Habits(family=family, base=-1.5), seed=seed)
    asked = world.requests(world.begin, world.begin + DAY_US, 1)
    shown, n = slates(world, asked, 8), 4_000
    draws = np.random.default_rng(seed).random((n, 1, 8, 2), np.float32)
    counts = np.empty(n)
    for run in range(n):
        clicked = np.zeros((1, 8), np.uint8)
        look(world.nature, Memory.of(60), family == "cascade", asked.user, asked.at // US_PER_S, world.day(asked.at), shown, draws[run], clicked)
        counts[run] = clicked.sum()
    assert abs(counts.mean() - world.expected(asked, shown)[0]) < 5 * counts.std() / np.sqrt(n) + 1e-9


@settings(max_examples=15, deadline=None)
@given(seeds, FAMILIES)
def test_no_slate_is_better_than_the_best(seed: int, family: str) -> None:
    world = World(SCALE, Habits(family=family), seed=seed)
    life(world, days=3)
    asked = world.requests(world.begin + 3 * DAY_US, world.begin + 4 * DAY_US, 20)
    best = np.array([world.best(user, at, 6) for user, at in zip(*asked, strict=True)])
    assert (world.expected(asked, best) >= world.expected(asked, slates(world, asked, 6)) - 1e-12).all()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_nothing_happens_to_an_item_before_it_is_there(seed: int) -> None:
    world = World(SCALE, seed=seed)
    born = {item.item: item.time for item in world.catalogue(world.begin, world.begin + 400 * DAY_US)}
    assert len(born) == SCALE.items
    assert all(arrival.event.time >= born[arrival.event.item] for arrival in life(world)[1])


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_every_event_arrives_once_after_it_happened_or_never(seed: int) -> None:
    world = World(Scale(people=60, items=50, missing=0.2), seed=seed)
    clicks, arrived = life(world)
    assert len({arrival.event.event_id for arrival in arrived}) == len(arrived)
    assert all(arrival.at >= arrival.event.time for arrival in arrived)
    assert [arrival.at for arrival in arrived] == sorted(arrival.at for arrival in arrived)
    assert 0.7 < len(arrived) / (400 + clicks.sum()) < 0.9


def test_a_click_names_its_slate_and_place() -> None:
    world = World(Scale(people=60, items=50, missing=0), Habits(base=0.0), seed=3)
    asked = world.requests(world.begin, world.begin + DAY_US, 30)
    shown = slates(world, asked, 6)
    clicked = world.look(asked, shown, [str(row) for row in range(30)])
    events = [arrival.event for arrival in world.events(world.begin + 400 * DAY_US)]
    assert {(event.rec_id, event.position, event.item) for event in events} == {
        (str(row), place, world.names[shown[row, place]]) for row, place in np.argwhere(clicked).tolist()
    }


def test_showing_an_item_again_and_again_tires_until_days_have_passed() -> None:
    world = World(SCALE, seed=5)
    asked = Asked(np.zeros(1, np.int32), np.array([world.begin]))
    shown = np.array([[0, 1, 2]], np.int32)
    rested = world.expected(asked, shown)[0]
    for _ in range(5):
        world.look(asked, shown, ["r"])
    assert world.expected(asked, shown)[0] < 0.7 * rested
    empty, later = Memory.of(60), Asked(asked.user, asked.at + 30 * DAY_US)
    unshown = expected_clicks(world.nature, empty, False, later.user, later.at // US_PER_S, world.day(later.at), shown)[0]
    assert world.expected(later, shown)[0] == pytest.approx(unshown)


def test_tastes_drift() -> None:
    world = World(Scale(people=60, items=200, new_share=0), Habits(season=0, turn_days=60), seed=2)

    def liked(day: int) -> list[set[int]]:
        return [set(world.best(user, world.begin + day * DAY_US, 20).tolist()) for user in range(60)]

    kept = [np.mean([len(a & b) for a, b in zip(liked(0), liked(day), strict=True)]) for day in (1, 20, 60)]
    assert kept[0] > 18 > kept[1] > kept[2] + 2


def test_tastes_fitted_on_a_log_prefer_what_was_chosen() -> None:
    _, history, catalogue = tiny_world(n_events=300, n_users=20, n_items=30)
    world = World(habits=Habits(family="affinity", habit=0.5, quality=0.0), seed=1, log=(history, catalogue))
    asked = Asked(history.user, np.full(len(history), world.begin))
    others = np.random.default_rng(0).integers(0, 30, (len(history), 1)).astype(np.int32)
    assert world.expected(asked, history.item[:, None].astype(np.int32)).mean() > 1.3 * world.expected(asked, others).mean()
    assert {item.item for item in world.catalogue(world.begin, world.begin + 1)} == set(catalogue.ids)


def troubled(what: What, size: float, begin_day: int = 4, end_day: int = 7) -> tuple[World, list[Arrival]]:
    begin = World(SCALE).begin // US_PER_S
    trouble = Trouble(what=what, begin=begin + begin_day * DAY_S, end=begin + end_day * DAY_S, size=size)
    world = World(SCALE, troubles=[trouble], seed=9)
    return world, life(world)[1]


def within(world: World, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """What happened while the trouble lasted."""
    return [a for a in arrivals if world.troubles[0].begin <= a.event.time // US_PER_S < world.troubles[0].end]


def test_an_outage_holds_events_back_and_loses_some() -> None:
    world, arrivals = troubled("outage", 0.5)
    end = world.troubles[0].end * US_PER_S
    assert not [a for a in arrivals if end - 3 * DAY_US + 3_600 * US_PER_S <= a.at < end]
    assert 0.3 < len(within(world, arrivals)) / len(within(world, troubled("outage", 0.0)[1])) < 0.7


def test_a_unit_change_multiplies_values_while_it_lasts() -> None:
    world, arrivals = troubled("unit-change", 1_000)
    inside = within(world, arrivals)
    assert all((a.event.value or 0) > 1_000 for a in inside)
    assert all((a.event.value or 0) < 1_000 for a in arrivals if a not in inside)


def test_a_popularity_shock_and_a_new_category_draw_people() -> None:
    for what in ("popularity-shock", "new-category"):
        world, arrivals = troubled(what, 4.0)
        lifted = set(np.array(world.names)[world.nature.lift[0] > 0])
        during = [a.event.item in lifted for a in within(world, arrivals)]
        before = [a.event.item in lifted for a in arrivals if a.event.time // US_PER_S < world.troubles[0].begin]
        assert np.mean(during) > 0.3 > 2 * np.mean(before)


def test_a_taste_shift_gives_people_the_taste_of_others() -> None:
    world, _ = troubled("taste-shift", 1.0)
    before, during = (world.begin + day * DAY_US for day in (3, 5))
    same = [len(set(world.best(user, before, 10).tolist()) & set(world.best(user, during, 10).tolist())) for user in range(60)]
    usual = [len(set(world.best(user, before, 10).tolist()) & set(world.best(user, before - 2 * DAY_US, 10).tolist())) for user in range(60)]
    assert np.mean(same) < 0.7 * np.mean(usual)


def test_bots_come_in_a_wave_and_late_labels_come_late() -> None:
    world, arrivals = troubled("bot-wave", 2.0)
    bots = [a for a in arrivals if a.event.user.startswith("bot-")]
    assert len(bots) > 100
    assert within(world, bots) == bots
    world, arrivals = troubled("label-delay", 1_000)
    late = np.array([a.at - a.event.time for a in within(world, arrivals)])
    assert np.median(late) > 50 * np.median([a.at - a.event.time for a in arrivals if a not in within(world, arrivals)])
