"""Judged queries, and how good lists of answers to them are: nDCG@10, Recall@100 and MRR as trec_eval counts them.

In: a file of judgements, with or without a file of queries beside it. Out: one value per query and metric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vernal.errors import RequestError
from vernal.retrieval.fusion import dcg

QUERIES = "queries.tsv"
FORMS = 'TREC qrels ("query 0 item relevance"), or lines of query, item and relevance with tabs between'


@dataclass(frozen=True)
class Judgements:
    """Which items answer which query; only queries that something answers."""

    text: dict[str, str]  # query id -> what is asked
    relevance: dict[str, dict[str, int]]  # query id -> item id -> 1 and more; higher = better

    def __len__(self) -> int:
        return len(self.relevance)

    @classmethod
    def read(cls, file: Path, queries: Path | None = None) -> "Judgements":
        """Judgements of a file.

        Parameters
        ----------
        queries : lines of query id and text with a tab between; default: `queries.tsv` beside the file; where there is none, queries are their own text

        Raises
        ------
        RequestError
            A line that cannot be read, a query without a text, nothing that is relevant.
        """
        queries = queries or (beside if (beside := file.parent / QUERIES).is_file() else None)
        text = dict(pair_of(queries, number, line) for number, line in lines_of(queries)) if queries else None
        relevance: dict[str, dict[str, int]] = {}
        for number, line in lines_of(file):
            query, item, value = judgement_of(file, number, line, own_text=text is None)
            if text is not None and query not in text:
                raise RequestError.invalid(f"{file}:{number}", query, f"a query of {queries}")
            if value > 0:
                relevance.setdefault(query, {})[item] = value
        if not relevance:
            raise RequestError.invalid(str(file), "no relevant item", FORMS)
        return cls({query: query if text is None else text[query] for query in relevance}, relevance)


def lines_of(file: Path) -> list[tuple[int, str]]:
    """The lines of a file that say something, with their numbers."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError.invalid(str(file), str(error), "a readable text file") from None
    return [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def pair_of(file: Path, number: int, line: str) -> tuple[str, str]:
    query, tab, text = line.partition("\t")
    if not tab or not text.strip():
        raise RequestError.invalid(f"{file}:{number}", line, "query id, tab, text")
    return query.strip(), text.strip()


def judgement_of(file: Path, number: int, line: str, *, own_text: bool) -> tuple[str, str, int]:
    """(query, item, relevance) of a line."""
    fields = line.split("\t") if "\t" in line else line.split()
    if len(fields) == 4 and not own_text:
        fields = [fields[0], fields[2], fields[3]]
    try:
        query, item, value = (field.strip() for field in fields)
        return query, item, int(value)
    except ValueError:
        expected = FORMS if len(fields) != 4 else f"three fields, or {QUERIES} beside the file, with the text of every query"
        raise RequestError.invalid(f"{file}:{number}", line, expected) from None


@dataclass(frozen=True)
class PerQuery:
    """How good one list per query was; n queries."""

    ndcg_10: NDArray[np.float64]  # (n,)
    recall_100: NDArray[np.float64]
    reciprocal_rank: NDArray[np.float64]

    @classmethod
    def of(cls, lists: Sequence[Sequence[str]], judgements: Sequence[Mapping[str, int]]) -> "PerQuery":
        """Of lists of distinct items, best first, and what is relevant.

        >>> PerQuery.of([["b", "a"]], [{"a": 1}]).means()["mrr"]
        0.5
        """
        rows = np.array([quality(found, relevant) for found, relevant in zip(lists, judgements, strict=True)], np.float64).reshape(-1, 3)
        return cls(*rows.T)

    def means(self) -> dict[str, float]:
        """Mean over queries by metric name; 0 for no queries."""
        values = {"ndcg@10": self.ndcg_10, "recall@100": self.recall_100, "mrr": self.reciprocal_rank}
        return {name: float(column.mean()) if len(column) else 0.0 for name, column in values.items()}


def quality(found: Sequence[str], relevant: Mapping[str, int]) -> tuple[float, float, float]:
    """(nDCG@10, Recall@100, reciprocal rank) of one list."""
    gains = np.array([relevant.get(item, 0) for item in found], np.float64)
    hits = np.flatnonzero(gains > 0)
    n = sum(value > 0 for value in relevant.values())
    if not len(hits) or not n:
        return 0.0, 0.0, 0.0
    return dcg(np.maximum(gains[:10], 0)) / best_dcg(relevant), int((hits < 100).sum()) / n, 1.0 / (1 + int(hits[0]))


def best_dcg(relevant: Mapping[str, int]) -> float:
    """DCG@10 of the best possible list."""
    return dcg(np.sort(np.maximum(np.array(list(relevant.values()), np.float64), 0))[::-1][:10])
