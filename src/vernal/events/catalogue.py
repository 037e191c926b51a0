"""The catalogue as columns, built record by record in log order.

Codes of attribute values are given in order of first mention in the log, so they only ever grow, and whoever folds the same records
gets the same codes: training, live tables and replay agree without exchanging a vocabulary.
"""

import numpy as np

from vernal.events.history import DESCRIBED, HIDDEN, SLOTS, Catalogue
from vernal.events.schema import Item


class CatalogueBuilder:
    """Folds item records into a `Catalogue`; a later record replaces an earlier one whole.

    Example
    -------
    >>> builder = CatalogueBuilder(["genre"])
    >>> builder.put(0, Item("a", title="A", attributes={"genre": ["crime", "drama"]}))
    [[1, 2]]
    >>> catalogue = builder.build(["a"])
    >>> catalogue.attributes[0, 0].tolist(), catalogue.vocabularies[0]
    ([1, 2, 0, 0], ['', 'crime', 'drama'])
    """

    def __init__(self, attribute_names: list[str]) -> None:
        self.attribute_names = attribute_names
        self.codes: list[dict[str, int]] = [{"": 0} for _ in attribute_names]
        self.rows: dict[int, tuple[Item, list[list[int]]]] = {}

    def put(self, number: int, record: Item) -> list[list[int]]:
        """Takes one record; returns its codes, per attribute at most `SLOTS`."""
        coded = [self.encode(position, record.attributes.get(name, [])) for position, name in enumerate(self.attribute_names)]
        self.rows[number] = (record, coded)
        return coded

    def encode(self, attribute: int, values: list[str]) -> list[int]:
        codes = self.codes[attribute]
        return [codes.setdefault(value, len(codes)) for value in dict.fromkeys(values) if value][:SLOTS]

    def build(self, ids: list[str]) -> Catalogue:
        """The catalogue of the items numbered 0..len(ids)-1; the undescribed have empty rows."""
        n = len(ids)
        attributes = np.zeros((n, len(self.attribute_names), SLOTS), dtype=np.int32)
        flags = np.zeros(n, dtype=np.uint8)
        titles, texts = [""] * n, [""] * n
        for number, (record, coded) in self.rows.items():
            titles[number], texts[number], flags[number] = record.title, record.text, flags_of(record)
            for position, codes in enumerate(coded):
                attributes[number, position, : len(codes)] = codes
        return Catalogue(ids, titles, texts, self.attribute_names, attributes, [list(codes) for codes in self.codes], flags)


def flags_of(record: Item) -> int:
    """The bits of an item's newest record: a deleted one is hidden and no longer described."""
    if record.deleted:
        return HIDDEN
    return DESCRIBED | (HIDDEN if record.hidden else 0)
