"""Every state store keeps the same promises; a new adapter is one more line in STORES."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vernal.engines.lmdb import LmdbState
from vernal.errors import StateError
from vernal.features.ports import StateStore
from vernal.testing.memory import MemoryState

STORES: dict[str, Callable[[Path], StateStore]] = {
    "lmdb": lambda path: LmdbState(path, readonly=False, map_bytes=1 << 26),
    "memory": lambda _: MemoryState(),
}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    opened = STORES[request.param](tmp_path / "state")
    yield opened
    opened.close()


def test_a_new_store_is_empty_at_offset_zero(store: StateStore) -> None:
    assert (store.get(b"a"), store.offset(), store.get_with_offset(b"a")) == (None, 0, (None, 0))


def test_a_commit_shows_values_and_offset_together(store: StateStore) -> None:
    store.commit([(b"a", b"1"), (b"b", b"\x00" * 5_000)], [], 7)
    assert store.get_with_offset(b"a") == (b"1", 7)
    assert store.get_many([b"b", b"none", b"a"]) == [b"\x00" * 5_000, None, b"1"]


def test_deletes_go_before_puts(store: StateStore) -> None:
    store.commit([(b"a", b"1"), (b"b", b"2")], [], 1)
    store.commit([(b"a", b"3")], [b"a", b"b", b"never"], 2)
    assert (store.get(b"a"), store.get(b"b"), store.offset()) == (b"3", None, 2)


def test_a_commit_that_fails_changes_nothing(store: StateStore) -> None:
    store.commit([(b"a", b"1")], [], 1)

    def broken() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"2"
        raise ValueError("the caller's own")

    with pytest.raises(ValueError, match="own"):
        store.commit(broken(), [], 2)
    assert store.get_with_offset(b"a") == (b"1", 1)


def test_dropping_forgets_everything(store: StateStore) -> None:
    store.commit([(b"a", b"1")], [], 3)
    store.drop()
    assert store.get_with_offset(b"a") == (None, 0)


def test_keys_of_the_longest_ids_fit(store: StateStore) -> None:
    key = b"u:" + b"\xff" * 256
    store.commit([(key, b"1")], [], 1)
    assert store.get(key) == b"1"


def test_lmdb_keeps_its_values_and_is_shared_within_a_process(tmp_path: Path) -> None:
    reader = LmdbState(tmp_path / "state", map_bytes=1 << 26)
    writer = LmdbState(tmp_path / "state", readonly=False, map_bytes=1 << 26)
    writer.commit([(b"a", b"1")], [], 5)
    assert reader.get_with_offset(b"a") == (b"1", 5)
    reader.close()
    writer.close()
    again = LmdbState(tmp_path / "state", map_bytes=1 << 26)
    assert again.offset() == 5
    with pytest.raises(StateError):
        again.commit([], [], 6)
    again.close()


def test_a_full_map_names_the_setting_that_helps(tmp_path: Path) -> None:
    store = LmdbState(tmp_path / "state", readonly=False, map_bytes=1 << 17)
    with pytest.raises(StateError, match="state_map_gb"):
        store.commit(((b"%d" % number, b"x" * 2_000) for number in range(1_000)), [], 1)
    assert store.offset() == 0
    store.close()
