"""What another policy would have earned is said from logged answers made again, and what cannot be used is counted."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from vernal.config import Scenario
from vernal.errors import ConfigError, ReleaseError
from vernal.events.schema import Event, Kind, Slate
from vernal.features.fold import user_state
from vernal.features.records import user_key
from vernal.features.stream import StreamWorker
from vernal.features.weights import hop
from vernal.ranking.ladder import Budget, Rung
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request
from vernal.rollout.counterfactual import Alternative, Found, considered, logged
from vernal.serving.answers import slate_record
from vernal.terms import DAY_S, US_PER_S
from vernal.testing.memory import MemoryState
from vernal.testing.village import village_settings
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

SLATES = 260
DAY_US = DAY_S * US_PER_S


class Answering:
    """A village whose slates are logged, with what is bought of them: the higher up, the likelier."""

    def __init__(self, village, temperature: float) -> None:
        self.village, self.temperature = village, temperature
        village.settings = msgspec.structs.replace(village.settings, scenarios={"home": Scenario(n=8, temperature=temperature, explore_head=20)})
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
            slate = self.answered(recommender, worker, state, number)
            village.log.append(Kind.SLATES, [slate], [slate.time])
            bought = [item for place, item in enumerate(slate.items) if rng.random() < 0.4 / (1 + place)]
            events = [Event(f"b{number}-{item}", "buy", slate.user, item, slate.time + 1, rec_id=slate.rec_id) for item in bought]
            if events:
                village.log.append(Kind.EVENTS, events, [slate.time + 1] * len(events))
        worker.close()

    def answered(self, recommender, worker, state, number: int, best: Rung = Rung.FULL) -> Slate:
        now, request = self.village.clock.now(), Request(user=f"person-{number % 40}")
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
    first = next(iter(shop.village.log.read(0, 10**6, frozenset({Kind.SLATES})))).records[0]
    shop.event("unknown", "no-such-slate", "bread-1", shop.begin + DAY_US // 2)
    shop.event("elsewhere", "rec-0", "nothing-shown", shop.begin + DAY_US // 2)
    shop.event("late", "rec-0", first.items[0], shop.begin + 2 * DAY_US)
    return shop


def test_what_answered_is_made_again_and_has_an_uplift_of_nothing(explored):
    found = explored.found()
    opinion = considered(explored.village, Alternative(), found, Snapshot.of(explored.village))
    assert opinion.overlap.shown + opinion.left_out.pop("not made again as they were", 0) == 8 * SLATES
    assert opinion.overlap.shown > 0.8 * 8 * SLATES
    assert opinion.overlap.mean == pytest.approx(1, abs=0.05)
    assert opinion.says == "undecided", opinion.sentence
    assert abs(opinion.uplift["doubly robust"].value) < 0.05
    assert opinion.left_out == {"rewards of unknown slates": 1, "rewards of items not shown": 1, "rewards that came too late": 1}


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
