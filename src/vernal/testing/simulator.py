"""The simulated world of `vernal.replay`, for tests of parts of your own."""

from vernal.replay.nature import Habits
from vernal.replay.simulator import Arrival, Asked, Scale, Trouble, World, world_settings

__all__ = ["Arrival", "Asked", "Habits", "Scale", "Trouble", "World", "world_settings"]
