"""Answers nobody sees: both releases asked again what was just answered."""

import numpy as np
import pytest

from vernal.app import Workspace
from vernal.events.schema import Kind
from vernal.features.stream import StreamWorker
from vernal.ranking.ladder import Rung
from vernal.ranking.request import Request
from vernal.rollout.canary import Mirror
from vernal.rollout.mirroring import MOST_TIMES, QUEUE, Mirroring, mirrored, plus
from vernal.serving.answers import Making, slate_record
from vernal.serving.traffic import CANARY, Canary
from vernal.testing.memory import MemoryState
from vernal.testing.remade import inverted, remade
from vernal.training.train import train


class Kept(MemoryState):
    def close(self):
        """It is the worker's too."""


class Place(Workspace):
    """The village with its state in memory, as somebody who serves has it."""

    def fold(self):
        self.kept = Kept()
        self.worker = StreamWorker(self.log, self.kept, self.live_dir, self.plan, self.settings, self.clock)
        while self.worker.step():
            pass

    def state(self, **_):
        return self.kept


@pytest.fixture(scope="module")
def place(villages):
    """A folded village with a release in charge."""
    village = villages(20)
    train(village)
    village.close()
    with Place(village.root, village.settings, village.clock) as opened:
        opened.fold()
        yield opened
        opened.worker.close()


def asked(place, users, arm="champion"):
    """Slates of the release in charge in the log, as a worker leaves them."""
    mirroring = Mirroring(place, Canary(release=place.releases.champion(), against=place.releases.champion()))
    slates = []
    for number, user in enumerate(users):
        request = Request(user=user, n=5)
        ranked = mirroring.answer(mirroring.theirs, request, place.clock.now(), number).ranked
        slates.append(slate_record(ranked, request, f"{arm}-{user}-{number}", place.clock.now(), 1, Making(arm)))
    place.log.append(Kind.SLATES, slates)
    return slates


def compared(place, release, users=12):
    mirroring = Mirroring(place, Canary(release=release, against=place.releases.champion()))
    asked(place, [f"person-{number}" for number in range(users)])
    mirroring.look()
    return mirroring


def test_a_release_has_everything_in_common_with_itself_in_every_segment(place):
    found = compared(place, place.releases.champion())
    assert 0 < found.whole.n == sum(each.n for each in found.segments.values())
    assert (found.whole.overlap, found.whole.shift, found.whole.fallen) == (found.whole.n, 0.0, 0)
    assert len(found.segments) > 1


def test_an_inverted_release_has_little_in_common(place):
    found = compared(place, remade(place.releases, place.releases.champion(), inverted)).whole
    assert found.overlap / found.n < 0.5
    assert found.shift != 0.0


def test_a_release_that_throws_is_one_that_cannot_answer(place, monkeypatch):
    mirroring = Mirroring(place, Canary(release=remade(place.releases, place.releases.champion(), lambda _: None), against=place.releases.champion()))

    def broken(*_args, **_named):
        raise ZeroDivisionError

    monkeypatch.setattr(mirroring.ours, "recommend", broken)
    asked(place, [f"person-{number}" for number in range(8)])
    mirroring.look()
    assert mirroring.whole.fallen == mirroring.whole.n > 0


def test_what_others_were_answered_is_no_matter(place):
    mirroring = Mirroring(place, Canary(release=place.releases.champion(), against=place.releases.champion()))
    asked(place, ["person-1"] * 5, arm=CANARY)
    mirroring.look()
    assert mirroring.answered == 0


def test_under_load_the_newest_are_taken_and_the_rest_is_left(place):
    mirroring = Mirroring(place, Canary(release=place.releases.champion(), against=place.releases.champion()))
    asked(place, [f"person-{number % 30}" for number in range(QUEUE + 20)])
    mirroring.look()
    assert mirroring.answered + len(mirroring.waiting) == QUEUE


def test_a_pause_of_the_machine_counts_for_one_slow_answer_at_most(place):
    mirroring = Mirroring(place, Canary(release=place.releases.champion(), against=place.releases.champion()))
    ranked = mirroring.answer(mirroring.theirs, Request(user="person-1"), place.clock.now(), 1).ranked
    assert mirrored(ranked, ranked, 400.0, 1e6).took_us == MOST_TIMES * 400
    assert mirrored(ranked, ranked, 1e6, 400.0).took_us_against == MOST_TIMES * 400
    lower = ranked._replace(rung=Rung.TRENDING, scores=np.zeros(0, np.float32))
    assert (mirrored(ranked, lower, 1.0, 1.0).fallen, mirrored(lower, ranked, 1.0, 1.0).fallen) == (1, 0)


def test_sums_add_up():
    assert plus(Mirror(n=1, overlap=0.5), Mirror(n=2, fallen=1)) == Mirror(n=3, overlap=0.5, fallen=1)
