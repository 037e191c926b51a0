"""What every index of vectors does: the embedded one in one list and in many, and Qdrant."""

import sys
from pathlib import Path

import numpy as np
import pytest

from vernal.retrieval.board import Mask
from vernal.retrieval.fusion import WORDS_ALONE
from vernal.retrieval.semantic import Semantic
from vernal.retrieval.vectors import Vectors

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the adapter to us

DIM, N = 16, 300
ITEMS = np.arange(N, dtype=np.int32)
ERROR = 0.03  # of a product of unit vectors: the steps of int8


def units(n: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


VECTORS = units(N, 0)


def embedded(exact_below: int) -> Vectors:
    return Vectors.of(ITEMS, VECTORS, exact_below, VECTORS[100:] + 0.5 * units(N - 100, 5), 0)


def qdrant():
    qdrant_client = pytest.importorskip("qdrant_client")
    from qdrant_vectors import QdrantVectors

    index = QdrantVectors(qdrant_client.QdrantClient(":memory:"), DIM)
    index.put(ITEMS, VECTORS)
    return index


MAKERS = {"one list": lambda: embedded(N), "many lists": lambda: embedded(0), "qdrant": qdrant}


@pytest.fixture(params=MAKERS)
def index(request):
    return MAKERS[request.param]()


def mask_of(n: int = N, hidden=(), allowed=()) -> Mask:
    flags, let = np.zeros(n, np.uint8), np.zeros(n if len(allowed) else 0, np.uint8)
    flags[list(hidden)], let[list(allowed)] = 2, 1
    return Mask(n, flags, 0, let)


def test_the_best_come_first_with_their_products(index) -> None:
    kept = []
    for query in VECTORS[:20] + 0.5 * units(20, 1):
        found, exact = index.search(query, 20), VECTORS @ query
        assert len(set(found.item.tolist())) == len(found.item) == 20
        assert (np.diff(found.score) <= 0).all()
        assert np.abs(found.score - exact[found.item]).max() < 2 * ERROR
        kept.append(np.mean(exact[found.item] >= np.sort(exact)[-20] - 2 * ERROR))
    assert np.mean(kept) >= 0.75  # many lists: an eighth of them is looked into, and these vectors have no structure


def test_a_product_is_the_same_whether_found_or_asked_for(index) -> None:
    query = units(1, 2)[0]
    found = index.search(query, 10)
    assert np.allclose(index.scores(query, found.item), found.score, atol=1e-5)
    assert np.allclose(index.scores(query, ITEMS), VECTORS @ query, atol=ERROR)


def test_vectors_come_back_as_they_were_put(index) -> None:
    assert np.allclose(index.rows(ITEMS[:40]), VECTORS[:40], atol=0.01)
    assert not index.rows(np.array([N + 5], np.int32)).any()


def test_nothing_found_is_hidden_or_fails_the_filter_and_a_filter_still_gives_its_full_number(index) -> None:
    query = units(1, 3)[0]
    best = index.search(query, 10).item
    assert not set(index.search(query, 50, mask_of(hidden=best)).item.tolist()) & set(best.tolist())
    few = np.flatnonzero(VECTORS @ query > 0.1)[::3][:12]
    assert set(index.search(query, 12, mask_of(allowed=few)).item.tolist()) == set(few.tolist())
    assert index.search(query, 50, mask_of(n=100)).item.max() < 100


def test_what_is_put_changed_and_deleted_counts_at_once(index) -> None:
    query = units(1, 4)[0]
    index.put(np.array([N + 1, 3], np.int32), np.stack([query, query]))
    assert index.search(query, 2).item.tolist() == [3, N + 1]
    index.delete(np.array([3], np.int32))
    assert index.search(query, 1).item.tolist() == [N + 1]
    assert index.scores(query, np.array([3], np.int32)).tolist() == [0]
    index.put(np.array([N + 1], np.int32), np.zeros((1, DIM), np.float32))
    assert not {3, N + 1} & set(index.search(query, N).item.tolist())
    index.put(np.array([3], np.int32), query[None])
    assert index.search(query, 1).item.tolist() == [3]


def test_search_by_meaning_takes_any_of_them(index) -> None:
    class Letters:
        """One dimension per letter."""

        dim, fingerprint, waits = DIM, "letters", False

        def encode(self, texts):
            rows = np.array([[text.count(chr(97 + k)) for k in range(DIM)] for text in texts], np.float32)
            return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    semantic = Semantic("letters", Letters(), index, WORDS_ALONE)
    index.delete(ITEMS)
    semantic.put({5: "abba", 9: "cab", 11: "deed", 12: ""})
    assert semantic.search(semantic.vector("ab").vector, 10).item.tolist() == [5, 9]
    semantic.put({5: "", 11: "bad"})
    semantic.delete([9])
    assert semantic.search(semantic.vector("ab").vector, 10).item.tolist() == [11]
