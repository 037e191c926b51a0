import numpy as np
from grove import catalogue_of

from vernal.retrieval.content import as_scipy, conjugate_gradient, describe, fit_map, fit_neighbours


def test_rows_have_unit_norm_and_name_words_and_values() -> None:
    vocabulary, matrix = describe(catalogue_of(), 120)
    norms = np.sqrt(np.bincount(np.repeat(np.arange(120), matrix.lengths), matrix.value**2))
    np.testing.assert_allclose(norms, 1, rtol=1e-5)
    assert matrix.lengths.tolist() == [3] * 120
    assert set(vocabulary.words) == {f"kind{g}" for g in range(4)} | {f"shelf{s}" for s in range(10)}


def test_an_item_described_later_gets_the_row_it_would_have_had() -> None:
    catalogue = catalogue_of()
    vocabulary, matrix = describe(catalogue, 120)
    features = vocabulary.features(catalogue.titles[17], catalogue.attributes[17])
    row = slice(matrix.start[17], matrix.start[18])
    assert features.tolist() == matrix.column[row].tolist()
    np.testing.assert_allclose(vocabulary.weights(features), matrix.value[row], rtol=1e-5)


def test_unknown_words_and_codes_are_ignored() -> None:
    catalogue = catalogue_of()
    vocabulary, _ = describe(catalogue, 120)
    assert not len(vocabulary.features("never seen", np.array([[99, 0, 0, 0]], np.int32)))


def test_conjugate_gradients_solve_the_weighted_ridge() -> None:
    _, matrix = describe(catalogue_of(), 120)
    x, random = as_scipy(matrix), np.random.default_rng(0)
    weight, target = random.uniform(0.5, 2, 120), random.standard_normal((120, 3))
    dense = x.toarray()
    expected = np.linalg.solve(dense.T @ (weight[:, None] * dense) + 0.5 * np.eye(dense.shape[1]), dense.T @ (weight[:, None] * target))
    np.testing.assert_allclose(conjugate_gradient(x, weight, target, 0.5), expected, atol=1e-5)


def test_a_vector_is_mapped_alike_alone_and_among_all() -> None:
    catalogue, random = catalogue_of(), np.random.default_rng(0)
    vocabulary, matrix = describe(catalogue, 120)
    mapping = fit_map(matrix, random.standard_normal((120, 5)).astype(np.float32), np.arange(120))
    features = vocabulary.features(catalogue.titles[3], catalogue.attributes[3])
    np.testing.assert_allclose(mapping.vector(features, vocabulary.weights(features)), mapping.vectors(matrix)[3], atol=1e-5)


def test_neighbours_are_those_of_the_cosine() -> None:
    _, matrix = describe(catalogue_of(), 120)
    cosine = (as_scipy(matrix) @ as_scipy(matrix).T).toarray()
    np.fill_diagonal(cosine, -1)
    found = fit_neighbours(matrix, 15)
    for item in range(0, 120, 11):
        row = slice(found.start[item], found.start[item + 1])
        np.testing.assert_allclose(np.sort(found.value[row]), np.sort(np.sort(cosine[item])[-15:]), rtol=1e-5)
