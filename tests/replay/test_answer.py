"""A past answer is made again byte for byte, whatever came after it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Scenario, Settings
from vernal.errors import RequestError, StateError
from vernal.events.schema import Event, Item, Kind, Slate
from vernal.features.fold import user_state
from vernal.features.records import user_key
from vernal.features.stream import StreamWorker
from vernal.features.weights import hop
from vernal.ranking.ladder import Budget, Rung
from vernal.ranking.parts import Parts, finder_of
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request
from vernal.replay.answer import of_arm, replay
from vernal.replay.past import PastLog
from vernal.retrieval.lexical import Lexical
from vernal.retrieval.matching import TextFinder
from vernal.serving.answers import ORDINARY, Making, slate_record
from vernal.serving.texts import TextFold
from vernal.serving.traffic import HOLDOUT
from vernal.testing.memory import MemoryState
from vernal.testing.village import village_events, village_items, village_settings
from vernal.training.train import train


def settings() -> Settings:
    return msgspec.structs.replace(village_settings(), scenarios={"home": Scenario(temperature=0.7, explore_share=0.2)})


class Shop:
    """A village that answers and logs what it answered."""

    def __init__(self, folder: Path) -> None:
        self.all = village_events(items := village_items())
        self.clock = ManualClock(self.all[-1].time + 1)
        self.workspace = Workspace(folder, settings(), self.clock)
        self.workspace.log.append(Kind.ITEMS, items, [self.all[0].time] * len(items))
        self.workspace.log.append(Kind.EVENTS, self.all, [event.time for event in self.all])
        train(self.workspace)
        self.state = MemoryState()
        self.worker = StreamWorker(self.workspace.log, self.state, folder / "live", self.workspace.plan, self.workspace.settings, self.clock)
        self.fold()

    def fold(self) -> None:
        while self.worker.step():
            pass

    def finder(self, request: Request, release: str | None) -> TextFinder | None:
        """What finds texts, as serving has it."""
        if not request.q:
            return None
        space = self.workspace
        texts = TextFold(space.log, space.texts_dir, space.settings, self.worker.items.live.number)
        texts.finish(self.worker.items.offset, 60.0)
        texts.close()
        lexical = Lexical(space.texts_dir, space.settings)
        lexical.refresh()
        return finder_of(space.releases.open(release) if release else None, lexical, space.encoder)

    def answer(self, request: Request, rec_id: str, best: Rung = Rung.FULL, making: Making = ORDINARY) -> Slate:
        """Answers as serving does, logs the slate, folds it."""
        space, now = self.workspace, self.clock.now()
        name = space.releases.champion()
        parts = Parts.of(space.releases.open(name), space.plan) if name else Parts()
        record, offset = self.state.get_with_offset(user_key(request.user))
        user = user_state(space.plan, record, hop(now), offset)
        recommender = Recommender(parts, space.plan, space.settings, self.finder(request, name))
        if making.arm == HOLDOUT:
            recommender = recommender.impersonal()
        if making.settings:
            recommender = of_arm(space, recommender, making)
        ranked = recommender.recommend(request, user, self.worker.items.live, now, 1234567, Budget(best=best))
        slate = slate_record(ranked, request, rec_id, now, 77, making)
        space.log.append(Kind.SLATES, [slate])
        self.fold()
        return slate

    def buy(self, user: str, item: str, name: str) -> None:
        self.clock.advance(seconds=60)
        self.workspace.log.append(Kind.EVENTS, [Event(name, "buy", user, item, self.clock.now())])
        self.fold()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    opened = Shop(tmp_path)
    yield opened
    opened.worker.close()
    opened.workspace.close()


def test_an_answer_is_the_same_bytes_after_later_events_items_and_releases(shop: Shop) -> None:
    slate = shop.answer(Request(user="person-1", n=8, explain=True), "first")
    for number in range(30):
        shop.buy(f"person-{number % 5}", f"brand-new-{number % 7}", f"later-{number}")
    train(shop.workspace)
    shop.answer(Request(user="person-1"), "second")
    again = replay(shop.workspace, "first")
    assert again.differences == ()
    assert msgspec.msgpack.encode(again.again) == msgspec.msgpack.encode(slate)


def test_a_search_is_answered_again_from_the_catalogue_of_its_moment(shop: Shop) -> None:
    slate = shop.answer(Request(user="person-1", q="bread number 2", n=8, scenario="search"), "asked")
    assert slate.items
    later = [Item("bread-new", title="bread number 2 of a later day", attributes={"kind": ["bread"]})]
    shop.workspace.log.append(Kind.ITEMS, later, [shop.clock.now() + 1])
    shop.fold()
    again = replay(shop.workspace, "asked")
    assert again.differences == ()
    assert again.again.items == slate.items


def test_each_of_many_answers_between_events_is_the_same(shop: Shop) -> None:
    for number in range(6):
        shop.buy(f"person-{number}", f"bread-{3 * number}", f"buy-{number}")
        shop.answer(Request(user=f"person-{number}", n=5, filter={"kind": ["bread", "wine"]}), f"rec-{number}")
    assert [replay(shop.workspace, f"rec-{number}").differences for number in range(6)] == [()] * 6


@pytest.mark.parametrize("rung", [Rung.FAST, Rung.RETRIEVAL, Rung.SEGMENT, Rung.TRENDING, Rung.STATIC])
def test_an_answer_of_a_lower_rung_is_made_again_on_that_rung(shop: Shop, rung: Rung) -> None:
    shop.answer(Request(user="person-1"), "low", best=rung)
    again = replay(shop.workspace, "low")
    assert (again.again.rung, again.differences) == (str(rung), ())


def test_an_answer_of_the_holdout_is_made_again_for_a_feed_and_for_a_search(shop: Shop) -> None:
    feeds = [shop.answer(Request(user=f"person-{number}", n=5), f"feed-{number}", making=Making(HOLDOUT)) for number in range(3)]
    shop.answer(Request(user="person-1", q="bread number 2", scenario="search"), "asked", making=Making(HOLDOUT))
    assert {slate.rung for slate in feeds} == {Rung.TRENDING}
    assert [replay(shop.workspace, rec_id).differences for rec_id in ("feed-0", "feed-1", "feed-2", "asked")] == [()] * 4


def test_an_answer_under_the_settings_of_an_experiment_is_made_again_under_them(shop: Shop) -> None:
    making = Making("bold/much", '{"scenarios.home.temperature":5.0}', failed=1)
    slate, plain = shop.answer(Request(user="person-1"), "tried", making=making), shop.answer(Request(user="person-1"), "plain")
    assert slate.items != plain.items
    assert replay(shop.workspace, "tried").differences == ()


def test_an_interleaved_answer_is_made_again_with_whose_each_place_is(shop: Shop) -> None:
    first = shop.workspace.releases.champion()
    shop.buy("person-1", "bread-3", "later")
    train(shop.workspace)
    ways = [{"release": first, "settings": {}}, {"release": shop.workspace.releases.champion(), "settings": {"scenarios.home.diversity": 0.9}}]
    shop.workspace.releases.promote(first, "back")
    making = Making("mix/interleaved", msgspec.json.encode({"interleaved": ways}).decode())
    slate = shop.answer(Request(user="person-1", n=8, explain=True), "mixed", making=making)
    assert (len(slate.items), len(set(slate.items)), set(slate.teams)) == (8, 8, {0, 1})
    assert replay(shop.workspace, "mixed").differences == ()


def test_a_new_user_and_nobody_are_answered_again_too(shop: Shop) -> None:
    shop.answer(Request(user="never seen"), "new")
    shop.answer(Request(), "nobody")
    assert replay(shop.workspace, "new").same
    assert replay(shop.workspace, "nobody").same


def test_another_release_may_be_asked_what_it_would_have_said(shop: Shop) -> None:
    slate = shop.answer(Request(user="person-1"), "first")
    for number in range(40):
        shop.buy("person-1", "wine-2", f"later-{number}")
    other, _ = train(shop.workspace)
    again = replay(shop.workspace, "first", release=other.name)
    assert again.again.release == other.name != slate.release
    assert "release" in again.differences


def test_an_unknown_answer_is_refused(shop: Shop) -> None:
    with pytest.raises(RequestError, match="rec_id of a slate"):
        replay(shop.workspace, "never given")


def test_the_past_can_be_read_but_not_written(shop: Shop) -> None:
    past = PastLog(shop.workspace.log, 100)
    assert past.end() == 100
    assert [record for batch in past.read(0) for record in batch.records][-1] == next(
        record for batch in shop.workspace.log.read(99, 1) for record in batch.records
    )
    with pytest.raises(StateError, match="a replay only reads"):
        past.append(Kind.EVENTS, [])
