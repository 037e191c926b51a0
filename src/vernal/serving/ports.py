"""What serving needs of the place it runs in; `vernal.app.Workspace` is one."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from vernal.clock import Clock
from vernal.config import Settings
from vernal.events.archive import Archive
from vernal.events.deadletters import DeadLetters
from vernal.events.ports import EventLog
from vernal.features.definition import Plan
from vernal.features.ports import StateStore
from vernal.memo import Memo
from vernal.release import ReleaseStore
from vernal.retrieval.encoders import Encoder


class Workspace(Protocol):
    """Settings, clock and engines; each engine is opened on first use, by the process that uses it."""

    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def data(self) -> Path: ...
    @property
    def log(self) -> EventLog: ...
    @property
    def archive(self) -> Archive: ...
    @property
    def live_dir(self) -> Path: ...
    @property
    def texts_dir(self) -> Path:
        """Where the index of words is kept."""
        ...

    def encoder(self, name: str) -> Encoder:
        """The encoder of texts that a setting names; one that is no part of a release."""
        ...

    @property
    def releases(self) -> ReleaseStore: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def memo(self) -> Memo: ...
    @property
    def keys_path(self) -> Path: ...
    @property
    def dead_letters(self) -> DeadLetters: ...

    def state(self, *, readonly: bool = True) -> StateStore: ...

    def records(self, *, readonly: bool = True) -> StateStore:
        """A key-value store beside the state, for the newest item and user records."""
        ...

    def exclusive(self, role: str) -> AbstractContextManager[Any]: ...
