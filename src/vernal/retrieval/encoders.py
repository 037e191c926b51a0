"""Encoders: text in, unit vectors out.

`Lsa` needs nothing but the catalogue: TF-IDF over its own words, reduced by a randomised SVD. Packaged and remote models are engines behind the same
`Encoder`. A row depends on its own text alone, whatever is encoded beside it, so vectors made at different times may be compared and kept.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.linalg
import scipy.sparse as sparse
from numpy.typing import NDArray

from vernal.clock import Clock, SystemClock
from vernal.errors import EncoderError
from vernal.retrieval.linear import F32, I32
from vernal.terms import US_PER_S

Words = Callable[[str], Sequence[str]]  # the words of a text, in order, as `analysis.Analyser` finds them

MAX_WORDS = 50_000
FITTED_ON = 30_000  # texts; more change what words mean together very little, and cost in proportion
OVERSAMPLE = 16  # directions beyond those wanted
ROUNDS = 2  # of subspace iteration
MOST_KEPT = 4_096  # vectors of queries
MOST_COMING = 64  # queries that wait for a slow encoder
LONGEST = 2_000  # characters of a query that are read
REST_S = 5  # an encoder that failed is left alone


class Encoder(Protocol):
    """What turns text into vectors."""

    @property
    def dim(self) -> int: ...
    @property
    def fingerprint(self) -> str:
        """Vectors of encoders with equal fingerprints may be compared."""
        ...

    @property
    def waits(self) -> bool:
        """May one text take longer than a request can wait."""
        ...

    def encode(self, texts: Sequence[str]) -> F32:
        """(n, dim) float32 of unit norm; a zero row where nothing is known of a text.

        Raises
        ------
        EncoderError
            The model is away, too slow, or answers with something else than vectors of `dim`.
        """
        ...


@dataclass(frozen=True)
class Lsa:
    """Latent semantic analysis of one catalogue; an `Encoder`.

    Source: Deerwester et al. 1990; the SVD is Halko, Martinsson, Tropp 2011, algorithms 4.4 and 5.1.

    Example
    -------
    >>> texts = ["deep sea fish", "fish of the sea", "stars and planets", "planets around stars"]
    >>> lsa = Lsa.fit(texts, dim=2, seed=0, words=str.split)
    >>> a, b, c = lsa.encode(["sea", "fish", "stars"])
    >>> round(float(a @ b), 2), round(abs(float(a @ c)), 2), lsa.encode(["whales"]).any()
    (1.0, 0.0, np.False_)
    """

    vocabulary: dict[str, int]
    idf: F32  # (n_words,)
    components: NDArray[np.float16]  # (n_words, dim)
    words: Words
    fingerprint: str
    waits: bool = False

    @classmethod
    def fit(cls, texts: Sequence[str], dim: int, seed: int, words: Words) -> "Lsa":
        """Learns words of two texts or more; `dim` shrinks where the texts say less.

        Cost: bench/train_time; about 2 CPU s per 10,000 texts of 100 words.
        """
        random = np.random.default_rng(seed)
        if len(texts) > FITTED_ON:
            texts = [texts[row] for row in np.sort(random.permutation(len(texts))[:FITTED_ON])]
        rows, flat, known = counted_words(texts, words)
        vocabulary, idf, column = chosen(rows, flat, known, len(texts))
        counted = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, column[flat])), (len(texts), len(idf) + 1))[:, : len(idf)]
        counted.sum_duplicates()
        counted.data = (1 + np.log(counted.data)) * idf[counted.indices]
        norm = np.sqrt(np.asarray(counted.multiply(counted).sum(axis=1)).ravel())
        counted.data /= np.repeat(np.maximum(norm, 1e-9), np.diff(counted.indptr)).astype(np.float32)
        return cls.of(vocabulary, idf, directions(counted, dim, random).astype(np.float16), words)

    @classmethod
    def of(cls, vocabulary: Sequence[str], idf: F32, components: NDArray[np.float16], words: Words) -> "Lsa":
        """An encoder from its parts; the words in the order of the rows."""
        digest = hashlib.sha256("\n".join(vocabulary).encode())
        for array in (idf, components):
            digest.update(np.ascontiguousarray(array).tobytes())
        return cls({word: row for row, word in enumerate(vocabulary)}, idf, components, words, f"lsa:{digest.hexdigest()[:16]}")

    @property
    def dim(self) -> int:
        return self.components.shape[1]

    def encode(self, texts: Sequence[str]) -> F32:
        """As `Encoder`. Cost: 15 us for a query, 60 us for a text of 100 words."""
        out = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            found = [self.vocabulary[word] for word in self.words(text) if word in self.vocabulary]
            if found:
                word, times = np.unique(found, return_counts=True)
                vector = ((1 + np.log(times)) * self.idf[word]).astype(np.float32) @ self.components[word].astype(np.float32)
                out[row] = vector / max(float(np.linalg.norm(vector)), 1e-9)
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything learned, as arrays to be saved."""
        return {"words": np.frombuffer("\n".join(self.vocabulary).encode(), np.uint8), "idf": self.idf, "components": self.components}

    @classmethod
    def opened(cls, arrays: dict[str, NDArray[Any]], words: Words) -> "Lsa":
        """The encoder of `arrays`."""
        text = arrays["words"].tobytes().decode()
        return cls.of(text.split("\n") if text else [], arrays["idf"], arrays["components"], words)


