"""What the watchman needs of a workspace; `app.Workspace` is one."""

from typing import Protocol

from vernal.clock import Clock
from vernal.config import Settings
from vernal.events.archive import Archive
from vernal.events.ports import EventLog
from vernal.features.definition import Plan
from vernal.release import ReleaseStore


class WatchedSpace(Protocol):
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
