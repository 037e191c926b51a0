"""How the loop that keeps releases fresh stands: one small file, replaced after each look of the keeper, read at scrape time by every API worker.

Serving knows nothing of monitoring and rollout; this file, `data/rollout/status.json`, is all that passes from them into the metrics.
"""

import os
from pathlib import Path

import msgspec

FILE = Path("rollout") / "status.json"
SEVERITIES = ("P1", "P2", "P3")  # of alarms: page, look today, digest
ACTS = ("begin", "widen", "promote", "roll back")  # on releases on trial
OUTCOMES = ("promoted", "rolled back", "proposed", "refused", "failed")  # of trainings


class Upkeep(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper saw and did; counts are since the data directory was made, times are UTC us."""

    at: int  # of the look
    unknown_share: float = 0.0  # of the last window's events, on items that the release in charge never saw
    predicted_regret: float | None = None  # of the release in charge, relative; none before it can be told
    price: float | None = None  # regret of a release one unit of time old
    incidents: int = 0  # staleness incidents; what was counted stays counted
    incident_at: int = 0  # when the last unit of the newest of them began
    alarms: dict[str, int] = {}  # severity -> alarms that nobody acknowledged
    held: bool = False  # whether alarms hold training and promotion
    training: bool = False  # whether one runs now
    trainings: dict[str, int] = {}  # outcome -> how many
    training_s: float | None = None  # how long the last one took
    refusals: int = 0  # challengers that the gate refused
    skewed: int | None = None  # served feature values that differ from those recomputed from the log, as the newest verdict found; none = nothing compared
    next_at: int | None = None  # when the next training is due
    canary_low: float | None = None  # lower bound of the reward of a release on trial relative to the one in charge, less 1; none = nothing is on trial
    canary_acts: dict[str, int] = {}  # act -> how many


def write_upkeep(data: Path, upkeep: Upkeep) -> None:
    """Replaces the file whole: a reader sees the old one or the new one."""
    replaced(data / FILE, upkeep)


def replaced(file: Path, content: msgspec.Struct) -> None:
    """Puts JSON in a file's place, whole."""
    written(file, msgspec.json.encode(content))


def written(file: Path, content: bytes) -> None:
    """Puts bytes in a file's place, whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".tmp")
    fresh.write_bytes(content)
    os.replace(fresh, file)


def read_upkeep(data: Path) -> Upkeep | None:
    """The last word of the keeper; none before the first, and none from a file that is not one.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_upkeep(folder, Upkeep(at=5, incidents=1))
    >>> read_upkeep(folder).incidents
    1
    """
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=Upkeep)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
