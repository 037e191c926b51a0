"""The whole loop on a small world, through the real parts: raw files -> log -> release -> slate -> event -> other slate -> rollback."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import EventColumns, Items
from vernal.evaluation.backtest import Report
from vernal.events.importing import import_events
from vernal.events.schema import Event, Kind, Slate
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.records import user_key
from vernal.features.weights import hop
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Ranked, Recommender
from vernal.ranking.request import Request
from vernal.release import Release
from vernal.replay.answer import replay
from vernal.serving.answers import slate_record
from vernal.serving.folding import Folding
from vernal.testing.village import village_events, village_items, village_settings
from vernal.training.train import train


@dataclass
class World:
    """A workspace whose log came from files, and what training made of it."""

    workspace: Workspace
    release: Release
    report: Report

    def fold(self) -> None:
        """Brings state and live table to the end of the log, as the server's worker does."""
        with closing(Folding(self.workspace)) as folding:
            while folding.step():
                pass

    def ask(self, request: Request, seed: int = 1) -> Ranked:
        """The slate of the release in charge, as of now."""
        space, now = self.workspace, self.workspace.clock.now()
        name = space.releases.champion()
        assert name is not None
        with closing(space.state()) as state:
            record, offset = state.get_with_offset(user_key(request.user))
        user = user_state(space.plan, record, hop(now), offset)
        recommender = Recommender(Parts.of(space.releases.open(name), space.plan), space.plan, space.settings)
        return recommender.recommend(request, user, LiveItems.attach(space.live_dir), now, seed)

    def serve(self, request: Request, rec_id: str) -> Slate:
        """Asks and logs the answer."""
        slate = slate_record(self.ask(request), request, rec_id, self.workspace.clock.now(), 1)
        self.workspace.log.append(Kind.SLATES, [slate])
        return slate


def write_files(folder: Path) -> int:
    """Raw files as somebody else's system would give them; returns the time of the last event, UTC us."""
    events = village_events(items := village_items(240), per_day=120)
    rows = [{"user": e.user, "item": e.item, "type": e.type, "time": e.time / 1e6, "id": e.event_id} for e in events]
    (folder / "events.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    lines = [f"{item.item},{item.title},{item.attributes['kind'][0]}" for item in items]
    (folder / "items.csv").write_text("\n".join(["item,title,kind", *lines]))
    return events[-1].time


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("loop")
    clock = ManualClock(write_files(folder) + 1)
    base = village_settings()
    events = msgspec.structs.replace(base.events, files=["events.jsonl"], columns=EventColumns(event_id="id"), time_unit="s")
    settings = msgspec.structs.replace(base, events=events, items=Items(files=["items.csv"], attributes=["kind"]))
    with Workspace(folder, settings, clock) as workspace:
        import_events(settings, folder, workspace.log, lambda *_: None, clock)
        release, report = train(workspace)
        assert report is not None
        yield World(workspace, release, report)


def test_the_whole_log_came_in_and_a_second_import_adds_nothing(world: World) -> None:
    workspace = world.workspace
    before = workspace.log.end()
    again = import_events(workspace.settings, workspace.root, workspace.log, lambda *_: None, workspace.clock)
    assert len(workspace.history()) == 30 * 120
    assert (again.appended, workspace.log.end()) == (0, before)


def test_the_release_beats_every_list_on_the_days_it_never_saw(world: World) -> None:
    assert world.report.gain.low > 0
    assert set(world.report.rungs) == {"full"}


def test_a_person_is_shown_their_kind_by_the_full_pipeline(world: World) -> None:
    world.fold()
    ranked = world.ask(Request(user="person-1", n=6, explain=True))
    assert ranked.rung == "full"
    assert sum(item.startswith("cheese") for item in ranked.ids) >= 4
    assert all(why.sentence for why in ranked.reasons)


def test_one_new_event_changes_the_next_slate(world: World) -> None:
    world.fold()
    person = Request(user="newcomer", n=6)
    before = world.ask(person)
    world.workspace.clock.advance(seconds=5)  # type: ignore[attr-defined]
    now = world.workspace.clock.now()
    world.workspace.log.append(Kind.EVENTS, [Event(f"n{k}", "buy", "newcomer", f"wine-{2 + 3 * k}", now) for k in range(3)])
    world.fold()
    after = world.ask(person)
    assert after.ids != before.ids
    assert not set(after.ids) & {"wine-2", "wine-5", "wine-8"}
    assert sum(item.startswith("wine") for item in after.ids) > sum(item.startswith("wine") for item in before.ids)


def test_a_logged_answer_is_made_again_byte_for_byte(world: World) -> None:
    world.fold()
    world.serve(Request(user="person-2", n=5), "loop-1")
    world.workspace.log.append(Kind.EVENTS, [Event("after", "buy", "person-2", "bread-0", world.workspace.clock.now())])
    assert replay(world.workspace, "loop-1").same


def test_rollback_brings_the_previous_slate_back_exactly(world: World) -> None:
    world.fold()
    releases, person = world.workspace.releases, Request(user="person-4", n=8)
    first = world.ask(person)
    other = msgspec.structs.replace(world.workspace.settings, training=msgspec.structs.replace(world.workspace.settings.training, seed=5))
    with Workspace(world.workspace.root, other, world.workspace.clock) as second:
        train(second)
    changed = world.ask(person)
    releases.roll_back("test")
    back = world.ask(person)
    assert changed.release != first.release == back.release
    assert back.scores.tobytes() == first.scores.tobytes()
    assert back.ids == first.ids
