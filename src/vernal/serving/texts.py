"""The text index follows the log: what search by words finds, a commit after the put.

One writer, in the stream worker. Items are put as their records come and committed at most every `PAUSE_S`, in a thread, since a commit waits for the
disk. An index that is damaged, missing or of other settings is made again from the log, a little at every step, beside the one that is read meanwhile.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

from vernal.config import Settings
from vernal.errors import StateError
from vernal.events.ports import EventReader
from vernal.events.schema import Item, Kind
from vernal.retrieval.lexical import LexicalWriter, pair

FOLDER = "lexical"  # in the data directory
AT_ONCE = 200  # records put at one step
PAUSE_S, NEW_PAUSE_S = 0.2, 5.0  # between commits; while a new index is not yet complete
LOOK_S, CHECK_S = 0.02, 1.0
ITEMS = frozenset({Kind.ITEMS})
PROBLEMS = (StateError, OSError, ValueError)  # a damaged index, a full disk, and what tantivy makes of either

logger = logging.getLogger(__name__)


class TextFold:
    """Writes the text index as the log grows.

    Parameters
    ----------
    log : where item records come from
    folder, settings : of the index
    number : an item's number in the log
    now : seconds that only grow
    """

    def __init__(self, log: EventReader, folder: Path, settings: Settings, number: Callable[[str], int | None], now: Callable[[], float] = monotonic) -> None:
        self.log, self.folder, self.settings, self.number, self.now = log, folder, settings, number, now
        self.writer: LexicalWriter | None = None
        self.busy: Thread | None = None
        self.looked = self.checked = now()
        self.committed = self.looked - PAUSE_S
        self.open(anew=False)

    def open(self, *, anew: bool) -> None:
        """Goes on with the index there is, or with a new one; where even that fails, tries again at a later look."""
        self.close()
        self.taken, self.waiting = 0, deque[tuple[int, Item]]()  # records up to `taken` wait or were put
        self.dirty, self.problem = False, None
        try:
            self.writer = LexicalWriter(self.folder, self.settings, anew=anew)
            self.taken = self.writer.offset
        except PROBLEMS as error:
            self.problem = error

    problem: Exception | None

    @property
    def done(self) -> int:
        """Every item record up to this offset was put."""
        return self.waiting[0][0] - 1 if self.waiting else self.taken

    def reflects(self, until: int) -> bool:
        """Whether all up to an offset can be found."""
        return self.writer is not None and not (self.busy or self.dirty or self.writer.is_new) and self.done >= until

    def step(self, until: int) -> int:
        """Puts some of the records up to an offset and commits when it is time; returns how many it put.

        Parameters
        ----------
        until : newest offset whose items have numbers

        Cost: 2 us when there is nothing, else 0.05 ms a record; a commit waits for the disk, but in a thread.
        """
        now = self.now()
        if self.busy and self.busy.is_alive():
            return 0
        self.busy = None
        if self.writer is None or self.problem:
            self.mend(now)
            return 0
        put = self.put(self.writer, until)
        complete = self.done >= until
        pause = NEW_PAUSE_S if self.writer.is_new and not complete else PAUSE_S
        if (self.dirty or (complete and self.writer.is_new)) and now - self.committed >= pause:
            self.committed, self.dirty = now, False
            self.start(partial(self.writer.commit, self.done, complete=complete))
        elif now - self.looked >= LOOK_S:
            self.looked = now
            if self.writer.merged or now - self.checked >= CHECK_S:
                self.checked = now
                self.start(self.writer.tend)
        return put

    def start(self, work: Callable[[], None]) -> None:
        """Lets the writer do what waits for the disk, in a thread; nothing is put until it is done."""

        def run() -> None:
            try:
                work()
            except PROBLEMS as error:
                self.problem = error

        self.busy = Thread(target=run)
        self.busy.start()

    def mend(self, now: float) -> None:
        """Makes a damaged index anew; opens it again after other trouble, such as a full disk."""
        if now - self.checked >= CHECK_S:
            self.checked = now
            logger.warning("%s", self.problem)
            self.open(anew=isinstance(self.problem, StateError))

    def put(self, writer: LexicalWriter, until: int) -> int:
        """Gives the writer the next records."""
        if not self.waiting and self.taken < until:
            batches = list(self.log.read(self.taken, AT_ONCE, ITEMS))
            records = (row for batch in batches for row in enumerate(batch.records, batch.first))
            self.waiting.extend(row for row in records if row[0] <= until)
            self.taken = min(batches[-1].last, until) if batches else until
        n = min(AT_ONCE, len(self.waiting))
        try:
            for _ in range(n):
                self.fold(writer, self.waiting[0][1])
                self.waiting.popleft()
        except PROBLEMS as error:
            self.problem = error
        self.dirty |= n > 0
        return n

    def fold(self, writer: LexicalWriter, record: Item) -> None:
        number = self.number(record.item)
        if number is None or record.deleted or record.hidden:
            if number is not None:
                writer.delete(number)
            return
        pairs = [pair(name, value) for name in self.settings.items.attributes for value in record.attributes.get(name, ())]
        writer.put(number, record.title, record.text, pairs)

    def finish(self, until: int, longest_s: float) -> None:
        """Steps until all up to an offset can be found, or so long."""
        began = monotonic()
        while not self.reflects(until) and monotonic() - began < longest_s:
            if not self.step(until):
                sleep(LOOK_S / 4)

    def close(self) -> None:
        """Gives the index up; what was not committed is put again by the next one."""
        if self.busy:
            self.busy.join()
            self.busy = None
        if self.writer:
            self.writer.close()
            self.writer = None
