"""A film site with a real log, moved to end now: the first ratings of MovieTweetings, served and trained like anybody's."""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import polars as pl
from logs import SHARED

from vernal.app import Workspace
from vernal.events.importing import import_events
from vernal.events.schema import Event
from vernal.serving.folding import Folding
from vernal.terms import US_PER_S
from vernal.training.train import train

NAME = "movietweetings"
TOML = """
[events]
files = ["events.parquet"]
default_type = "rating"
[events.types.rating]
[events.columns]
user = "user_id"
item = "item_id"
type = ""
time = "timestamp"
[items]
files = ["items.parquet"]
id = "item_id"
attributes = ["genres", "year"]
"""


def ratings(first: int, last: int) -> pl.DataFrame:
    """Ratings number first..last in order of time, moved so that number `last` would be given now."""
    events = pl.read_parquet(SHARED / NAME / "events.parquet").sort("timestamp", maintain_order=True)[:last]
    moved = int(time.time() * US_PER_S) - 10 * US_PER_S - int(events["timestamp"].dt.epoch("us")[-1])
    return events[first:].with_columns(pl.col("timestamp") + pl.duration(microseconds=moved))


def build(folder: Path, n: int, later: int = 0, more: str = "") -> Workspace:
    """The site after its first `n` ratings, with a release in charge; `later` ratings more will follow up to now."""
    folder.mkdir(parents=True)
    (folder / "vernal.toml").write_text(TOML + more)
    ratings(0, n + later)[:n].write_parquet(folder / "events.parquet")
    pl.read_parquet(SHARED / NAME / "items.parquet").write_parquet(folder / "items.parquet")
    workspace = Workspace.open(folder / "vernal.toml")
    import_events(workspace.settings, folder, workspace.log)
    train(workspace)
    with closing(Folding(workspace)) as folding:
        folding.catch_up()
    return workspace


def news(n: int, later: int) -> Sequence[Event]:
    """The ratings after the first `n`, up to now."""
    rows = ratings(n, n + later).select("user_id", "item_id", pl.col("timestamp").dt.epoch("us"), "value").rows()
    return [Event(f"news-{k}", "rating", str(user), str(item), at, float(value)) for k, (user, item, at, value) in enumerate(rows)]


def users(workspace: Workspace, most: int = 4_000) -> list[str]:
    """Who asks: users of the log, the newest last."""
    return workspace.history().users[-most:]
