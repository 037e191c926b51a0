"""What matches a text: words and meaning side by side, as candidates in order of relevance.

In: the text as typed, and which items may be shown. Out: `Matches`, at most k items with the scores of both legs and one relevance. A leg that is missing or
fails is left out and said in `notes`; without any leg nothing matches.
"""

import logging
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vernal.errors import StateError
from vernal.retrieval.board import HIDDEN, Mask
from vernal.retrieval.clicks import QueryClicks
from vernal.retrieval.fusion import WORDS_ALONE, Legs, fused
from vernal.retrieval.hits import Hits
from vernal.retrieval.lexical import Lexical, pair
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.semantic import Semantic
from vernal.terms import SOURCES

WAIT_S = 0.02  # for the vector of a query; later ones come without their meaning
log = logging.getLogger("vernal.retrieval")
Filters = tuple[tuple[str, tuple[str, ...]], ...]  # (attribute, values): all must hold, each by any of its values
LEXICAL_BIT, SEMANTIC_BIT = 1 << SOURCES.index("lexical"), 1 << SOURCES.index("semantic")


class Matches(NamedTuple):
    """Items that match, most relevant first."""

    item: I32  # (n,)
    lexical: F32  # (n,) BM25; 0 = no word of it was found
    semantic: F32  # (n,) cosine; NaN = not known
    relevance: F32  # (n,) 0..1, both together
    clicks: F32  # (n,) how often it is chosen for this query beyond its position; NaN = the query was not seen
    words: int = 0  # of the query
    notes: tuple[str, ...] = ()

    @classmethod
    def none(cls, *notes: str) -> "Matches":
        empty = np.empty(0, np.float32)
        return cls(np.empty(0, np.int32), empty, empty, empty, empty, 0, notes)

    @property
    def sources(self) -> NDArray[np.uint32]:
        """(n,) bits of the legs that found each."""
        found = np.where(self.lexical > 0, LEXICAL_BIT, 0) | np.where(self.semantic > 0, SEMANTIC_BIT, 0)
        return found.astype(np.uint32)

    def at(self, item: NDArray[np.int32]) -> NDArray[np.int64]:
        """(m,) places of items among the matches; -1 = it does not match."""
        order = np.argsort(self.item, kind="stable")
        place = np.searchsorted(self.item, item, sorter=order).clip(max=max(0, len(order) - 1))
        if not len(order):
            return np.full(len(item), -1, np.int64)
        return np.where(self.item[order[place]] == item, order[place], -1)


class Finder(Protocol):
    """Finds what matches a text."""

    def find(self, text: str, filters: Filters, mask: Mask, k: int) -> Matches:
        """At most k eligible items; `filters` and `mask.allowed` say the same, by name and by item."""
        ...


class TextFinder:
    """Finds by words and by meaning; implements `Finder`.

    Parameters
    ----------
    lexical : the index of words, which follows the catalogue
    semantic : meaning, of the release that answers; none = words alone
    clicks : what was chosen for a query before, of the same release
    """

    def __init__(self, lexical: Lexical, semantic: Semantic | None = None, clicks: QueryClicks | None = None, problems: tuple[str, ...] = ()) -> None:
        self.lexical, self.semantic, self.clicks, self.problems = lexical, semantic, clicks or QueryClicks.none(), problems

    def find(self, text: str, filters: Filters, mask: Mask, k: int) -> Matches:
        """As `Finder`. Cost: bench/search_latency."""
        words, said = self.by_words(text, filters, k)
        vector, notes = self.meaning(text)
        legs = self.semantic.legs(vector, words, k, mask) if self.semantic else Legs.of(words, Hits.none())
        relevance = fused(legs, self.semantic.fusion if self.semantic else WORDS_ALONE)
        kept = np.flatnonzero(passing(legs.item, mask) & (relevance > 0))
        best = kept[np.lexsort((legs.item[kept], -relevance[kept]))[:k]]
        stems, item = self.lexical.analyser.stems(text), legs.item[best]
        semantic = legs.semantic[best] if vector is not None else np.full(len(best), np.nan, np.float32)
        return Matches(item, legs.lexical[best], semantic, relevance[best], self.clicks.of(stems, item), len(stems), (*self.problems, *said, *notes))

    def by_words(self, text: str, filters: Filters, k: int) -> tuple[Hits, tuple[str, ...]]:
        """What the index of words finds; nothing where it cannot be read."""
        try:
            return self.lexical.search(text, k, [[pair(attribute, value) for value in values] for attribute, values in filters]), ()
        except StateError as error:
            log.error("words cannot be searched: %s", error)
            return Hits.none(), ("q: the index of words cannot be read just now, so only meaning was searched",)

    def meaning(self, text: str) -> tuple[F32 | None, tuple[str, ...]]:
        """The vector of a text, or why there is none."""
        if self.semantic is None:
            return None, ()
        found = self.semantic.vector(text, WAIT_S)
        return found.vector, () if found.vector is not None else (f"q: {found.note}",)


def passing(item: I32, mask: Mask) -> NDArray[np.bool_]:
    """(n,) whether an item may be shown to anybody."""
    known = (item >= 0) & (item < mask.n)
    number = np.where(known, item, 0)
    passes = known & ((mask.flags[number] & (HIDDEN | mask.need)) == mask.need)
    if len(mask.allowed):
        passes &= (number < len(mask.allowed)) & (mask.allowed[np.minimum(number, len(mask.allowed) - 1)] != 0)
    return np.asarray(passes, np.bool_)
