"""From logged searches to the rows that are watched: how much is searched, for what, how often nothing is found, and how often people try again.

In: the slates of a window that a text asked for. Out, per search: how many words it has, whether anything was found, whether the same user had searched for
another text within the minute before, and the text itself as a category. What is asked is a feature of the world; that nothing is found, or that people have
to ask again, is what came of the answers.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from vernal.events.schema import Slate
from vernal.monitoring.bins import TOP, Bins, edges_of, known_of
from vernal.monitoring.schema import MISSING_KEY, Column, Kind, Schema, Stream, keys_of
from vernal.monitoring.streams import MOST_ROWS, Rows
from vernal.terms import US_PER_S

SEARCHES: Final = "searches"
WORDS: Final = f"{SEARCHES}.words"
QUERY: Final = f"{SEARCHES}.query"
FOUND: Final = f"{SEARCHES}.found"
AGAIN: Final = f"{SEARCHES}.again"
ANSWERS: Final = {FOUND: ("something", "nothing"), AGAIN: ("the first", "again")}  # keys 0 and 1
AGAIN_US: Final = 60 * US_PER_S  # another text of the same user within this: the first one did not do
MOST_NAMES: Final = 100_000  # texts whose wording is remembered


class Searches:
    """The stream of searches: who searched last for what, and the rows of the next window."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, str]] = {}  # user -> time and text of their newest search
        self.names: dict[int, str] = {}

    def rows(self, slates: Sequence[Slate], number: int) -> Rows:
        """Rows of the searches of a window, in order of arrival; `number` decides which of very many are kept. Cost: 5 us a search."""
        texts = [" ".join(slate.q.lower().split()) for slate in slates]
        numeric = np.array([[len(text.split())] for text in texts], np.float64).reshape(-1, 1)
        keys = keys_of(texts)
        if len(self.names) < MOST_NAMES:
            self.names |= dict(zip(keys.tolist(), texts, strict=True))
        empty = np.array([not slate.items for slate in slates], np.int64)
        categorical = np.column_stack([keys, empty, self.again(slates, texts)]).astype(np.int64)
        newest = max((slate.time for slate in slates), default=0)
        self.last = {user: found for user, found in self.last.items() if found[0] > newest - AGAIN_US}
        kept = np.arange(len(texts))
        if len(kept) > MOST_ROWS:
            kept = np.sort(np.random.default_rng(number).choice(kept, MOST_ROWS, replace=False))
        return Rows(len(texts), numeric[kept], categorical[kept])

    def again(self, slates: Sequence[Slate], texts: Sequence[str]) -> list[int]:
        """1 where a user had searched for another text just before; missing of nobody in particular."""
        out = []
        for slate, text in zip(slates, texts, strict=True):
            at, before = self.last.get(slate.user, (0, text))
            out.append(int(text != before and slate.time - at < AGAIN_US) if slate.user else MISSING_KEY)
            if slate.user:
                self.last[slate.user] = slate.time, text
        return out

    @staticmethod
    def schema() -> Schema:
        answers = (Column(name, Kind.CATEGORICAL, Stream.PREDICTION) for name in ANSWERS)
        return Schema.of([Column(WORDS), Column(QUERY, Kind.CATEGORICAL), *answers])

    @staticmethod
    def bins(windows: Sequence[Rows]) -> Bins:
        """Bins of the past windows; either answer is known, whether or not it was given."""
        numeric, keys = np.concatenate([w.numeric for w in windows]), np.concatenate([w.categorical for w in windows])
        either = [np.array([0, 1], np.int64)] * len(ANSWERS)
        return Bins.of(np.array([edges_of(column) for column in numeric.T]), [known_of(keys[:, 0]), *either])

    def labels(self, bins: Bins) -> dict[str, list[str]]:
        """The commonest texts, and what the answers are called."""
        texts = [self.names.get(key, "") for key in bins.known[bins.start[0] : bins.start[1]][:TOP].tolist()]
        return {QUERY: texts} | {name: list(answers) for name, answers in ANSWERS.items()}
