"""Text to words, the same for catalogue and queries: lower case, no accents, no stop words, stems.

A query is text like any other: there is no syntax, so nothing in it can be wrong or do harm. What is left of it are at most `MOST_WORDS` words, each with
what the settings say it may mean as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from vernal.config import Search

LONGEST = 64  # bytes of a word; longer ones are no words
MOST_WORDS = 64  # words of a query that are looked for
MOST_CHARACTERS = 10_000  # of a query that are looked at
NO_STOP_WORDS = frozenset({"arabic", "greek", "romanian", "tamil", "turkish"})  # languages without a list of them

Phrase = tuple[str, ...]


class Word(NamedTuple):
    """A word of a query."""

    stem: str
    surface: str  # as written, in lower case and without accents


class Wanted(NamedTuple):
    """A word of a query, or several that have synonyms together."""

    words: tuple[Word, ...]
    others: tuple[Phrase, ...] = ()  # stems of what it may mean as well; a phrase is found where all of its words are


class Analyser:
    """Turns text into words.

    Example
    -------
    >>> analyser = Analyser("english", {"tv": ["television"]})
    >>> analyser.stems("The Cafés' running DOGS")
    ['cafe', 'run', 'dog']
    >>> [(wanted.words[0].stem, wanted.others) for wanted in analyser.query('"tv" stands')]
    [('tv', (('televis',),)), ('stand', ())]
    """

    def __init__(self, language: str, synonyms: Mapping[str, Sequence[str]]) -> None:
        self.plain = built("", stop_words=False)
        self.full = built(language, stop_words=bool(language) and language not in NO_STOP_WORDS)
        self.synonyms = {tuple(self.stems(name)): tuple(tuple(self.stems(other)) for other in others) for name, others in synonyms.items()}
        self.synonyms.pop((), None)
        self.longest = max(map(len, self.synonyms), default=1)

    @classmethod
    def of(cls, search: Search) -> "Analyser":
        """The analyser of the settings."""
        return cls(search.language, search.synonyms)

    def stems(self, text: str) -> list[str]:
        """Stems of a text's words, in order. Cost: 0.2 us a word."""
        return self.full.analyze(encodable(text))

    def surfaces(self, text: str) -> list[str]:
        """A text's words in lower case and without accents; nothing is left out or cut."""
        return self.plain.analyze(encodable(text))

    def places(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Stem, first character and end of a text's words. Cost: 0.5 us a word."""
        for token in self.full.pre_tokenize(encodable(text)).tokens:
            yield token.text, token.char_offset_from, token.char_offset_to or 0

    def query(self, q: str) -> list[Wanted]:
        """What a query asks for, in its order."""
        q = q[:MOST_CHARACTERS]
        words = [Word(stem, "".join(self.surfaces(q[start:end]))) for stem, start, end in islice(self.places(q), MOST_WORDS)]
        made, at = [], 0
        while at < len(words):
            length = self.known(words, at)
            group = tuple(words[at : at + max(length, 1)])
            made.append(Wanted(group, self.synonyms[stems(group)] if length else ()))
            at += len(group)
        return made

    def known(self, words: Sequence[Word], at: int) -> int:
        """How many words from here on have synonyms together; the most that do, or 0."""
        return next((n for n in range(min(self.longest, len(words) - at), 0, -1) if stems(words[at : at + n]) in self.synonyms), 0)


def stems(words: Sequence[Word]) -> Phrase:
    return tuple(word.stem for word in words)


def built(language: str, *, stop_words: bool) -> TextAnalyzer:
    """Tantivy's analyser: runs of letters and digits."""
    builder = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(LONGEST)).filter(Filter.lowercase()).filter(Filter.ascii_fold())
    if stop_words:
        builder = builder.filter(Filter.stopword(language))
    return builder.filter(Filter.stemmer(language)).build() if language else builder.build()


def encodable(text: str) -> str:
    """The text with a question mark for each half of a character, as some clients send them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
