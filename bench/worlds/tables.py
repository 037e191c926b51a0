"""Parquet tables to `History` and `Catalogue`: items numbered by their first event, then as the catalogue lists them; arrival is the event time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vernal.events.history import DESCRIBED, SLOTS, Catalogue, History
from vernal.terms import FIRST_TYPE_CODE

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def codes_of(values: Sequence[str]) -> tuple[dict[str, int], NDArray[np.int32]]:
    """(value -> code, codes) in order of first appearance."""
    known: dict[str, int] = {}
    return known, np.array([known.setdefault(value, len(known)) for value in values], np.int32)


def history(events: pl.DataFrame, extra_items: Sequence[str]) -> tuple[History, list[str]]:
    """(history, item ids) of columns user_id, item_id, timestamp; one event type."""
    events = events.sort("timestamp", maintain_order=True)
    users, user = codes_of(events["user_id"].cast(pl.String).to_list())
    items, item = codes_of(events["item_id"].cast(pl.String).to_list())
    for name in extra_items:
        items.setdefault(name, len(items))
    time = events["timestamp"].cast(pl.Datetime("us")).to_physical().to_numpy().astype(np.int64)
    n = len(time)
    columns = {"type": np.full(n, FIRST_TYPE_CODE, np.uint8), "value": np.zeros(n, np.int32), "offset": np.arange(1, n + 1, dtype=np.int64)}
    return History(users=list(users), user=user, item=item, time=time, received_at=time, n_items=len(items), **columns), list(items)


def catalogue(ids: list[str], items: pl.DataFrame, attributes: Sequence[str]) -> Catalogue:
    """What a table of items (item_id, title, columns of text or lists) says of these ids."""
    place = {name: number for number, name in enumerate(ids)}
    rows = np.array([place[name] for name in items["item_id"].cast(pl.String).to_list()], np.int64)
    titles, flags = [""] * len(ids), np.zeros(len(ids), np.uint8)
    flags[rows] = DESCRIBED
    for row, title in zip(rows, items["title"].to_list(), strict=True):
        titles[row] = title or ""
    codes, words = np.zeros((len(ids), len(attributes), SLOTS), np.int32), []
    for column, name in enumerate(attributes):
        known = {"": 0}
        for row, found in zip(rows, items[name].to_list(), strict=True):
            values = found if isinstance(found, list) else [] if found is None else [str(found)]
            for slot, value in enumerate(values[:SLOTS]):
                codes[row, column, slot] = known.setdefault(value, len(known))
        words.append(list(known))
    return Catalogue(ids, titles, [""] * len(ids), list(attributes), codes, words, flags)
