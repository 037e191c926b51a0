"""The reader's side of the live item table: what retrieval, ranking and serving gather from."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vernal.errors import StateError
from vernal.features.table import ACTIVE, CATALOGUE_VERSION, HOP, MOVED, OFFSET, SEQUENCE, VOCABULARY_BYTES, N, Place, Table, Texts, current

T = TypeVar("T")
STUCK_S = 1.0  # a publication takes well under a millisecond; longer means that its writer died
RETIRED_KEPT = 4  # closed text files a slow reader may still hold


class Source(Protocol):
    """Where a table comes from: the writer itself, or a directory."""

    @property
    def table(self) -> Table: ...
    @property
    def texts(self) -> Texts: ...
    @property
    def vocabulary(self) -> Texts: ...
    def refresh(self) -> bool:
        """Takes the newest generation; false when there is no newer one."""
        ...

    def read_out(self, numbers: NDArray[np.int32] | None = None) -> None:
        """Makes the values of these items, or of all, those of the table's hop."""
        ...


class LiveItems:
    """Every item's values, attributes, flags and the popularity lists, as of `offset` and `hop`.

    Arrays are read-only views of capacity rows, of which `n` are items; take them anew for every request, since the writer may grow the table.
    Read what must belong together inside `consistent`.

    Example
    -------
    >>> from vernal.config import Settings
    >>> from vernal.features.definition import compile_plan
    >>> from vernal.features.items import ItemState
    >>> state = ItemState(compile_plan(Settings()))
    >>> state.mention(["a", "b"], seen_s=1_700_000_000)
    >>> state.advance(1_700_000_100)
    >>> state.publish(offset=2)
    >>> live = state.live
    >>> live.n, live.number("b"), live.id(1), live.number("c")
    (2, 1, 'b', None)
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.words: list[list[str]] = []
        self.codes: list[dict[str, int]] = []
        self.words_read = 0
        self.vocabulary: Texts | None = None

    @classmethod
    def attach(cls, directory: Path) -> "LiveItems":
        """The table that a stream worker keeps in this directory, read-only.

        Raises
        ------
        StateError
            There is none yet, or it is damaged.
        """
        return cls(Directory(directory))

    @property
    def table(self) -> Table:
        if self.source.table.header[MOVED]:
            self.source.refresh()
        return self.source.table

    @property
    def n(self) -> int:
        """Items known; numbers are below this."""
        return int(self.table.header[N])

    @property
    def hop(self) -> int:
        """UTC s at which `values` and `top` are read out."""
        return int(self.table.header[HOP])

    @property
    def offset(self) -> int:
        """Newest log offset that the table reflects."""
        return int(self.table.header[OFFSET])

    @property
    def catalogue_version(self) -> int:
        """Changes whenever attributes, flags or titles of any item change."""
        return int(self.table.header[CATALOGUE_VERSION])

    @property
    def values(self) -> NDArray[np.float32]:
        """(capacity, n_item_values) float32, in `Plan.item_names` order."""
        table = self.table
        return table.halves[table.header[ACTIVE]]

    def read_out(self, numbers: NDArray[np.int32] | None = None) -> None:
        """Sees to it that the values of these items, or of all, are as of `hop`; those of a stream worker's table always are."""
        self.source.read_out(numbers)

    @property
    def attributes(self) -> NDArray[np.int32]:
        """(capacity, n_attributes, SLOTS) int32 codes, 0 = none."""
        return self.table.frozen["attributes"]

    @property
    def flags(self) -> NDArray[np.uint8]:
        """(capacity,) DESCRIBED | HIDDEN."""
        return self.table.frozen["flags"]

    @property
    def first_seen(self) -> NDArray[np.uint32]:
        """(capacity,) UTC s of the first mention; 0 = not yet mentioned."""
        return self.table.frozen["first_seen"]

    @property
    def top(self) -> NDArray[np.int32]:
        """(n_half_lives + 1, 500) int32 item numbers, most popular first, -1 padded; the last row: the newest described items."""
        return self.table.frozen["top"]

    def id(self, number: int) -> str:
        return self.named(number)[0]

    def titles(self, number: int) -> str:
        """The title; empty when the catalogue gave none."""
        return self.named(number)[1]

    def names(self, numbers: NDArray[np.int32]) -> list[tuple[str, str]]:
        """(id, title) of items. Cost: 4 us and 0.7 us each."""
        table, read = self.table, self.source.texts.read
        places = zip(table.text_at[numbers].tolist(), table.id_bytes[numbers].tolist(), table.title_bytes[numbers].tolist(), strict=True)
        return [(whole[:middle].decode(), whole[middle:].decode()) for whole, middle in ((read(at, middle + rest), middle) for at, middle, rest in places)]

    def named(self, number: int) -> tuple[str, str]:
        """Id and title of one item."""
        table = self.table
        at, middle = table.text_at.item(number), table.id_bytes.item(number)
        whole = self.source.texts.read(at, middle + table.title_bytes.item(number))
        return whole[:middle].decode(), whole[middle:].decode()

    def number(self, item: str) -> int | None:
        """An item's number; none for an item the table has not seen. Cost: 3 us."""
        table, wanted = self.table, crc32(item.encode())
        spot = wanted & (len(table.index) - 1)
        while (number := int(table.index[spot])) >= 0:
            if table.hashes[number] == wanted and self.id(number) == item:
                return number
            spot = (spot + 1) & (len(table.index) - 1)
        return None

    def code(self, attribute: int, value: str) -> int | None:
        """A value's code in an attribute column (its place in `items.attributes`); none for a value no item ever had."""
        self.read_words()
        return self.codes[attribute].get(value)

    def known_values(self, attribute: int) -> list[str]:
        """Every value an attribute column has had, by code - 1."""
        self.read_words()
        return self.words[attribute][1:]

    def value(self, attribute: int, code: int) -> str:
        """The value behind a code; code 0 is ""."""
        self.read_words()
        return self.words[attribute][code]

    def consistent(self, read: Callable[[], T]) -> T:
        """What `read` returns when no publication fell into it; it is run again until then. Cost: 1 us.

        Raises
        ------
        StateError
            The writer died in the middle of a publication and no other has taken over.
        """
        began = time.monotonic()
        while True:
            table = self.table
            before = int(table.header[SEQUENCE])
            if before & 1:
                self.wait(began)
                continue
            try:
                result = read()
            except (IndexError, KeyError, UnicodeDecodeError):
                if table.header[SEQUENCE] == before and not table.header[MOVED]:
                    raise
                continue
            if table.header[SEQUENCE] == before and table is self.source.table:
                return result

    def wait(self, began: float) -> None:
        """Lets the writer finish; looks for its successor when it does not."""
        if time.monotonic() - began > STUCK_S and not self.source.refresh():
            raise StateError.damaged("live item table", "its writer died while publishing")
        time.sleep(0)

    def read_words(self) -> None:
        """Takes in attribute values that are new since the last look: lines of [attribute, value], codes in order."""
        table = self.table
        if self.vocabulary is not self.source.vocabulary:
            self.words, self.codes, self.words_read, self.vocabulary = [], [], 0, self.source.vocabulary
        while len(self.words) < table.shape.n_attributes:
            self.words.append([""])
            self.codes.append({"": 0})
        end = int(table.header[VOCABULARY_BYTES])
        while self.words_read < end:
            content = self.source.vocabulary.read(self.words_read, end - self.words_read)
            for line in content.splitlines():
                attribute, value = json.loads(line)
                self.codes[attribute][value] = len(self.words[attribute])
                self.words[attribute].append(value)
            self.words_read += len(content)


class Directory:
    """A table in the files of a directory, attached read-only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place: Place | None = None
        self.table: Table
        self.texts: Texts
        self.vocabulary: Texts
        self.retired: list[Texts] = []
        if not self.refresh():
            raise StateError.damaged(directory, "no live item table yet")

    def refresh(self) -> bool:
        place = current(self.directory)
        if place is None or place == self.place:
            return False
        try:
            table = Table.attached(place.file("table"))
            texts, vocabulary = Texts(place.file("text"), writable=False), Texts(place.file("vocabulary"), writable=False)
        except FileNotFoundError:
            return False  # replaced between the two looks: the next one finds its successor
        self.retired += [self.texts, self.vocabulary] if self.place else []
        for old in self.retired[:-RETIRED_KEPT]:  # a thread may be reading the newest of them
            old.close()
        del self.retired[:-RETIRED_KEPT]
        self.table, self.texts, self.vocabulary, self.place = table, texts, vocabulary, place
        return True

    def read_out(self, numbers: NDArray[np.int32] | None = None) -> None:
        """Its writer reads every item out."""
