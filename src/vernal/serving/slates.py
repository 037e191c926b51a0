"""The log of what was answered: every slate with its propensities, features and all that rebuilds it, off the response path.

In: one `Slate` per answered request. Out: batches appended to the event log every `EVERY_S`. When the log cannot take them they
wait, up to `KEPT`; what is dropped beyond that is counted, and answers go on.
"""

import asyncio
import hashlib
import logging
import os
from collections import deque
from typing import Any, NamedTuple, Protocol

from vernal.errors import LogError
from vernal.events.schema import Kind, Slate
from vernal.serving.meters import Meters

EVERY_S = 0.25  # every batch costs an fsync here and a commit of the stream worker
RETRY_S = 1.0
KEPT = 5_000
MOST_AT_ONCE = 500
log = logging.getLogger("vernal.serving")


class Appends(Protocol):
    """What the slate log needs of the group commit."""

    async def append(self, kind: Kind, records: list[Any]) -> Any: ...


class SlateLog:
    """Collects slates and appends them together.

    Parameters
    ----------
    appends : the group commit of this process
    meters : counts slates logged and lost
    """

    def __init__(self, appends: Appends, meters: Meters) -> None:
        self.appends, self.meters = appends, meters
        self.waiting: deque[Slate] = deque()
        self.appending = asyncio.Lock()  # whoever closes waits for the batch under way
        self.asked = asyncio.Event()
        self.closing = False

    def put(self, slate: Slate) -> None:
        """Takes a slate; returns at once."""
        if len(self.waiting) >= KEPT:
            self.waiting.popleft()
            self.meters.count("vernal_slates_lost_total")
        self.waiting.append(slate)
        self.asked.set()

    async def run(self) -> None:
        """Appends until closed, then what is left."""
        while not self.closing:
            await self.asked.wait()
            await asyncio.sleep(EVERY_S)
            self.asked.clear()
            await self.flush()

    async def flush(self) -> None:
        """Appends everything that waits, after the batch that is under way."""
        async with self.appending:
            while self.waiting:
                batch = [self.waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self.waiting)))]
                try:
                    await self.appends.append(Kind.SLATES, batch)
                except LogError as error:
                    self.put_back(batch)
                    log.warning("slates wait: %s", error)
                    await asyncio.sleep(RETRY_S)
                    return
                self.meters.count("vernal_slates_total", by=len(batch))

    def put_back(self, batch: list[Slate]) -> None:
        """Returns a batch that could not be appended to the front, as far as there is room; asks for another attempt."""
        room = max(0, KEPT - len(self.waiting))
        self.meters.count("vernal_slates_lost_total", by=max(0, len(batch) - room))
        self.waiting.extendleft(reversed(batch[len(batch) - room :] if room < len(batch) else batch))
        self.asked.set()

    async def close(self) -> None:
        """Appends what is left; for the end of a drain."""
        self.closing = True
        self.asked.set()
        await self.flush()


class Ticket(NamedTuple):
    """The name of an answer and the seed of everything random in it."""

    rec_id: str
    seed: int


class Tickets:
    """Names that no other process or run ever gives.

    Example
    -------
    >>> tickets = Tickets(worker=1)
    >>> one, two = tickets.next(now=1_700_000_000_000_000), tickets.next(now=1_700_000_000_000_000)
    >>> one.rec_id != two.rec_id, one.seed == seed_of(one.rec_id)
    (True, True)
    """

    def __init__(self, worker: int) -> None:
        self.run = os.urandom(5).hex() + f"{worker:02x}"
        self.count = 0

    def next(self, now: int) -> Ticket:
        """The next ticket; it begins with the time, so names sort by it."""
        self.count += 1
        rec_id = f"{now:013x}-{self.run}-{self.count:x}"
        return Ticket(rec_id, seed_of(rec_id))


def seed_of(rec_id: str) -> int:
    """63 bits that follow from a rec_id alone."""
    return int.from_bytes(hashlib.blake2b(rec_id.encode(), digest_size=8).digest(), "big") >> 1
