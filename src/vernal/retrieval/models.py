"""All item models of one release: fitted together, saved as arrays, read back memory-mapped.

In: a history cut at `as_of`, the catalogue, the settings. Out: `ItemModels`, every array indexed by item number below `n`. Nothing about
users is kept. Equal inputs and seed give equal bytes.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vernal import terms
from vernal.config import Settings
from vernal.events.history import DESCRIBED, Catalogue, History
from vernal.release import Draft, Release
from vernal.retrieval.ann import Ivf, build
from vernal.retrieval.content import ContentMap, Vocabulary, describe, fit_map, fit_neighbours
from vernal.retrieval.covisitation import fit_covisitation
from vernal.retrieval.delta import Delta
from vernal.retrieval.ease import fit_ease
from vernal.retrieval.ials import Factors, Hyper, fit_ials, fold_in
from vernal.retrieval.linear import F32
from vernal.retrieval.positives import Matrix, Positives, pairs
from vernal.retrieval.relations import Relations

CONTENT_NEIGHBOURS = 30
ROW_CAP = 4  # times ease_neighbours entries are kept of one item's relation
INDEX_PARTS = ("centroids", "reach", "start", "order", "codes", "scale")
WORD_ARRAYS = ("attribute_start", "attribute_feature", "idf")


@dataclass(frozen=True)
class ItemModels:
    """What retrieval knows about items. All arrays are read-only; only `delta` follows the live table."""

    n: int  # item numbers it knows are below this
    as_of: int  # UTC us; nothing received later was used
    catalogue: bool  # items without a description are then not recommended
    hyper: Hyper
    relations: Relations  # co-visitation, local EASE and content neighbours
    factors: Factors  # vectors: iALS where there are enough events, else mapped from content
    index: Ivf | None  # of the vectors; none = scan them exactly
    vocabulary: Vocabulary
    mapping: ContentMap
    delta: Delta  # vectors of items newer than the models
    parts: tuple[dict[str, Any], dict[str, NDArray[Any]]]  # what `built` took

    @cached_property
    def flat(self) -> tuple[Any, ...]:
        """Relations, factors and index as plain tuples, as the kernel of a request takes them."""
        return tuple(self.relations), tuple(self.factors), None if self.index is None else tuple(self.index)

    def save(self, draft: Draft) -> None:
        """Writes arrays `retrieval.*` and the text `retrieval` into a release being written."""
        about, arrays = self.parts
        for name, array in arrays.items():
            draft.put_array(f"retrieval.{name}", array)
        draft.put_json("retrieval", about)

    @classmethod
    def load(cls, release: Release) -> "ItemModels":
        """The models of a release, memory-mapped."""
        about = release.json("retrieval")
        return cls.built(about, {name: np.asarray(release.array(f"retrieval.{name}")) for name in about["arrays"]})

    @classmethod
    def built(cls, about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "ItemModels":
        """Models from their parts. Arrays become read-only, so that kernels see the same types after fitting and after loading."""
        for array in arrays.values():
            array.flags.writeable = False
        n = about["n"]
        vocabulary = Vocabulary({word: at for at, word in enumerate(about["words"])}, *(arrays[name] for name in WORD_ARRAYS))
        mapping = ContentMap(arrays["coefficients"], arrays["intercept"])
        return cls(
            n=n,
            as_of=about["as_of"],
            catalogue=about["catalogue"],
            relations=Relations(arrays["relations.start"], arrays["relations.entries"]),
            hyper=Hyper(**about["hyper"]),
            factors=Factors.of(arrays["vectors"], arrays["gram"], **about["factors"]),
            index=Ivf(**{part: arrays[f"index.{part}"] for part in INDEX_PARTS}, n_probe=about["n_probe"]) if "n_probe" in about else None,
            vocabulary=vocabulary,
            mapping=mapping,
            delta=Delta(n, vocabulary, mapping),
            parts=(about | {"arrays": sorted(arrays)}, arrays),
        )


class Content(NamedTuple):
    """What the catalogue alone says; made once for models of many moments."""

    vocabulary: Vocabulary
    described: Matrix  # (n, n_features)
    neighbours: Matrix  # (n, n)

    @classmethod
    def of(cls, catalogue: Catalogue, n: int) -> "Content":
        """Cost: 10 CPU s for 92,000 products; nearly all of it neighbours."""
        vocabulary, described = describe(catalogue, n)
        return cls(vocabulary, described, fit_neighbours(described, CONTENT_NEIGHBOURS))


def fit(
    history: History,
    catalogue: Catalogue,
    settings: Settings,
    as_of: int,
    seed: int,
    hyper: Hyper | None = None,
    content: Content | None = None,
    *,
    indexed: bool = True,
) -> ItemModels:
    """Fits every item model on what was received before `as_of` (UTC us).

    Parameters
    ----------
    hyper : chosen hyper-parameters (`tuner.tune`); default: the untuned ones.
    content : `Content.of` this catalogue and its number of items, when it is at hand.
    indexed : false leaves the index of a large catalogue out: vectors are then scanned exactly, which pays for a few thousand requests.

    A history without positives gives models that propose nothing; trending and fresh items still come from the live table.
    """
    hyper, choice = hyper or Hyper(), settings.retrieval
    positives = Positives.of(history.before(as_of), settings.events)
    n = max(len(catalogue), history.n_items)
    matrix = widened(pairs(positives, choice.min_events), n)
    vocabulary, described, alike = content or Content.of(catalogue, n)
    factors = fit_ials(matrix, choice.ials_dim, hyper, seed)
    counts = np.bincount(matrix.column, minlength=n)
    mapping = fit_map(described, factors.vectors, counts)
    vectors = np.ascontiguousarray(np.where((counts > 0)[:, None], factors.vectors, mapping.vectors(described)), np.float32)
    arrays: dict[str, NDArray[Any]] = {"vectors": vectors, "gram": factors.gram, "coefficients": mapping.coefficients, "intercept": mapping.intercept}
    arrays |= {name: getattr(vocabulary, name) for name in WORD_ARRAYS}
    company = fit_covisitation(positives, choice.min_events, choice.covisitation_neighbours, as_of // terms.US_PER_S)
    matrices = (widened(company, n), fit_ease(matrix, choice.ease_neighbours, choice.ease_ridge, seed), alike)
    relations = Relations.of(matrices, ROW_CAP * choice.ease_neighbours)
    arrays |= {"relations.start": relations.start, "relations.entries": relations.entries}
    about: dict[str, Any] = {"n": n, "as_of": as_of, "catalogue": bool((catalogue.flags & DESCRIBED).any()), "hyper": asdict(hyper)}
    about["words"] = sorted(vocabulary.words, key=vocabulary.words.__getitem__)
    about["factors"] = {"reg": factors.reg, "nu": factors.nu, "unobserved": factors.unobserved}
    if indexed and n > choice.exact_below:
        index = build(vectors, sample_queries(matrix, factors, seed), seed)
        arrays |= {f"index.{part}": getattr(index, part) for part in INDEX_PARTS}
        about["n_probe"] = index.n_probe
    return ItemModels.built(about, arrays)


def sample_queries(matrix: Matrix, factors: Factors, seed: int, n: int = 64) -> F32:
    """(<= n, dim) vectors of users drawn at random: what the index will be asked."""
    users = np.flatnonzero(matrix.lengths > 0)
    users = np.random.default_rng(seed).permutation(users)[:n]
    queries = np.zeros((len(users), factors.dim), np.float32)
    none = np.empty((0, factors.dim), np.float32)
    for row, user in enumerate(users):
        entries = slice(matrix.start[user], matrix.start[user + 1])
        items, values = matrix.column[entries], matrix.value[entries]
        fold_in(factors, none, items, values, len(items), queries[row])
    return queries


def widened(matrix: Matrix, n: int) -> Matrix:
    """The matrix with `n` columns, and with `n` rows where it was square; the added ones are empty."""
    rows = n if matrix.n_rows == matrix.n_columns else matrix.n_rows
    start = np.concatenate([matrix.start, np.full(rows - matrix.n_rows, matrix.start[-1], np.int64)])
    return Matrix(start, matrix.column, matrix.value, n)
