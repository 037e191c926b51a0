"""Attribute values and their codes, as item records are folded one by one.

The codes are those of `events.catalogue`: in order of first mention in the log, so live tables and training agree without an exchange.
"""

import json
from collections.abc import Sequence

from vernal.events.catalogue import CatalogueBuilder
from vernal.events.schema import Item
from vernal.features.table import Texts


class Words:
    """Codes of attribute values; every new value is appended to a text that readers follow, one line [attribute, value] each."""

    def __init__(self, attributes: Sequence[str], kept: Texts) -> None:
        self.attributes, self.kept = attributes, kept
        self.builder = CatalogueBuilder(list(attributes))

    def encode(self, record: Item) -> list[list[int]]:
        """Per attribute the record's codes, at most SLOTS."""
        coded = []
        for place, name in enumerate(self.attributes):
            known = self.builder.codes[place]
            before = len(known)
            coded.append(self.builder.encode(place, record.attributes.get(name, [])))
            if len(known) > before:
                self.keep(place, list(known)[before:])
        return coded

    def load(self, vocabularies: Sequence[Sequence[str]]) -> None:
        """Takes whole vocabularies, code 0 = ""; the state must be empty."""
        for place, words in enumerate(vocabularies):
            self.builder.codes[place].update((word, code) for code, word in enumerate(words))
            self.keep(place, words[1:])

    def vocabularies(self) -> list[list[str]]:
        """Per attribute: code -> value."""
        return [list(codes) for codes in self.builder.codes]

    def keep(self, attribute: int, words: Sequence[str]) -> None:
        self.kept.append("".join(f"{json.dumps([attribute, word])}\n" for word in words).encode())
