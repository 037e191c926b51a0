import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.retrieval.ann import RECALL, Ivf, build, quantise, search


def clustered(n: int, seed: int = 0, dim: int = 16) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((40, dim))
    return (centres[random.integers(0, 40, n)] + 0.5 * random.standard_normal((n, dim))).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    found = clustered(6_000)
    found[:50] = 0
    return found


@pytest.fixture(scope="module")
def queries(vectors) -> np.ndarray:
    return vectors[np.random.default_rng(1).integers(50, 6_000, (80, 3))].mean(1)


@pytest.fixture(scope="module")
def index(vectors, queries) -> Ivf:
    return build(vectors, queries[:40], 0)


def exact(vectors: np.ndarray, query: np.ndarray, k: int) -> set[int]:
    return set(np.argsort(-(vectors @ query), kind="stable")[:k].tolist())


def test_unseen_queries_find_nine_of_the_ten_best(index, vectors, queries) -> None:
    found = [len(exact(vectors, query, 100) & set(search(index, 6_000, query, 100).tolist())) for query in queries[40:]]
    assert np.mean(found) >= 100 * (RECALL - 0.03)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 79), st.integers(1, 60))
def test_all_lists_together_are_the_exact_scan_up_to_the_steps_of_codes(index, vectors, queries, query: int, k: int) -> None:
    whole = index._replace(n_probe=len(index.centroids))
    found, scores = search(whole, 6_000, queries[query], k), vectors @ queries[query]
    assert len(found) == k
    assert scores[found].min() >= np.sort(scores)[-k] - 0.03 * np.abs(scores).max()


def test_items_without_a_vector_are_in_no_list(index) -> None:
    assert len(index.order) == 5_950
    assert index.order.min() >= 50


def test_codes_are_within_half_a_step(vectors) -> None:
    codes, scale = quantise(vectors[50:])
    assert (np.abs(codes * scale[:, None] - vectors[50:]) <= 0.51 * scale[:, None]).all()


def test_the_same_seed_builds_the_same_lists(index, vectors, queries) -> None:
    again = build(vectors, queries[:40], 0)
    assert again.n_probe == index.n_probe
    assert all(a.tobytes() == b.tobytes() for a, b in zip(again[:-1], index[:-1], strict=True))


def test_very_few_vectors_are_enough() -> None:
    few = clustered(3)
    assert set(search(build(few, few, 0), 3, few[0], 3).tolist()) <= {0, 1, 2}
