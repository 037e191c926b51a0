"""What the rollout needs of a workspace; `app.Workspace` is one."""

from pathlib import Path
from typing import Protocol

from vernal.training.ports import TrainingSpace


class RolloutSpace(TrainingSpace, Protocol):
    """A space that training knows, and the directory its data is kept in."""

    @property
    def data(self) -> Path: ...
