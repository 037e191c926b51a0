"""Content: what an item is (attributes, title, text), as a TF-IDF matrix, as neighbours, and as a map into the space of item vectors.

The map is a ridge regression from TF-IDF features to iALS vectors, fitted on items with events and weighted by the square root of their
popularity, so that it learns how long a vector should be as well as where it points. It gives an item its vector before its first event.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numba import njit
from numpy.typing import NDArray

from vernal.events.history import Catalogue
from vernal.retrieval.covisitation import Lists, listed
from vernal.retrieval.linear import F32, I32, push
from vernal.retrieval.positives import Matrix, starts

MAX_FEATURES = 30_000
POSTING_CAP = 500  # features of more items than this make no neighbours: they say little and cost n^2
WORD = re.compile(r"\w{2,}")
SWEEPS_CG = 40


@dataclass(frozen=True)
class Vocabulary:
    """Features of items: words first, then attribute values."""

    words: dict[str, int]  # word -> feature
    attribute_start: I32  # (n_attributes + 1,) codes of attribute a stand at [start[a], start[a + 1]) of attribute_feature
    attribute_feature: I32  # code -> feature, -1 = none
    idf: F32  # (n_features,)

    def features(self, title: str, codes: NDArray[np.int32]) -> I32:
        """Feature numbers, ascending, of one item. `codes` is (n_attributes, SLOTS); unknown ones are ignored."""
        found = {self.words[word] for word in words_of(title) if word in self.words}
        for attribute, values in enumerate(codes[: len(self.attribute_start) - 1]):
            low, high = self.attribute_start[attribute], self.attribute_start[attribute + 1]
            found.update(int(self.attribute_feature[low + code]) for code in values if 0 < code < high - low)
        found.discard(-1)
        return np.array(sorted(found), np.int32)

    def weights(self, features: I32) -> F32:
        """TF-IDF values of one item's features, unit norm."""
        idf = self.idf[features]
        return idf / max(float(np.linalg.norm(idf)), 1e-9)


def words_of(text: str) -> set[str]:
    """Distinct lower-case words of two letters or more.

    >>> sorted(words_of("Ice-cream, 2 LB ice"))
    ['cream', 'ice', 'lb']
    """
    return set(WORD.findall(text.lower()))


