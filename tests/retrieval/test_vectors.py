"""The embedded index of vectors: its laws beside a dictionary of vectors scanned whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.retrieval.ann import quantise
from vernal.retrieval.board import Mask
from vernal.retrieval.vectors import Vectors

DIM = 16
NO_QUERIES = np.zeros((0, DIM), np.float32)


def units(n: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def index_of(items, vectors, exact_below: int = 1_000) -> Vectors:
    return Vectors.of(np.array(items, np.int32), vectors, exact_below, NO_QUERIES, 0)


def mask_of(n: int, hidden=()) -> Mask:
    flags = np.zeros(n, np.uint8)
    flags[list(hidden)] = 2
    return Mask(n, flags, 0, np.empty(0, np.uint8))


CHANGE = st.one_of(
    st.tuples(st.just("put"), st.dictionaries(st.integers(0, 90), st.integers(0, 1_000), min_size=1, max_size=12)),
    st.tuples(st.just("delete"), st.lists(st.integers(0, 90), max_size=8, unique=True).map(dict.fromkeys)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(CHANGE, max_size=8), st.integers(0, 1_000), st.sets(st.integers(0, 90)), st.sampled_from([10, 20_000]))
def test_after_any_changes_the_index_answers_as_one_made_of_what_there_is(changes, seed: int, hidden, merge_at: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("vernal.retrieval.vectors.MERGE_AT", merge_at)
        truth = dict(enumerate(units(40, 7)))
        index = index_of(range(40), units(40, 7))
        for what, items in changes:
            numbers = np.array(list(items), np.int32)
            if what == "delete":
                index.delete(numbers)
                truth = {item: vector for item, vector in truth.items() if item not in items}
            else:
                vectors = np.concatenate([units(1, number) for number in items.values()])
                vectors[np.array(list(items.values())) % 7 == 0] = 0
                index.put(numbers, vectors)
                truth = {item: vector for item, vector in {**truth, **dict(zip(items, vectors, strict=True))}.items() if vector.any()}
        again = index_of(list(truth), np.array(list(truth.values()), np.float32).reshape(-1, DIM))
        query, mask = units(1, seed)[0], mask_of(91, hidden)
        found, expected = index.search(query, 12, mask), again.search(query, 12, mask)
        assert found.item.tolist() == expected.item.tolist()
        assert found.score.tobytes() == expected.score.tobytes() == index.scores(query, found.item).tobytes()
        assert len(index) == len(truth)
        everything = np.arange(-2, 120, dtype=np.int32)
        assert index.scores(query, everything).tobytes() == again.scores(query, everything).tobytes()
        assert index.rows(everything[2:]).tobytes() == again.rows(everything[2:]).tobytes()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1_000), st.integers(1, 50))
def test_the_best_by_exact_product_are_found_up_to_the_steps_of_codes(seed: int, k: int) -> None:
    vectors, query = units(200, 3), units(1, seed)[0]
    found, exact = index_of(range(200), vectors).search(query, k), vectors @ query
    assert (np.diff(found.score) <= 0).all()
    assert np.abs(found.score - exact[found.item]).max() < 0.02
    assert exact[found.item].min() >= np.sort(exact)[-k] - 0.04


def test_a_large_index_is_in_lists_and_follows_changes_through_a_merge(monkeypatch) -> None:
    monkeypatch.setattr("vernal.retrieval.vectors.MERGE_AT", 500)
    vectors = np.repeat(units(40, 1), 75, axis=0) + 0.3 * units(3_000, 2)
    index = Vectors.of(np.arange(3_000, dtype=np.int32), vectors, 1_000, vectors[:40], 0)
    lists = len(index.state.base.centroids)
    assert lists > 1
    index.put(np.arange(2_900, 3_600, dtype=np.int32), vectors[:700])
    assert (len(index.state.base.order), len(index.state.base.centroids), int(index.state.extra.start[1])) == (3_600, lists, 0)
    found = index.search(vectors[5], 40).item
    assert {5, 2_905} <= set(found.tolist())


def test_what_was_saved_answers_the_same_without_what_was_put_since() -> None:
    index = index_of(range(60), units(60, 5))
    arrays, query = index.arrays(), units(1, 9)[0]
    before = index.search(query, 20)
    index.put(np.array([61], np.int32), query[None])
    again = Vectors.opened(arrays, index.n_probe).search(query, 20)
    assert (again.item.tobytes(), again.score.tobytes()) == (before.item.tobytes(), before.score.tobytes())
    assert index.search(query, 20).item[0] == 61


def test_a_query_without_a_vector_finds_nothing() -> None:
    index = index_of(range(10), units(10, 0))
    assert len(index.search(np.zeros(DIM, np.float32), 5).item) == 0
    assert not index.scores(np.zeros(DIM, np.float32), np.arange(10, dtype=np.int32)).any()


def test_an_index_of_nothing_takes_what_comes() -> None:
    index = index_of([], np.zeros((0, DIM), np.float32))
    assert len(index.search(units(1, 0)[0], 5).item) == 0
    index.put(np.array([1_000_000], np.int32), units(1, 0))
    assert index.search(units(1, 0)[0], 5).item.tolist() == [1_000_000]


def test_rows_are_within_half_a_step_of_what_was_put() -> None:
    vectors = units(30, 4)
    assert (np.abs(index_of(range(30), vectors).rows(np.arange(30, dtype=np.int32)) - vectors) <= 0.51 * quantise(vectors)[1][:, None]).all()
