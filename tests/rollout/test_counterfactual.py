"""What another policy would have earned is said from logged answers made again, and what cannot be used is counted."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from vernal.config import Scenario
from vernal.errors import ConfigError, ReleaseError
from vernal.events.schema import Event, Item, Kind, Slate
from vernal.features.fold import user_state
from vernal.features.records import user_key
from vernal.features.stream import StreamWorker
from vernal.features.weights import hop
from vernal.ranking.ladder import Budget, Rung
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request
from vernal.rollout.counterfactual import Alternative, Found, considered, logged, unusable
from vernal.serving.answers import slate_record
from vernal.serving.traffic import HOLDOUT
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.memory import MemoryState
from vernal.testing.village import village_settings
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

SLATES = 260
DAY_US = DAY_S * US_PER_S
APART_US = 20 * 60 * US_PER_S  # by which a worker's clock is ahead, now and then
GOODS = {
    60: Item("bread-new", title="new bread", attributes={"kind": ["bread"]}),
    90: Item("cake-new", title="a kind of its own", attributes={"kind": ["cake"]}),
    120: Item("bread-0", title="out of stock", attributes={"kind": ["bread"]}, hidden=True),
    150: Item("bread-0", title="back, as wine", attributes={"kind": ["wine"]}),
    180: Item("cheese-1", deleted=True),
}


def scenario(temperature: float) -> Scenario:
    return Scenario(n=8, temperature=temperature, explore_head=20, explore_share=0.1 if temperature else 0.0)


class Answering:
    """A village whose slates are logged, with what is bought of them: the higher up, the likelier. Its goods come, change and go meanwhile."""

    def __init__(self, village, temperature: float) -> None:
        self.village, self.temperature = village, temperature
        village.settings = msgspec.structs.replace(village.settings, scenarios={"home": scenario(temperature)})
        self.release = train(village)[0].name
        self.begin = village.clock.now()
        state = MemoryState()
        worker = StreamWorker(village.log, state, village.data / "live", village.plan, village.settings, village.clock)
        recommender = Recommender(Parts.of(village.releases.open(self.release), village.plan), village.plan, village.settings)
        rng = np.random.default_rng(1)
        for number in range(SLATES):
            while worker.step():
                pass
            village.clock.advance(seconds=30)
            if number in GOODS:
                village.log.append(Kind.ITEMS, [GOODS[number]], [village.clock.now()])
                while worker.step():
                    pass
            slate = self.answered(recommender, worker, state, number)
            village.log.append(Kind.SLATES, [slate], [slate.time])
            bought = [item for place, item in enumerate(slate.items) if rng.random() < 0.4 / (1 + place)]
            events = [Event(f"b{number}-{item}", "buy", slate.user, item, slate.time + 1, rec_id=slate.rec_id) for item in bought]
            if events:
                village.log.append(Kind.EVENTS, events, [slate.time + 1] * len(events))
        worker.close()

    def answered(self, recommender, worker, state, number: int, best: Rung = Rung.FULL) -> Slate:
        now, request = self.village.clock.now() + APART_US * (number % 50 == 7), Request(user=f"person-{number % 40}")
        record, offset = state.get_with_offset(user_key(request.user))
        user = user_state(self.village.plan, record, hop(now), offset)
        ranked = recommender.recommend(request, user, worker.items.live, now, 77 * number, Budget(best=best))
        return slate_record(ranked, request, f"rec-{number}", now, 5)

    def event(self, name: str, rec_id: str, item: str, at: int) -> None:
        self.village.log.append(Kind.EVENTS, [Event(name, "buy", "person-1", item, at, rec_id=rec_id)], [at])

    def found(self, most: int = 2_000) -> Found:
        """After two more days, so that all rewards have had their time."""
        self.event("last", "", "bread-1", self.begin + 3 * DAY_US)
        return logged(self.village, self.begin, self.begin + 4 * DAY_US, most)


@pytest.fixture(scope="module")
def explored(villages: Callable) -> Answering:
    shop = Answering(villages(25, village_settings()), 1.0)
    first = shop.first = next(iter(shop.village.log.read(0, 10**6, frozenset({Kind.SLATES})))).records[0]
    shop.event("unknown", "no-such-slate", "bread-1", shop.begin + DAY_US // 2)
    shop.event("elsewhere", "rec-0", "nothing-shown", shop.begin + DAY_US // 2)
    shop.event("late", "rec-0", first.items[0], shop.begin + 2 * DAY_US)
    return shop


def test_what_answered_is_made_again_and_has_an_uplift_of_nothing(explored):
    found = explored.found()
    opinion = considered(explored.village, Alternative(), found, Snapshot.of(explored.village))
    assert opinion.overlap.shown == 8 * SLATES
    assert opinion.overlap.mean == pytest.approx(1, abs=0.05)
    assert opinion.says == "undecided", opinion.sentence
    assert abs(opinion.uplift["doubly robust"].value) < 0.05
    assert opinion.left_out == {"rewards of unknown slates": 1, "rewards of items not shown": 1, "rewards that came too late": 1}


def test_slates_that_a_change_of_settings_keeps_from_being_made_again_are_left_out_by_that_name(explored):
    village, found = explored.village, explored.found(150)
    kept = village.settings
    try:
        village.settings = msgspec.structs.replace(kept, retrieval=msgspec.structs.replace(kept.retrieval, candidates=20))
        opinion = considered(village, Alternative(), found, Snapshot.of(village))
    finally:
        village.settings = kept
    assert opinion.left_out["answered under settings that were changed since"] + opinion.overlap.shown == 8 * 150
    assert opinion.overlap.shown < 8 * 150


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"arm": HOLDOUT, "rung": "trending"}, "the holdout's list"),
        ({"teams": bytes(8)}, "drafted from two rankings"),
        ({"rung": "retrieval"}, "answered below the ranked rungs"),
        ({"propensities": b""}, "propensity missing"),
        ({"propensities": np.full(8, 1.5, np.float32).tobytes()}, "propensity above 1"),
        ({"propensities": np.full(8, np.nan, np.float32).tobytes()}, "propensity not above 0"),
        ({"propensities": np.zeros(8, np.float32).tobytes()}, "propensity not above 0"),
        ({"request": b'{"q": "bread"}'}, "items found by a search"),
    ],
)
def test_slates_of_which_nothing_can_be_learned_are_left_out_by_name(explored, change, why):
    assert unusable(explored.first) == ""
    assert unusable(msgspec.structs.replace(explored.first, **change)) == why


def test_a_little_less_chance_is_weighed_and_all_of_it_gone_cannot_be_said(explored):
    found, snapshot = explored.found(150), Snapshot.of(explored.village)
    less = considered(explored.village, Alternative.of("scenarios.home.temperature=0.9", explored.village.releases), found, snapshot)
    none = considered(explored.village, Alternative(explored.release, {"scenarios.home.temperature": 0.0}), found, snapshot)
    assert 0.8 * 8 * 150 < less.overlap.effective < less.overlap.shown
    assert less.overlap.mean == pytest.approx(1, abs=0.2)
    assert none.says == "cannot say"


def test_what_nobody_left_to_chance_says_nothing_of_anything_else(villages):
    shop = Answering(villages(25, village_settings()), 0.0)
    found = shop.found(60)
    opinion = considered(shop.village, Alternative(settings={"scenarios.home.temperature": 1.0}), found, Snapshot.of(shop.village))
    assert not found.explored
    assert opinion.says == "cannot say"
    assert "was never going to be shown" in opinion.sentence


def test_settings_and_releases_that_do_not_exist_are_errors(explored):
    with pytest.raises(ReleaseError):
        Alternative.of("r9999", explored.village.releases)
    with pytest.raises(ConfigError, match="temperatur"):
        considered(explored.village, Alternative.of("scenarios.home.temperatur=1", explored.village.releases), Found([], {}), Snapshot.of(explored.village))
