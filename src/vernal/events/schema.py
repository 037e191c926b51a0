"""The records of the log.

Five kinds of record; each takes one offset, and offsets are never reused. Inside, times are UTC microseconds; at the edge they are
RFC 3339 or numbers in a declared unit (`events.wire` translates). Records are arrays on disk (msgpack, `array_like`), so a field
is only ever added at the end, with a default.
"""

from enum import IntEnum
from typing import Any

import msgspec


class Kind(IntEnum):
    """What the records of one batch are."""

    EVENTS = 0
    SLATES = 1
    ITEMS = 2
    USERS = 3
    ERASURES = 4


class Event(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A fact: a user did something with an item."""

    event_id: str  # given by the sender, else a hash of the content
    type: str
    user: str
    item: str  # empty: an event about no item (a search, a page)
    time: int  # UTC us, when it happened; never after it was received
    value: float | None = None
    session: str = ""
    rec_id: str = ""  # the slate it followed from
    position: int = -1  # 0-based position in that slate
    properties: dict[str, Any] | None = None


class Item(msgspec.Struct, array_like=True, frozen=True):
    """A catalogue record; a later one replaces an earlier one whole."""

    item: str
    title: str = ""
    text: str = ""
    attributes: dict[str, list[str]] = {}  # attribute -> values
    hidden: bool = False
    deleted: bool = False
    properties: dict[str, Any] | None = None
    time: int = 0  # UTC us


class User(msgspec.Struct, array_like=True, frozen=True):
    user: str
    attributes: dict[str, list[str]] = {}
    properties: dict[str, Any] | None = None
    time: int = 0


class Erasure(msgspec.Struct, array_like=True, frozen=True):
    """An order to forget a user."""

    user: str
    time: int


class Slate(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One answered request, with all that is needed to answer it again byte for byte."""

    rec_id: str
    time: int  # UTC us of the request; read-outs used hop(time)
    user: str
    scenario: str
    arm: str
    release: str
    rung: str
    request: bytes  # the request as JSON
    seed: int
    user_offset: int  # newest log offset in the user's record
    item_offset: int  # newest log offset in the live item table
    hop: int  # s; the hop of the live item table
    items: list[str]
    item_numbers: bytes  # (k,) uint32
    propensities: bytes  # (k,) float32, P(item at this position | positions before)
    scores: bytes  # (k,) float32
    features: bytes  # (k, n_features) float32, as the ranker saw them; empty below the ranked rungs
    took_us: int = 0
    segment: str = ""  # the value of the first attribute that the user chooses most; empty: nothing is known of them
    settings: str = ""  # of an experiment: the settings that were others, as a JSON object of key -> value
    failed: int = 0  # attempts at it that threw
    teams: bytes = b""  # (k,) uint8, of an interleaved slate: which of two rankings put each item there

    @property
    def q(self) -> str:
        """The text that was searched for; empty of a feed. Cost: 1 us."""
        return TEXT.decode(self.request).q


class Text(msgspec.Struct, frozen=True):
    """The text of a logged request."""

    q: str = ""


TEXT = msgspec.json.Decoder(Text)
RECORD: dict[Kind, Any] = {Kind.EVENTS: Event, Kind.SLATES: Slate, Kind.ITEMS: Item, Kind.USERS: User, Kind.ERASURES: Erasure}


class Batch(msgspec.Struct, frozen=True):
    """Records appended together: record i has offset `first + i`."""

    first: int
    received_at: int  # UTC us; never smaller than that of the batch before
    kind: Kind
    records: list[Any]

    @property
    def last(self) -> int:
        return self.first + len(self.records) - 1


class Receipt(msgspec.Struct, frozen=True):
    """What became of one appended record."""

    offset: int  # its offset, or that of the record it repeats
    duplicate: bool = False
