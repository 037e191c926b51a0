"""What training needs of a workspace; `app.Workspace` is one. And of a store in which people look at trainings; `engines/mlflow.py` is one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from vernal.clock import Clock
from vernal.config import Settings
from vernal.events.archive import Archive
from vernal.events.history import Catalogue, History
from vernal.events.ports import EventLog
from vernal.features.definition import Plan
from vernal.memo import Memo
from vernal.release import ReleaseStore
from vernal.retrieval.encoders import Encoder

Outcome = Literal["promoted", "rolled back", "proposed", "refused", "failed"]
Progress = Callable[[str, int, int], None]  # (stage, done, total)


class TrainingSpace(Protocol):
    """Settings and the engines they chose."""

    @property
    def root(self) -> Path:
        """Where relative paths of the settings start from."""
        ...

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
    @property
    def memo(self) -> Memo: ...
    def history(self, until: int | None = None) -> History:
        """The log as columns, up to an offset."""
        ...

    def catalogue(self, until: int | None = None) -> Catalogue: ...
    def encoder(self, name: str) -> Encoder:
        """The encoder of that name, as in `search.encoder`, where it is not learned from the catalogue."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One training, told to a tracking store; `training.tracking.run_of` makes it."""

    release: str  # empty when it failed
    began_at: int  # UTC us
    ended_at: int
    outcome: Outcome
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]  # why it was begun, what the release was made from
    certificate: Mapping[str, Any] | None


class Tracker(Protocol):
    """Keeps runs. What it cannot keep it says in the log: a store that is away stops no training."""

    def record(self, run: Run) -> None: ...


class Untracked:
    """Implements `Tracker`: keeps nothing."""

    def record(self, run: Run) -> None:
        """Nobody asked for it."""
