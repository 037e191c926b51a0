"""What training needs of a workspace; `app.Workspace` is one."""

from collections.abc import Callable
from typing import Protocol

from vernal.clock import Clock
from vernal.config import Settings
from vernal.events.archive import Archive
from vernal.events.history import Catalogue, History
from vernal.events.ports import EventLog
from vernal.features.definition import Plan
from vernal.release import ReleaseStore

Progress = Callable[[str, int, int], None]  # (stage, done, total)


class TrainingSpace(Protocol):
    """Settings and the engines they chose."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def log(self) -> EventLog: ...
    @property
    def archive(self) -> Archive: ...
    @property
    def releases(self) -> ReleaseStore: ...
    @property
    def plan(self) -> Plan: ...
    def history(self, until: int | None = None) -> History:
        """The log as columns, up to an offset."""
        ...

    def catalogue(self, until: int | None = None) -> Catalogue: ...


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
