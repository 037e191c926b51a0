"""Waiting until what was acknowledged is in the state that answers read: a client reads its own writes.

One task per worker looks at the state's offset while anybody waits; the wait is bounded, because the events are durable already
and a stopped stream worker must not stop ingest.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable

LOOK_S = 0.001
LONGEST_S = 0.1


class Applied:
    """Waits for offsets.

    Parameters
    ----------
    offset : the newest offset that answers reflect; cheap, it is called every millisecond while somebody waits
    """

    def __init__(self, offset: Callable[[], int]) -> None:
        self.offset = offset
        self.waiting: list[tuple[int, int, asyncio.Future[bool]]] = []
        self.order = itertools.count()
        self.task: asyncio.Task[None] | None = None

    async def reached(self, offset: int, longest_s: float | None = None) -> bool:
        """Waits until `offset` is reflected, at most `LONGEST_S` or as long as told; says whether it is."""
        if self.offset() >= offset:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (offset, next(self.order), future))
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.look())
        try:
            async with asyncio.timeout(LONGEST_S if longest_s is None else longest_s):
                return await future
        except TimeoutError:
            return False

    async def look(self) -> None:
        """Releases who has waited long enough, until nobody waits."""
        while self.waiting:
            await asyncio.sleep(LOOK_S)
            reached = self.offset()
            while self.waiting and (self.waiting[0][0] <= reached or self.waiting[0][2].done()):
                future = heapq.heappop(self.waiting)[2]
                if not future.done():
                    future.set_result(True)