def describe(catalogue: Catalogue, n_items: int) -> tuple[Vocabulary, Matrix]:
    """The vocabulary of a catalogue and its (n_items, n_features) TF-IDF matrix with rows of unit norm.

    Features of one item only, or of more than half of all, are left out. Cost: about 10 us per item.
    """
    words = [words_of(f"{title} {text}") for title, text in zip(catalogue.titles, catalogue.texts, strict=True)]
    counts = Counter(word for row in words for word in row)
    most = max(2, len(catalogue) // 2)
    known = [word for word, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if 2 <= n <= most][:MAX_FEATURES]
    vocabulary = {word: number for number, word in enumerate(known)}
    word_row, word_feature = entries((vocabulary[word] for word in row if word in vocabulary) for row in words)
    start, feature, rows, features = attribute_entries(catalogue, len(known), most)
    row, column = np.concatenate([word_row, rows]), np.concatenate([word_feature, features])
    n_features = int(max(len(known), feature.max(initial=-1) + 1))
    df = np.bincount(column, minlength=n_features)
    idf = np.log((1 + len(catalogue)) / (1 + df)).astype(np.float32)
    order = np.lexsort((column, row))
    row, column = row[order], column[order]
    value = idf[column]
    norm = np.sqrt(np.bincount(row, value.astype(np.float64) ** 2, n_items))
    matrix = Matrix(starts(row, n_items), column, (value / np.maximum(norm[row], 1e-9)).astype(np.float32), n_features)
    return Vocabulary(vocabulary, start, feature, idf), matrix


def entries(rows: Iterable[Iterable[int]]) -> tuple[I32, I32]:
    """Row and column numbers of ragged rows."""
    columns = [list(row) for row in rows]
    lengths = [len(row) for row in columns]
    flat = np.fromiter((c for row in columns for c in row), np.int32, sum(lengths))
    return np.repeat(np.arange(len(columns), dtype=np.int32), lengths), flat


def attribute_entries(catalogue: Catalogue, first: int, most: int) -> tuple[I32, I32, I32, I32]:
    """(start, feature by code, rows, features): attribute values as features numbered from `first`."""
    sizes = [len(vocabulary) for vocabulary in catalogue.vocabularies]
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    row, attribute, slot = np.nonzero(catalogue.attributes)
    place = start[attribute] + catalogue.attributes[row, attribute, slot]
    key = np.unique(row.astype(np.int64) * max(1, int(start[-1])) + place)  # a value named twice counts once
    row, place = key // max(1, int(start[-1])), key % max(1, int(start[-1]))
    counts = np.bincount(place, minlength=int(start[-1]))
    used = (counts >= 2) & (counts <= most)
    feature = np.where(used, first - 1 + np.cumsum(used), -1).astype(np.int32)
    kept = used[place] if len(place) else np.empty(0, bool)
    return start, feature, row[kept].astype(np.int32), feature[place[kept]]


@dataclass(frozen=True)
class ContentMap:
    """A linear map from TF-IDF features to the space of item vectors."""

    coefficients: F32  # (n_features, dim)
    intercept: F32  # (dim,)

    def vectors(self, content: Matrix) -> F32:
        """(n_items, dim) float32; zero for items without any content."""
        mapped = as_scipy(content) @ self.coefficients + self.intercept
        mapped[content.lengths == 0] = 0
        return np.ascontiguousarray(mapped, np.float32)

    def vector(self, features: I32, weights: F32) -> F32:
        """(dim,) float32 of one item."""
        if not len(features):
            return np.zeros_like(self.intercept)
        return (weights @ self.coefficients[features] + self.intercept).astype(np.float32)


def fit_map(content: Matrix, vectors: F32, counts: NDArray[np.int64], ridge: float = 1.0) -> ContentMap:
    """Ridge regression from content to vectors over the items with events, weighted by sqrt(popularity), mean weight 1.

    Cost: 40 conjugate-gradient steps of 2 nnz dim multiply-adds.
    """
    rows = np.flatnonzero((counts > 0) & (content.lengths > 0))
    dim = vectors.shape[1]
    if not len(rows):
        return ContentMap(np.zeros((content.n_columns, dim), np.float32), np.zeros(dim, np.float32))
    weight = np.sqrt(counts[rows]).astype(np.float64)
    weight /= weight.mean()
    x = as_scipy(content)[rows]
    intercept = (weight[:, None] * vectors[rows]).sum(0) / weight.sum()
    target = vectors[rows] - intercept
    coefficients = conjugate_gradient(x, weight, target, ridge)
    return ContentMap(coefficients.astype(np.float32), intercept.astype(np.float32))


def conjugate_gradient(x: sparse.csr_matrix, weight: NDArray[np.float64], target: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Solves (x^T W x + ridge) b = x^T W target, all columns at once."""
    xt = x.T.tocsr()
    b = np.zeros((x.shape[1], target.shape[1]))
    residual = xt @ (weight[:, None] * target)
    direction, size = residual.copy(), (residual**2).sum(0)
    for _ in range(SWEEPS_CG):
        image = xt @ (weight[:, None] * (x @ direction)) + ridge * direction
        step = size / np.maximum((direction * image).sum(0), 1e-30)
        b += step * direction
        residual -= step * image
        before, size = size, (residual**2).sum(0)
        direction = residual + direction * (size / np.maximum(before, 1e-30))
    return b


def as_scipy(matrix: Matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix((matrix.value, matrix.column, matrix.start), shape=(matrix.n_rows, matrix.n_columns))


def fit_neighbours(content: Matrix, neighbours: int) -> Matrix:
    """The most similar items of every item by cosine, as (n_items, n_items) in source rows.

    Cost: the sum over items of the lengths of their features' lists, each at most POSTING_CAP.
    """
    lists = Lists(np.full((content.n_rows, neighbours), -1, np.int32), np.zeros((content.n_rows, neighbours), np.float32))
    alike(content, content.transposed(), POSTING_CAP, lists)
    return listed(*lists)


@njit(cache=True, nogil=True)
def alike(content: Matrix, by_feature: Matrix, cap: int, lists: Lists) -> None:
    """Fills every item's nearest other items over features of at most `cap` items."""
    n_items, limit = lists.item.shape
    total, touched = np.zeros(n_items, np.float32), np.empty(n_items, np.int32)
    for item in range(n_items):
        n = 0
        for t in range(content.start[item], content.start[item + 1]):
            low, high = by_feature.start[content.column[t]], by_feature.start[content.column[t] + 1]
            if high - low > cap:
                continue
            for s in range(low, high):
                j = by_feature.column[s]
                if total[j] == 0:
                    touched[n] = j
                    n += 1
                total[j] += content.value[t] * by_feature.value[s]
        size = 0
        for j in touched[:n]:
            if j != item:
                size = push(lists.strength[item], lists.item[item], size, limit, total[j], j)
            total[j] = 0
