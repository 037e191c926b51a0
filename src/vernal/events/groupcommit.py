"""Group commit: many callers, one fsync.

Calls that arrive while a commit is on its way wait together and go into the next one, so durability costs one fsync per few milliseconds whatever the
number of callers. A caller continues only when its own records are durable, or with the error that kept them out.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from vernal.errors import LogError
from vernal.events.ports import EventLog
from vernal.events.schema import Kind, Receipt

MOST_RECORDS = 20_000  # per commit, so that none takes long

Call = tuple[Kind, Sequence[Any], asyncio.Future[list[Receipt]]]


class GroupCommit:
    """Appends for one event loop.

    Parameters
    ----------
    log
        The log; used from one thread of its own.
    commit_ms
        How long the first call of an idle log waits for company, milliseconds.
    committed
        Called after every commit, in the loop.

    Cost: at 8 callers with batches of 100, 1 fsync per 800 events (bench/ingest_durable).
    """

    def __init__(self, log: EventLog, commit_ms: float, committed: Callable[[], object] = lambda: None) -> None:
        self.log, self.wait_s, self.committed = log, commit_ms / 1_000, committed
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self.waiting: list[Call] = []
        self.flusher: asyncio.Task[None] | None = None
        self.commits = 0

    async def append(self, kind: Kind, records: Sequence[Any]) -> list[Receipt]:
        """Appends; returns once durable.

        Raises
        ------
        DiskFull
            None of these records was appended.
        LogError
            The same, for another reason; or this was closed.
        """
        if not records:
            return []
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Receipt]] = loop.create_future()
        self.waiting.append((kind, records, future))
        if self.flusher is None or self.flusher.done():
            self.flusher = loop.create_task(self.flush())
        return await future

    async def flush(self) -> None:
        """Commits until nobody waits."""
        await asyncio.sleep(self.wait_s)
        while self.waiting:
            await self.commit(self.taken())

    def taken(self) -> list[Call]:
        """The calls of the next commit, oldest first."""
        n = count = 0
        while count < len(self.waiting) and n < MOST_RECORDS:
            n += len(self.waiting[count][1])
            count += 1
        calls, self.waiting = self.waiting[:count], self.waiting[count:]
        return calls

    async def commit(self, calls: list[Call]) -> None:
        """One transaction for all calls; if it fails for another reason than room, each alone, so that only the guilty one fails."""
        self.commits += 1
        loop = asyncio.get_running_loop()
        kinds = list(dict.fromkeys(kind for kind, _, _ in calls))
        groups = [(kind, [record for which, records, _ in calls if which is kind for record in records]) for kind in kinds]
        try:
            receipts = await loop.run_in_executor(self.thread, self.log.append_many, groups)
        except Exception as error:  # whatever it was, every caller learns it
            await self.separately(calls, error)
            return
        self.committed()
        answers = {kind: iter(found) for kind, found in zip(kinds, receipts, strict=True)}
        for kind, records, future in calls:
            answer = list(islice(answers[kind], len(records)))
            if not future.done():
                future.set_result(answer)

    async def separately(self, calls: list[Call], error: Exception) -> None:
        if len(calls) > 1 and not isinstance(error, LogError):
            for call in calls:
                await self.commit([call])
            return
        for _, _, future in calls:
            if not future.done():
                future.set_exception(error)

    async def close(self) -> None:
        """Waits for the calls in hand; the log stays open."""
        while self.flusher is not None and not self.flusher.done():
            await self.flusher
        self.thread.shutdown()
