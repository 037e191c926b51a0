"""What a worker's search follows: the index of words as its writer commits, and the meaning of items that are newer than the releases that answer.

A thread looks every `LOOK_S`; of the same priority as the answers, for one that stands behind and is put off while it holds the interpreter puts them off too.
What it cannot follow is said in the log and tried again; answers go on with what was followed last.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from vernal.errors import EncoderError, LogError, StateError
from vernal.events.ports import EventReader
from vernal.events.schema import Item, Kind
from vernal.retrieval.lexical import Lexical
from vernal.retrieval.semantic import Semantic, text_of

LOOK_S = 0.05
AT_ONCE = 500  # records encoded before the next look
log = logging.getLogger("vernal.serving")


class Numbers(Protocol):
    """Item numbers by id."""

    def number(self, item: str) -> int | None: ...


class Meaning:
    """The semantic search of one release, and up to where it follows the log.

    Parameters
    ----------
    attributes : whose values are part of what an item says
    after : newest log offset that it reflects
    """

    def __init__(self, semantic: Semantic, log: EventReader, live: Numbers, attributes: Sequence[str], after: int) -> None:
        self.semantic, self.log, self.live, self.attributes, self.after = semantic, log, live, attributes, after

    def step(self) -> int:
        """Takes what came in since; returns how many records. Waits for items that have no number yet.

        Raises
        ------
        EncoderError
            The encoder is away; nothing was taken.
        """
        texts: dict[int, str] = {}
        n, at, end = 0, self.after, self.log.end()
        for batch in self.log.read(self.after, AT_ONCE, frozenset({Kind.ITEMS})):
            numbers = [self.live.number(record.item) for record in batch.records]
            if None in numbers:
                break  # the stream worker has not come to it
            texts |= {number: self.text(record) for number, record in zip(numbers, batch.records, strict=True) if number is not None}
            n, at = n + len(batch.records), batch.last
        else:
            at = at if n >= AT_ONCE else max(at, end)  # events and slates in between are not looked at again
        if texts:
            self.semantic.put(texts)
        self.after = at
        return n

    def text(self, item: Item) -> str:
        """What an item says, as training read it; nothing of one that no search may find."""
        if item.deleted or item.hidden:
            return ""
        return text_of(item.title, item.text, [value for name in self.attributes for value in item.attributes.get(name, [])])


class Following:
    """Keeps a worker's search up to date.

    Parameters
    ----------
    meanings : of the releases that answer now; none = words alone
    """

    def __init__(self, lexical: Lexical, meanings: Callable[[], Iterable[Meaning]]) -> None:
        self.lexical, self.meanings = lexical, meanings
        self.closing, self.trouble = threading.Event(), ""
        self.thread = threading.Thread(target=self.run, name="following", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def run(self) -> None:
        while not self.closing.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """One look; what fails is said once."""
        try:
            self.lexical.refresh()
            for meaning in self.meanings():
                while meaning.step() >= AT_ONCE and not self.closing.is_set():
                    pass
            self.trouble = ""
        except (StateError, EncoderError, LogError, OSError) as error:
            if str(error) != self.trouble:
                self.trouble = str(error)
                log.error("search cannot follow: %s", error)

    def close(self) -> None:
        self.closing.set()
        self.thread.join()
