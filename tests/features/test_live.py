import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from vernal.config import Aggregate, Settings, View
from vernal.errors import StateError
from vernal.events.schema import Item
from vernal.features.definition import compile_plan
from vernal.features.items import ItemState
from vernal.features.live import LiveItems
from vernal.features.table import MOVED, SEQUENCE

NOW = 1_700_000_100
SETTINGS = Settings(features={"seen": View(entity="item", count=Aggregate(window=["1h", "1d", "7d", "30d"]))})
PLAN = compile_plan(SETTINGS)


def writer(directory: Path | None, n: int = 64) -> ItemState:
    state = ItemState(PLAN, directory)
    state.mention([f"i{number}" for number in range(n)], NOW)
    state.advance(NOW, 1)
    return state


def view_all(state: ItemState, offset: int) -> None:
    """Every item seen once more: after it, all values of the table are equal."""
    items = np.arange(state.n)
    state.fold(items, np.full(state.n, state.hop), np.full(state.n, 2, np.uint8), np.zeros(state.n, np.int32))
    state.publish(offset)


def read_until_told(directory: Path, pipe: Connection) -> None:
    live, torn, reads, seen = LiveItems.attach(directory), 0, 0, set()
    pipe.send("ready")
    while not pipe.poll():
        values, offset, n = live.consistent(lambda: (live.values[: live.n].copy(), live.offset, live.n))
        torn += len(np.unique(values)) != 1 or values[0, 0] != offset - 1 or len(values) != n
        reads += 1
        seen.add(offset)
    pipe.send((torn, reads, len(seen), live.n))


def test_readers_in_other_processes_never_see_torn_rows_across_publications_hops_and_growth(tmp_path: Path) -> None:
    state, context = writer(tmp_path), multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(2)]
    readers = [context.Process(target=read_until_told, args=(tmp_path, theirs)) for _, theirs in pairs]
    for reader in readers:
        reader.start()
    assert [ours.recv() for ours, _ in pairs] == ["ready", "ready"]
    for round_ in range(2, 1_502):
        view_all(state, round_)
        if round_ % 100 == 0:
            state.hop -= 300  # the same picture, read out anew into the other half
            state.advance(NOW, round_)
        if round_ == 700:
            state.reserve(3_000)
    for ours, _ in pairs:
        ours.send("stop")
    for torn, reads, seen, n in [ours.recv() for ours, _ in pairs]:
        assert (torn, n) == (0, 64)
        assert reads > 10
        assert seen > 1
    for reader in readers:
        reader.join()


def test_a_reader_moves_to_a_larger_table_by_itself(tmp_path: Path) -> None:
    state = writer(tmp_path)
    live = LiveItems.attach(tmp_path)
    before = live.values.shape[0]
    state.mention([f"more{number}" for number in range(2_000)], NOW)
    state.publish(9)
    assert (live.n, live.offset, live.number("more1999"), live.id(2_063)) == (2_064, 9, 2_063, "more1999")
    assert live.values.shape[0] > before
    assert live.values[live.n - 1].tolist() == [0, 0, 0, 0]


def test_a_reader_follows_the_next_writer(tmp_path: Path) -> None:
    writer(tmp_path)
    live = LiveItems.attach(tmp_path)
    second = writer(tmp_path, n=80)
    assert live.n == 80
    view_all(second, 5)
    assert live.offset == 5


def test_a_reader_of_a_writer_that_died_publishing_finds_its_successor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vernal.features.live.STUCK_S", 0.0)
    dead = writer(tmp_path)
    live = LiveItems.attach(tmp_path)
    dead.table.header[SEQUENCE] += 1
    with pytest.raises(StateError, match="died"):
        live.consistent(lambda: live.n)
    writer(tmp_path, n=70)
    assert live.consistent(lambda: live.n) == 70


def test_what_a_reader_holds_is_read_only(tmp_path: Path) -> None:
    writer(tmp_path)
    live = LiveItems.attach(tmp_path)
    for array in (live.values, live.attributes, live.flags, live.first_seen, live.top):
        assert not array.flags.writeable
    assert live.table.header[MOVED] == 0


def test_an_empty_directory_has_no_table(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no live item table yet"):
        LiveItems.attach(tmp_path)


def test_a_table_cut_short_is_refused(tmp_path: Path) -> None:
    state = writer(tmp_path)
    assert state.place
    content = state.place.file("table").read_bytes()
    state.place.file("table").write_bytes(content[:-1])
    with pytest.raises(StateError, match="size differs"):
        LiveItems.attach(tmp_path)


def test_ids_titles_and_numbers_agree_for_any_text() -> None:
    state = ItemState(PLAN)
    ids = ["a", "né", "🎬" * 60, "x y", "0"]
    state.mention(ids, NOW)
    state.upsert(2, Item(ids[2], title="Ü" * 40_000))
    state.advance(NOW, 1)
    assert [state.live.number(item) for item in ids] == [0, 1, 2, 3, 4]
    assert [state.live.id(number) for number in range(5)] == ids
    assert state.live.titles(2).startswith("Ü")
    assert state.live.titles(1) == ""
