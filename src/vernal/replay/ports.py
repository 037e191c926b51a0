"""What replay needs of a workspace; `app.Workspace` is one."""

from pathlib import Path
from typing import Protocol

from vernal.config import Settings
from vernal.events.archive import Archive
from vernal.events.history import History
from vernal.events.ports import EventLog
from vernal.features.definition import Plan
from vernal.release import ReleaseStore
from vernal.retrieval.encoders import Encoder


class ReplaySpace(Protocol):
    @property
    def root(self) -> Path: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def log(self) -> EventLog: ...
    @property
    def archive(self) -> Archive: ...
    @property
    def releases(self) -> ReleaseStore: ...
    @property
    def plan(self) -> Plan: ...
    def history(self, until: int | None = None) -> History: ...
    def encoder(self, name: str) -> Encoder: ...
