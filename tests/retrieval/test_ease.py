import numpy as np
import pytest

from vernal.retrieval.ease import fit_ease, sampled
from vernal.retrieval.positives import Matrix


def matrix_of(dense: np.ndarray) -> Matrix:
    start = np.concatenate([[0], np.cumsum((dense > 0).sum(1))]).astype(np.int64)
    return Matrix(start, np.nonzero(dense)[1].astype(np.int32), dense[dense > 0].astype(np.float32), dense.shape[1])


def dense_of(matrix: Matrix) -> np.ndarray:
    out = np.zeros((matrix.n_rows, matrix.n_columns))
    out[np.repeat(np.arange(matrix.n_rows), matrix.lengths), matrix.column] = matrix.value
    return out


def exact_ease(dense: np.ndarray, ridge: float) -> np.ndarray:
    """Steck's closed form on user-weighted rows."""
    weight = 1 / np.sqrt(np.maximum((dense > 0).sum(1), 1))
    p = np.linalg.inv(dense.T @ (weight[:, None] * dense) + ridge * np.eye(dense.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    return b


@pytest.mark.parametrize("seed", range(5))
def test_with_all_neighbours_it_is_exact_ease(seed: int) -> None:
    random = np.random.default_rng(seed)
    dense = (random.random((200, 20)) < 0.4) * random.choice([0.25, 1.0], (200, 20))
    np.testing.assert_allclose(dense_of(fit_ease(matrix_of(dense), 19, 3.0)), exact_ease(dense, 3.0), atol=2e-4)


def test_few_neighbours_keep_the_nearest_by_cosine() -> None:
    random = np.random.default_rng(1)
    dense = (random.random((100, 12)) < 0.4) * 1.0
    weight = 1 / np.sqrt(np.maximum(dense.sum(1), 1))
    gram = dense.T @ (weight[:, None] * dense)
    cosine = gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram))) - 2 * np.eye(12)
    b = dense_of(fit_ease(matrix_of(dense), 4, 1.0))
    for item in range(12):
        assert set(np.flatnonzero(b[:, item])) == set(np.argsort(-cosine[item])[:4])


def test_an_item_nobody_has_explains_nothing() -> None:
    dense = (np.random.default_rng(2).random((50, 8)) < 0.5) * 1.0
    dense[:, 3] = 0
    b = dense_of(fit_ease(matrix_of(dense), 7, 1.0))
    assert not b[3].any()
    assert not b[:, 3].any()


def test_sampling_keeps_whole_users() -> None:
    dense = (np.random.default_rng(3).random((100, 10)) < 0.5) * 1.0
    less = dense_of(sampled(matrix_of(dense), 200, 0))
    full = less.any(1)
    assert 0 < full.sum() < 100
    np.testing.assert_array_equal(less[full], dense[full])
