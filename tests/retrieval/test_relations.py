import numpy as np
import pytest

from vernal.retrieval.positives import Matrix
from vernal.retrieval.relations import KINDS, Relations


def matrix_of(seed: int, n: int = 30) -> Matrix:
    random = np.random.default_rng(seed)
    dense = (random.random((n, n)) < 0.3) * random.standard_normal((n, n))
    start = np.concatenate([[0], np.cumsum((dense != 0).sum(1))]).astype(np.int64)
    return Matrix(start, np.nonzero(dense)[1].astype(np.int32), dense[dense != 0].astype(np.float32), n)


@pytest.mark.parametrize("section", range(3))
def test_a_relation_comes_back_as_it_was(section: int) -> None:
    matrices = [matrix_of(seed) for seed in range(3)]
    back = Relations.of(matrices, 1_000).matrix(KINDS[section])
    for one, other in zip(back[:3], matrices[section][:3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_long_row_keeps_its_largest_entries() -> None:
    matrix = matrix_of(4)
    items, values = Relations.of([matrix] * 3, 3).row("ease", 7)
    row = slice(matrix.start[7], matrix.start[8])
    best = np.argsort(-np.abs(matrix.value[row]), kind="stable")[:3]
    assert set(items.tolist()) == set(matrix.column[row][best].tolist())
    assert len(values) == 3
