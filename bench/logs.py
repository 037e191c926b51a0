"""Real logs as the columns that models are fitted on; each skips with a clear word where ../shared/data is absent."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vernal.events.history import DESCRIBED, SLOTS, Catalogue, History
from vernal.terms import FIRST_TYPE_CODE, VALUE_SCALE

SHARED = Path(__file__).parents[2] / "shared" / "data"


def found(name: str) -> bool:
    """Whether a data set is here."""
    return (SHARED / name).exists()


def log_of(name: str, columns: list[str]) -> tuple[History, Catalogue]:
    """A data set's events, all of one type, in order of time, and its items with `columns` as attributes.

    Events of items the catalogue does not list are left out. Arrival is the event time.
    """
    items = pl.read_parquet(SHARED / name / "items.parquet").sort("item_id")
    events = (
        pl.read_parquet(SHARED / name / "events.parquet").filter(pl.col("item_id").is_in(items["item_id"].implode())).sort("timestamp", maintain_order=True)
    )
    ids, users = items["item_id"].to_numpy(), events["user_id"].unique().sort().to_numpy()
    time = events["timestamp"].dt.epoch("us").to_numpy()
    values = events["value"].to_numpy() if "value" in events.columns else np.zeros(len(time))
    history = History(
        [str(user) for user in users],
        np.searchsorted(users, events["user_id"].to_numpy()).astype(np.int32),
        np.searchsorted(ids, events["item_id"].to_numpy()).astype(np.int32),
        np.full(len(time), FIRST_TYPE_CODE, np.uint8),
        time,
        time,
        np.rint(np.nan_to_num(values) * VALUE_SCALE).astype(np.int32),
        np.arange(1, len(time) + 1),
        len(ids),
    )
    return history, catalogue_of(items, columns)


def catalogue_of(items: pl.DataFrame, columns: list[str]) -> Catalogue:
    """A catalogue whose attributes are columns of text or of lists of text."""
    attributes, vocabularies = np.zeros((len(items), len(columns), SLOTS), np.int32), []
    for a, column in enumerate(columns):
        lists = items[column].to_list() if items[column].dtype == pl.List else [[value] for value in items[column].cast(pl.String).to_list()]
        attributes[:, a], vocabulary = coded([[value for value in values or [] if value] for values in lists])
        vocabularies.append(vocabulary)
    titles = [title or "" for title in items["title"].to_list()]
    ids = [str(item) for item in items["item_id"].to_list()]
    return Catalogue(ids, titles, [""] * len(ids), columns, attributes, vocabularies, np.full(len(ids), DESCRIBED, np.uint8))


def coded(lists: list[list[str]]) -> tuple[NDArray[np.int32], list[str]]:
    """(n, SLOTS) codes and the vocabulary, in order of first mention; code 0 is none."""
    codes: dict[str, int] = {"": 0}
    out = np.zeros((len(lists), SLOTS), np.int32)
    for row, values in enumerate(lists):
        for slot, value in enumerate(values[:SLOTS]):
            out[row, slot] = codes.setdefault(value, len(codes))
    return out, list(codes)
