"""What the search benches share: judged collections as catalogues, and search over them made by the code that training uses."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vernal.config import Search, Settings
from vernal.engines.onnx import minilm
from vernal.evaluation.judgements import Judgements
from vernal.evaluation.search import DEPTH, ByWords, indexed
from vernal.events.catalogue import CatalogueBuilder
from vernal.events.history import Catalogue
from vernal.events.schema import Item
from vernal.retrieval.encoders import Encoder
from vernal.retrieval.semantic import Semantic
from vernal.training.meaning import fitted

DATA = Path(__file__).parents[2] / "shared" / "data"
ALL = "all"
MANY = 1_000  # texts


class Collection(NamedTuple):
    """Documents as items, and judged queries by split."""

    catalogue: Catalogue
    judged: dict[str, Judgements]


def one_thread() -> None:
    """For the contestants that are started from here on."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")


def collection(name: str) -> Collection:
    """scifact (splits train and test) or vaswani (split all)."""
    docs, queries, qrels = (pl.read_parquet(DATA / name / f"{part}.parquet") for part in ("docs", "queries", "qrels"))
    builder, ids = CatalogueBuilder([]), docs["doc_id"].to_list()
    titles = docs["title"].to_list() if "title" in docs.columns else [""] * len(ids)
    for number, (item, title, text) in enumerate(zip(ids, titles, docs["text"].to_list(), strict=True)):
        builder.put(number, Item(item, title=title or "", text=text or ""))
    if "split" not in queries.columns:
        queries, qrels = (frame.with_columns(split=pl.lit(ALL)) for frame in (queries, qrels))
    asked = dict(queries.select("query_id", "text").iter_rows())
    found: dict[str, dict[str, dict[str, int]]] = {}
    for split, query, item, relevance in qrels.select("split", "query_id", "doc_id", "relevance").iter_rows():
        if relevance > 0:
            found.setdefault(split, {}).setdefault(query, {})[item] = relevance
    return Collection(builder.build(ids), {split: Judgements({query: asked[query] for query in judged}, judged) for split, judged in found.items()})


class Remembering:
    """An `Encoder` that keeps what it made of whole catalogues in the temporary directory, for the benches that come after; queries are always encoded."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.dim, self.fingerprint, self.waits = encoder, encoder.dim, encoder.fingerprint, encoder.waits

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(texts) < MANY:
            return self.encoder.encode(texts)
        digest = hashlib.sha256("\0".join([self.fingerprint, *texts]).encode()).hexdigest()[:16]
        file = Path(tempfile.gettempdir()) / "vernal-bench-texts" / f"{digest}.npy"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            np.save(file.with_suffix(".part.npy"), self.encoder.encode(texts))
            file.with_suffix(".part.npy").replace(file)
        return np.load(file)


def engine(_: str) -> Encoder:
    return Remembering(minilm())


def settings_of(encoder: str) -> Settings:
    """The defaults, with this encoder."""
    return Settings(search=Search(encoder=encoder))


def semantic_of(catalogue: Catalogue, encoder: str) -> tuple[Semantic, float]:
    """Search by meaning as a release has it, and the CPU seconds that making it took."""
    began = time.process_time()
    semantic = fitted(catalogue, settings_of(encoder), engine)
    assert semantic is not None
    return semantic, time.process_time() - began


@contextmanager
def words_of(catalogue: Catalogue) -> Iterator[ByWords]:
    """Search by words as a server has it."""
    with tempfile.TemporaryDirectory() as folder:
        lexical = indexed(catalogue, Settings(), Path(folder))
        yield lambda text: lexical.search(text, DEPTH)