def counted_words(texts: Sequence[str], words: Words) -> tuple[I32, I32, list[str]]:
    """(row, word) of every word of every text, and the words by number, in order of first mention."""
    number: dict[str, int] = {}
    lengths, flat = [], []
    for text in texts:
        found = words(text)
        lengths.append(len(found))
        flat.extend([number.setdefault(word, len(number)) for word in found])
    return np.repeat(np.arange(len(texts), dtype=np.int32), lengths), np.array(flat, np.int32), list(number)


def chosen(rows: I32, flat: I32, known: Sequence[str], n_texts: int) -> tuple[list[str], F32, I32]:
    """The words worth learning (of two texts or more, the most frequent), their idf, and each word's place among them; one past the last = not chosen."""
    pairs = np.unique(rows.astype(np.int64) * max(1, len(known)) + flat)
    df = np.bincount(pairs % max(1, len(known)), minlength=len(known))
    order = np.argsort(-df, kind="stable")[: min(MAX_WORDS, int((df >= 2).sum()))]
    place = np.full(len(known), len(order), np.int32)
    place[order] = np.arange(len(order))
    return [known[word] for word in order], np.log((1 + n_texts) / (1 + df[order])).astype(np.float32), place


def directions(matrix: sparse.csr_matrix, dim: int, random: np.random.Generator) -> NDArray[np.float32]:
    """(n_columns, <= dim): right singular vectors of the largest singular values."""
    wanted = min(dim, *matrix.shape)
    width, turned = min(wanted + OVERSAMPLE, *matrix.shape), matrix.T.tocsr()
    if not wanted:
        return np.zeros((matrix.shape[1], 0), np.float32)
    basis = matrix @ random.standard_normal((matrix.shape[1], width), np.float32)
    for _ in range(ROUNDS):
        basis = matrix @ orthonormal(turned @ orthonormal(basis))
    image = turned @ orthonormal(basis)  # (n_columns, width)
    value, vector = scipy.linalg.eigh(image.T.astype(np.float64) @ image)
    best = np.argsort(-value)[:wanted]
    best = best[value[best] > 1e-6 * value.max(initial=0)]
    return (image @ (vector[:, best] / np.sqrt(value[best]))).astype(np.float32)


def orthonormal(columns: F32) -> F32:
    """A basis of the same columns."""
    return scipy.linalg.qr(columns, mode="economic", check_finite=False)[0]


def encoded(encoder: Encoder, texts: Sequence[str], dim: int) -> F32:
    """(n, dim) vectors of texts.

    Raises
    ------
    EncoderError
        As `Encoder.encode`, and for vectors of another dimension than those they are to be compared with.
    """
    vectors = encoder.encode(texts)
    if vectors.shape[1] != dim:
        raise EncoderError.other_form(encoder.fingerprint, f"vectors of {vectors.shape[1]} numbers", f"{dim} numbers")
    return vectors


class Embedded(NamedTuple):
    """The vector of a query; none has a note that says why."""

    vector: F32 | None
    note: str = ""


class Queries:
    """Vectors of queries, the newest kept by their text. An encoder that is slow or away costs a query its meaning, never the answer.

    A query that was not waited for goes on beside, so the next who asks the same has its vector.
    """

    def __init__(self, encoder: Encoder, dim: int, clock: Clock | None = None) -> None:
        self.encoder, self.dim, self.clock = encoder, dim, clock or SystemClock()
        self.kept: dict[str, F32] = {}
        self.coming: dict[str, Future[Embedded]] = {}
        self.lock, self.beside = threading.Lock(), ThreadPoolExecutor(1, "encoder")  # its thread begins with the first query that needs it
        self.rests_until, self.failure = 0, ""

    def vector(self, text: str, wait_s: float | None = None) -> Embedded:
        """The query's vector, waited for at most `wait_s` where the encoder may be slow; none = as long as it takes. Cost: 1 us for one that is kept."""
        text = text[:LONGEST]
        with self.lock:
            if (known := self.kept.pop(text, None)) is not None:
                self.kept[text] = known  # the newest last
                return Embedded(known)
            if self.clock.now() < self.rests_until:
                return Embedded(None, self.failure)
        if wait_s is None or not self.encoder.waits:
            return self.made(text)
        return self.awaited(text, wait_s)

    def awaited(self, text: str, wait_s: float) -> Embedded:
        """The vector of a query that another thread makes, if it comes in time."""
        with self.lock:
            future = self.coming.get(text)
            if future is None and len(self.coming) < MOST_COMING:
                future = self.coming[text] = self.beside.submit(self.made, text)
        try:
            return future.result(wait_s) if future else Embedded(None, "semantic: the encoder has too many queries before it")
        except TimeoutError:
            return Embedded(None, f"semantic: the encoder took longer than {1_000 * wait_s:.0f} ms")

    def made(self, text: str) -> Embedded:
        """The vector of a query, made now and kept; a failure leaves the encoder alone for a while."""
        try:
            made = Embedded(encoded(self.encoder, [text], self.dim)[0])
        except EncoderError as error:
            made = Embedded(None, f"semantic: {error.sentence().splitlines()[0]}")
        with self.lock:
            self.coming.pop(text, None)
            if made.vector is None:
                self.rests_until, self.failure = self.clock.now() + REST_S * US_PER_S, made.note
            else:
                self.kept[text] = made.vector
                if len(self.kept) > MOST_KEPT:
                    del self.kept[next(iter(self.kept))]
        return made
