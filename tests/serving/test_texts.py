"""The text index follows the log."""

import os

import pytest

from vernal.clock import ManualClock
from vernal.config import Items, Settings
from vernal.errors import StateError
from vernal.events.schema import Event, Item, Kind
from vernal.retrieval.lexical import Lexical
from vernal.retrieval.textfiles import current
from vernal.serving.texts import AT_ONCE, CHECK_S, TextFold
from vernal.testing.memory import MemoryLog

SETTINGS = Settings(items=Items(attributes=["genre"]))


class World:
    """A log, its text index and a reader, on a clock of their own."""

    def __init__(self, folder):
        self.folder, self.seconds, self.log = folder, 0.0, MemoryLog(ManualClock())
        self.fold, self.lexical = self.opened(), Lexical(folder, SETTINGS)

    def opened(self):
        return TextFold(self.log, self.folder, SETTINGS, self.number, lambda: self.seconds)

    def number(self, item):
        return self.log.items_after(0).index(item)

    def put(self, *items):
        self.log.append(Kind.ITEMS, items)

    def settle(self):
        """Steps until everything is to be found."""
        for _ in range(1_000):
            self.seconds += 0.1
            self.fold.step(self.log.end())
            if self.fold.busy:
                self.fold.busy.join()
            if self.fold.reflects(self.log.end()) and not self.fold.problem:
                self.lexical.refresh()
                return
        raise AssertionError("never settles")

    def found(self, q, clauses=()):
        return [self.log.items_after(0)[number] for number in self.lexical.search(q, 10, clauses).item]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.fold.close()


def test_items_put_replaced_hidden_and_deleted_are_found_as_they_are(world):
    world.put(Item("a", title="red shoe", attributes={"genre": ["x"], "other": ["y"]}), Item("b", title="red hat"), Item("c", title="red coat"))
    world.log.append(Kind.EVENTS, [Event("e", "view", "ada", "d", 0)])
    world.settle()
    assert sorted(world.found("red")) == ["a", "b", "c"]
    assert world.found("red", [["genre=x"]]) == ["a"]
    assert world.found("red", [["other=y"]]) == []
    world.put(Item("a", title="blue shoe"), Item("b", hidden=True), Item("c", deleted=True))
    world.settle()
    assert (world.found("red"), world.found("blue"), world.found("hat")) == ([], ["a"], [])


def test_a_catalogue_of_nothing_is_an_index_too(world):
    world.settle()
    assert world.found("red") == []


def test_nothing_is_committed_when_nothing_about_items_came(world):
    world.settle()
    world.log.append(Kind.EVENTS, [Event("e", "view", "ada", "d", 0)])
    world.settle()
    assert not world.lexical.refresh()


def test_only_records_up_to_the_offset_told_are_put(world):
    world.put(Item("a", title="red shoe"), Item("b", title="red hat"))
    for _ in range(5):
        world.seconds += 1
        world.fold.step(1)
        if world.fold.busy:
            world.fold.busy.join()
    world.lexical.refresh()
    assert world.found("red") == ["a"]
    world.settle()
    assert sorted(world.found("red")) == ["a", "b"]


def test_the_next_one_goes_on_where_this_one_committed(world):
    world.put(*(Item(f"i{k}", title=f"word{k}") for k in range(AT_ONCE + 1)))
    world.settle()
    world.fold.close()
    world.put(Item("late", title="late"))
    world.fold = world.opened()
    assert world.fold.done == AT_ONCE + 1
    world.settle()
    assert (world.found("late"), world.found("word7")) == (["late"], ["i7"])


def flipped(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["meta.json", "seal.json", "*.term", "*.idx", "*.fast", "*.fieldnorm", "*.store", "*.del"])
def test_one_flipped_byte_is_noticed_and_the_index_made_again(world, name):
    world.put(Item("a", title="red shoe"), Item("b", title="red hat"))
    world.settle()
    world.put(Item("b", title="green hat"))
    world.settle()
    damaged = current(world.folder)
    path = next(iter(damaged.glob(name)))
    flipped(path, path.read_bytes().find(b'"max_doc"') + 11 if name == "meta.json" else 0)
    world.seconds += CHECK_S
    world.fold.step(world.log.end())
    assert not world.fold.reflects(world.log.end())
    world.settle()
    assert current(world.folder) != damaged
    assert (world.found("red"), world.found("green")) == (["a"], ["b"])


@pytest.mark.parametrize("name", ["meta.json", "seal.json", "*.term", "*.idx", "*.fast", "*.fieldnorm", "*.store"])
def test_a_byte_flipped_while_nobody_looked_is_noticed_by_who_opens_it(world, name):
    world.put(Item("a", title="red shoe"))
    world.settle()
    world.fold.close()
    path = next(iter(current(world.folder).glob(name)))
    flipped(path, path.read_bytes().find(b'"max_doc"') + 11 if name == "meta.json" else 0)
    reader = Lexical(world.folder, SETTINGS)
    if name == "meta.json":  # as if a commit had died before its seal: nobody vouches for it, so nobody reads it
        assert not reader.refresh()
    else:
        with pytest.raises(StateError):
            reader.refresh()
    assert not reader.ready
    world.fold = world.opened()
    assert world.fold.done == 0
    world.settle()
    assert world.found("red") == ["a"]


def test_a_reader_that_finds_damage_tells_the_writer(world):
    world.put(Item("a", title="red shoe"))
    world.settle()
    path = next(iter(current(world.folder).glob("*.idx")))
    stamp = path.stat()
    flipped(path, 0)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # a disk that forgets leaves no trace
    with pytest.raises(StateError):
        Lexical(world.folder, SETTINGS).refresh()
    world.seconds += CHECK_S
    world.fold.step(world.log.end())
    world.settle()
    assert world.found("red") == ["a"]
    assert Lexical(world.folder, SETTINGS).refresh()


def test_a_commit_that_died_before_its_seal_is_made_again(world):
    world.put(Item("a", title="red shoe"))
    world.settle()
    world.put(Item("b", title="red hat"))
    world.fold.step(world.log.end())
    writer = world.fold.writer
    writer.writer.commit()
    world.fold.close()
    assert not Lexical(world.folder, SETTINGS).refresh()
    world.fold = world.opened()
    world.settle()
    assert sorted(world.found("red")) == ["a", "b"]
