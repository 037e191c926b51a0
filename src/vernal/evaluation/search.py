"""How well queries are answered by words, by meaning, and by both; on judged queries, beside each other.

In: judgements, the two legs, the items' ids by number. Out: lists and their quality per leg, and queries ready for `fusion.tune`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vernal.config import Settings
from vernal.evaluation.intervals import Interval, paired_difference
from vernal.evaluation.judgements import Judgements, PerQuery, best_dcg
from vernal.events.history import DESCRIBED, HIDDEN, Catalogue
from vernal.retrieval.fusion import PULLS, Judged, ranked
from vernal.retrieval.hits import Hits
from vernal.retrieval.lexical import Lexical, LexicalWriter, pair
from vernal.retrieval.semantic import Semantic, text_of

DEPTH = 200  # items that each leg finds
ByWords = Callable[[str], Hits]  # what words find for a query, DEPTH deep


def searchable(catalogue: Catalogue) -> Iterable[int]:
    """Items that a search may find."""
    return np.flatnonzero((catalogue.flags & (DESCRIBED | HIDDEN)) == DESCRIBED).tolist()


def pairs_of(catalogue: Catalogue, number: int) -> list[tuple[str, str]]:
    """(attribute, value) of an item."""
    coded = zip(catalogue.attribute_names, catalogue.vocabularies, catalogue.attributes[number], strict=True)
    return [(name, values[code]) for name, values, codes in coded for code in codes.tolist() if code]


def texts_of(catalogue: Catalogue) -> list[str]:
    """What each item says, by number; empty for those that no search may find."""
    texts = [""] * len(catalogue)
    for number in searchable(catalogue):
        texts[number] = text_of(catalogue.titles[number], catalogue.texts[number], [value for _, value in pairs_of(catalogue, number)])
    return texts


def indexed(catalogue: Catalogue, settings: Settings, folder: Path) -> Lexical:
    """A text index of a catalogue, made in a folder. Cost: 0.1 ms per item of 200 words."""
    writer = LexicalWriter(folder, settings)
    for number in searchable(catalogue):
        writer.put(number, catalogue.titles[number], catalogue.texts[number], [pair(*found) for found in pairs_of(catalogue, number)])
    writer.commit(0)
    lexical = Lexical(folder, settings)
    lexical.refresh()
    writer.close()
    return lexical


def judged(judgements: Judgements, by_words: ByWords, semantic: Semantic, ids: Sequence[str], pulls: Sequence[float] = PULLS) -> list[Judged]:
    """The queries with the candidates of both legs, for every pull."""
    number = {item: at for at, item in enumerate(ids)}
    found = []
    for query, relevant in judgements.relevance.items():
        words, vector = by_words(judgements.text[query]), semantic.vector(judgements.text[query]).vector
        legs = {pull: semantic.legs(vector, words, DEPTH, pull=pull) for pull in pulls}
        found.append(Judged(legs, {number[item]: value for item, value in relevant.items() if item in number}, best_dcg(relevant)))
    return found


@dataclass(frozen=True)
class SearchReport:
    """The quality of each leg and of both on n judged queries."""

    by_leg: dict[str, PerQuery]  # words, meaning, both
    gain: Interval  # nDCG@10 of both over words
    n_unknown: int  # relevant items that are not in the catalogue

    @classmethod
    def of(cls, judgements: Judgements, by_words: ByWords, semantic: Semantic | None, ids: Sequence[str]) -> "SearchReport":
        """Asks every query. Cost: 1 ms a query, and what the encoder takes."""
        lists: dict[str, list[list[str]]] = {leg: [] for leg in (("words", "meaning", "both") if semantic else ("words",))}
        for query in judgements.relevance:
            text = judgements.text[query]
            words = by_words(text)
            lists["words"].append(named(words, ids))
            if semantic:
                vector = semantic.vector(text).vector
                lists["meaning"].append(named(Hits.none() if vector is None else semantic.search(vector, DEPTH), ids))
                lists["both"].append(named(ranked(semantic.legs(vector, words, DEPTH), semantic.fusion, DEPTH), ids))
        by_leg = {leg: PerQuery.of(found, list(judgements.relevance.values())) for leg, found in lists.items()}
        last = by_leg[list(by_leg)[-1]]
        gain = paired_difference(last.ndcg_10, by_leg["words"].ndcg_10, np.arange(len(judgements), dtype=np.int32))
        known = set(ids)
        return cls(by_leg, gain, sum(item not in known for relevant in judgements.relevance.values() for item in relevant))


def named(hits: Hits, ids: Sequence[str]) -> list[str]:
    return [ids[number] for number in hits.item.tolist()]
