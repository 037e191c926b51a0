"""What the stream worker does: everything derived from the log follows it."""

from vernal.features.stream import StreamWorker
from vernal.serving.ports import Workspace
from vernal.serving.records import RecordFold
from vernal.serving.texts import TextFold

LOOKS_PER_HOP_CHECK = 5  # an idle log still has its read-outs moved on as time passes
TEXTS_S = 10.0  # longest that a start or stop waits for the text index; a large one that is made anew goes on while serving


class Folding:
    """The writers of all derived state of one data directory.

    Parameters
    ----------
    workspace : its log is read, its state, live tables and records are written
    """

    def __init__(self, workspace: Workspace) -> None:
        self.log, self.state, self.kept = workspace.log, workspace.state(readonly=False), workspace.records(readonly=False)
        self.worker = StreamWorker(self.log, self.state, workspace.live_dir, workspace.plan, workspace.settings, workspace.clock)
        self.records = RecordFold(self.log, workspace.archive, self.kept, workspace.memo)
        self.texts = TextFold(self.log, workspace.texts_dir, workspace.settings, lambda item: self.worker.items.live.number(item))
        self.seen, self.looks = -1, 0

    def step(self) -> int:
        """One look at the log; returns how many records the features folded. Cost: 25 us when there is nothing."""
        end = self.log.end()
        self.looks += 1
        self.texts.step(self.worker.items.offset)
        if end == self.seen and self.looks % LOOKS_PER_HOP_CHECK:
            return 0
        folded = self.worker.step()
        if end != self.seen:
            self.records.step()
        if self.records.erasing:
            self.records.finish_erasures(self.state.offset())
        self.seen = end if self.state.offset() >= end else -1
        return folded

    def catch_up(self) -> None:
        """Folds until nothing is left."""
        while self.step():
            pass
        while self.records.step():
            pass
        self.texts.finish(self.worker.items.offset, TEXTS_S)

    def close(self) -> None:
        self.texts.close()
        self.worker.close()
        self.state.close()
        self.kept.close()
