"""Complete Journey: 1.47 M purchases of 2,469 households in 2017; buying again is the point. Simulated from real shopping patterns, say its authors."""

import polars as pl

from bench.worlds.tables import DATA, catalogue, history
from vernal.config import Events, EventType, Items, Settings
from vernal.events.history import Catalogue, History

FOLDER = DATA / "completejourney"
CUT = "2017-11-27"
ATTRIBUTES = ["category", "department", "brand"]


def settings() -> Settings:
    return Settings(events=Events(types={"purchase": EventType()}, repeats=True), items=Items(attributes=ATTRIBUTES))


def world() -> tuple[Settings, History, Catalogue]:
    items = pl.read_parquet(FOLDER / "items.parquet")
    log, ids = history(pl.read_parquet(FOLDER / "events.parquet"), items["item_id"].cast(pl.String).to_list())
    return settings(), log, catalogue(ids, items, ATTRIBUTES)
