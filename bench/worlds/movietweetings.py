"""MovieTweetings: 141,695 film ratings of 2013, new films every week. Every rating is a positive; a film is not shown twice."""

import polars as pl

from bench.worlds.tables import DATA, catalogue, history
from vernal.config import Events, EventType, Items, Settings
from vernal.events.history import Catalogue, History

FOLDER = DATA / "movietweetings"
CUT = "2013-09-30"
ATTRIBUTES = ["genres", "year"]


def settings() -> Settings:
    return Settings(events=Events(types={"rating": EventType()}, repeats=False), items=Items(attributes=ATTRIBUTES))


def world() -> tuple[Settings, History, Catalogue]:
    items = pl.read_parquet(FOLDER / "items.parquet")
    log, ids = history(pl.read_parquet(FOLDER / "events.parquet"), items["item_id"].cast(pl.String).to_list())
    return settings(), log, catalogue(ids, items, ATTRIBUTES)
