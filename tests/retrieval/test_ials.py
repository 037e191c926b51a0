import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.retrieval.ials import Factors, Hyper, Pull, fit_ials, fold_in, improve, principal
from vernal.retrieval.positives import Matrix


def matrix_of(seed: int, n_users: int = 25, n_items: int = 15) -> Matrix:
    random = np.random.default_rng(seed)
    dense = (random.random((n_users, n_items)) < 0.3) * random.uniform(0.2, 1, (n_users, n_items))
    start = np.concatenate([[0], np.cumsum((dense > 0).sum(1))]).astype(np.int64)
    return Matrix(start, np.nonzero(dense)[1].astype(np.int32), dense[dense > 0].astype(np.float32), n_items)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_fold_in_solves_the_normal_equations(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((15, 8)).astype(np.float32)
    gram = (0.1 * vectors.T @ vectors).astype(np.float32)
    items, weights = random.permutation(15)[:n].astype(np.int32), random.uniform(0.1, 1, n).astype(np.float32)
    x = np.empty(8, np.float32)
    fold_in(Factors.of(vectors, gram, 0.05, 1.0, 1.5), vectors[:0], items, weights, n, x)
    v = vectors[items].astype(np.float64)
    left = gram + v.T @ (weights[:, None] * v) + 0.05 * (weights.sum() + 1.5) * np.eye(8)
    np.testing.assert_allclose(x, np.linalg.solve(left, v.T @ weights), rtol=2e-3, atol=2e-4)


def objective(matrix: Matrix, v: np.ndarray, hyper: Hyper) -> float:
    """The loss with every user at their own minimum, in float64."""
    dim, total = v.shape[1], 0.0
    gram = hyper.alpha * v.T @ v
    for user in range(matrix.n_rows):
        row = slice(matrix.start[user], matrix.start[user + 1])
        rows, c = v[matrix.column[row]], matrix.value[row].astype(np.float64)
        ridge = hyper.reg * (c.sum() + hyper.alpha * matrix.n_columns) ** hyper.nu
        x = np.linalg.solve(gram + rows.T @ (c[:, None] * rows) + ridge * np.eye(dim), rows.T @ c)
        total += (c * (1 - rows @ x) ** 2).sum() + x @ gram @ x + ridge * x @ x
    counts = np.bincount(matrix.column, matrix.value, matrix.n_columns)
    return total + float((hyper.reg * (counts + hyper.alpha * matrix.n_rows) ** hyper.nu * (v**2).sum(1)).sum())


def test_every_sweep_lowers_the_objective() -> None:
    matrix = matrix_of(3)
    losses = [objective(matrix, fit_ials(matrix, 6, Hyper(sweeps=sweeps, reg=0.02), 0).vectors.astype(np.float64), Hyper(reg=0.02)) for sweeps in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)


def test_blocks_reach_the_minimum_of_exact_solves() -> None:
    matrix = matrix_of(4)
    exact = fit_ials(matrix, 8, Hyper(sweeps=60, block=8), 0).vectors
    blocked = fit_ials(matrix, 8, Hyper(sweeps=60, block=4), 0).vectors
    np.testing.assert_allclose(objective(matrix, blocked.astype(float), Hyper()), objective(matrix, exact.astype(float), Hyper()), rtol=0.01)


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second, other = (fit_ials(matrix_of(5), 8, Hyper(), seed).vectors for seed in (1, 1, 2))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_warm_vectors_start_nearer_to_where_they_were() -> None:
    matrix = matrix_of(6)
    before = fit_ials(matrix, 8, Hyper(sweeps=10), 0).vectors
    warm, cold = fit_ials(matrix, 8, Hyper(sweeps=1), 1, before).vectors, fit_ials(matrix, 8, Hyper(sweeps=1), 1).vectors
    assert np.linalg.norm(warm - before) < 0.5 * np.linalg.norm(cold - before)


def test_items_without_events_have_zero_vectors() -> None:
    matrix = matrix_of(7)
    wider = Matrix(matrix.start, matrix.column, matrix.value, matrix.n_columns + 3)
    assert not fit_ials(wider, 8, Hyper(), 0).vectors[-3:].any()


@pytest.mark.parametrize("dim", [3, 8, 40])
def test_rows_of_any_length_are_solved_exactly(dim: int) -> None:
    matrix, random = matrix_of(8, 30, 60), np.random.default_rng(8)
    other = random.standard_normal((60, dim)).astype(np.float32)
    gram, alpha = (other.T @ other).astype(np.float32), random.uniform(0.05, 0.2, 30).astype(np.float32)
    found, pull = np.ones((30, dim), np.float32), Pull(0.05, 0.9, 3.0)
    improve(matrix, other, gram, alpha, found, pull, dim)
    assert matrix.lengths.min() < 40
    assert matrix.lengths.max() > 8
    for row in range(30):
        entries = slice(matrix.start[row], matrix.start[row + 1])
        v, c = other[matrix.column[entries]].astype(np.float64), matrix.value[entries].astype(np.float64)
        left = alpha[row] * gram.astype(np.float64) + v.T @ (c[:, None] * v) + 0.05 * (c.sum() + 3.0) ** 0.9 * np.eye(dim)
        np.testing.assert_allclose(found[row], np.linalg.solve(left, v.T @ c), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("rank", [0, 1, 5, 20])
def test_principal_axes_make_a_gram_diagonal(rank: int) -> None:
    rows = np.random.default_rng(rank).standard_normal((rank, 20)) * np.logspace(0, 3, 20)
    gram = rows.T @ rows
    values, axes = principal(gram.copy())
    np.testing.assert_allclose(axes.T @ axes, np.eye(20), atol=1e-9)
    np.testing.assert_allclose((axes * values) @ axes.T, gram, atol=1e-9 * max(1.0, np.abs(gram).max()))
