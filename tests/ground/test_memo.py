"""A memo gives back what was kept, or nothing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from vernal.memo import Memo, key_of, prefix_keys
from vernal.release import Draft, Lineage

LINEAGE = Lineage(log_from=1, log_to=2, as_of=3, config="", plan="", code="", seed=0)
PARTS = st.one_of(
    st.integers(-3, 3),
    st.text(max_size=2),
    st.lists(st.integers(0, 2), max_size=2),
    arrays(st.sampled_from([np.int32, np.float32]), array_shapes(max_dims=2, max_side=2), elements=st.integers(0, 2)),
)
laws = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def save(draft: Draft) -> None:
    draft.put_array("numbers", np.arange(20, dtype=np.int32))
    draft.put_json("text", {"a": 1.5})


@pytest.fixture
def memo(tmp_path: Path) -> Memo:
    made = Memo(tmp_path / "memo")
    made.keep({"one": save, "two": save}, LINEAGE)
    return made


def names(memo: Memo) -> set[str]:
    assert memo.folder is not None
    return {path.name for path in memo.folder.iterdir() if path.is_dir()}


def test_what_is_kept_comes_back(memo: Memo) -> None:
    found = memo.recall("one")
    assert found is not None
    assert (found.array("numbers").tolist(), found.json("text")) == (list(range(20)), {"a": 1.5})
    assert memo.recall("three") is None


def test_keeping_removes_what_was_not_used_and_leaves_alone_what_was(memo: Memo) -> None:
    memo.keep({"two": None, "three": save}, LINEAGE)
    assert names(memo) == {"two", "three"}


def test_nothing_is_written_once_it_must_not_be(memo: Memo) -> None:
    memo.keep({"three": save}, LINEAGE, lambda: False)
    assert names(memo) == {"one", "two"}


def test_forgetting_leaves_nothing(memo: Memo) -> None:
    assert memo.forget()
    assert names(memo) == set()


def test_without_a_folder_nothing_is_kept_and_nothing_fails() -> None:
    memo = Memo(None)
    memo.keep({"one": save}, LINEAGE)
    assert memo.recall("one") is None
    assert memo.forget()


@laws
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), file=st.integers(0, 2), shorter=st.booleans())
def test_damage_anywhere_in_what_is_read_is_noticed(memo: Memo, place: int, bit: int, file: int, shorter: bool) -> None:
    assert memo.folder is not None
    memo.keep({"one": save}, LINEAGE)
    damaged = sorted((memo.folder / "one").iterdir())[file]
    content = bytearray(damaged.read_bytes())
    if shorter:
        del content[place % len(content) :]
    else:
        content[place % len(content)] ^= 1 << bit
    damaged.write_bytes(content)
    found = memo.recall("one")
    if found is not None:  # in words of the manifest that say nothing about the files
        assert damaged.name == "manifest.json"
        assert (found.array("numbers").tolist(), found.json("text")) == (list(range(20)), {"a": 1.5})


@laws
@given(one=st.lists(PARTS, max_size=3), other=st.lists(PARTS, max_size=3))
def test_keys_are_equal_where_all_parts_are(one: list[object], other: list[object]) -> None:
    def told(parts: list[object]) -> list[object]:
        return [(str(p.dtype), p.shape, p.tolist()) if isinstance(p, np.ndarray) else p for p in parts]

    assert (key_of(*one) == key_of(*other)) == (told(one) == told(other))


@laws
@given(column=arrays(np.int64, 12, elements=st.integers(0, 3)), other=arrays(np.int64, 12, elements=st.integers(0, 3)), ends=st.sets(st.integers(0, 12)))
def test_the_key_of_a_prefix_is_that_of_its_rows_whatever_else_is_asked(column: np.ndarray, other: np.ndarray, ends: set[int]) -> None:
    for end, key in prefix_keys({"c": column}, ends).items():
        [again] = prefix_keys({"c": other}, [end]).values()
        assert (key == again) == bool((column[:end] == other[:end]).all())
