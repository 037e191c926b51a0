"""What one training leaves to the next: the search, the examples of past windows, and the trial's models and ranker.

Each is a pure function of the history before a moment, the catalogue, the settings and the code, and those moments stand still until a window is over
(`snapshot.last_stretch`). So a training takes what has the key of everything it would be made of and makes the rest: the same bytes with a memo, without one or
with a damaged one.
"""

import importlib.metadata
from collections.abc import Callable
from dataclasses import fields
from functools import cache, cached_property
from pathlib import Path
from typing import Final, TypeVar

import vernal
from vernal.errors import ReleaseError
from vernal.events.schema import Kind
from vernal.memo import Memo, Save, key_of, prefix_keys
from vernal.release import Lineage, Release
from vernal.training.ports import TrainingSpace
from vernal.training.snapshot import Snapshot

Made = TypeVar("Made")
COMPUTES: Final = ("catboost", "llvmlite", "numba", "numpy", "scipy")  # what bits depend on beside our own code
COLUMNS: Final = ("user", "item", "type", "time", "received_at", "value", "offset")


class Remembering:
    """One training's dealings with a memo.

    Parameters
    ----------
    memo : what earlier ones left
    snapshot : what this one is about
    """

    def __init__(self, memo: Memo, snapshot: Snapshot) -> None:
        self.memo, self.snapshot = memo, snapshot
        self.used: dict[str, Save | None] = {}  # by key; none = it is in the memo already

    def key(self, what: str, until: int, *more: object) -> str:
        """The key of something made of what was received before `until` (UTC us), a window's end or the last stretch's beginning."""
        return key_of(what, self.ground, self.prefixes[self.snapshot.history.available_before(until)], until, *more)

    def key_without_history(self, what: str, *more: object) -> str:
        """The key of something made of the catalogue alone."""
        return key_of(what, self.ground, *more)

    @cached_property
    def ground(self) -> str:
        """What everything is made of beside the history."""
        snapshot = self.snapshot
        catalogue = key_of(*(getattr(snapshot.catalogue, field.name) for field in fields(snapshot.catalogue)))
        unnamed = snapshot.history.users.index("") if "" in snapshot.history.users else -1
        return key_of(code(), snapshot.settings.fingerprint(), snapshot.plan.fingerprint, catalogue, snapshot.history.n_items, unnamed)

    @cached_property
    def prefixes(self) -> dict[int, str]:
        history = self.snapshot.history
        moments = [self.snapshot.last_stretch[0], *(end for _, end in self.snapshot.windows)]
        return prefix_keys({name: getattr(history, name) for name in COLUMNS}, map(history.available_before, moments))

    def recall(self, key: str, load: Callable[[Release], Made | None]) -> Made | None:
        """What an earlier training made under this key; none where it is not there, or not as it was written."""
        entry = self.memo.recall(key)
        try:
            found = load(entry) if entry else None
        except ReleaseError:
            return None
        if found is not None:
            self.used[key] = None
        return found

    def note(self, key: str, save: Save) -> None:
        """Leaves something to the next training."""
        self.used[key] = save

    def keep(self, space: TrainingSpace, lineage: Lineage) -> None:
        """Leaves what this training used, and nothing else; nothing at all where somebody asked to be forgotten meanwhile."""
        self.memo.keep(self.used, lineage, lambda: not any(space.log.read(self.snapshot.log_to, kinds=frozenset({Kind.ERASURES}))))


@cache
def code() -> str:
    """What computes: our sources, the versions of the libraries and the processor, whose width decides the last bits of sums. Cost: 10 ms, once."""
    import llvmlite.binding as processor  # with numba, which training has loaded

    root = Path(vernal.__file__).parent
    sources = {str(file.relative_to(root)): file.read_text(encoding="utf-8") for file in sorted(root.rglob("*.py"))}
    return key_of(sources, {name: importlib.metadata.version(name) for name in COMPUTES}, processor.get_host_cpu_name())
