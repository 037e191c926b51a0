import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vernal import config
from vernal.config import Settings
from vernal.engines.sqlite import SqliteLog
from vernal.errors import EventError
from vernal.events.importing import import_events
from vernal.events.inspect import inspect

T = 1_600_000_000


def write(root: Path, name: str, /, **columns: Any) -> Path:
    pl.DataFrame(columns, strict=False).write_parquet(root / name)
    return root / name


def proposed(*files: Path) -> Settings:
    return config.parse(tomllib.loads(inspect(list(files))))


def test_columns_are_recognised_by_their_names(tmp_path: Path) -> None:
    shop = write(
        tmp_path, "e.parquet", CustomerID=["u"] * 2, StockCode=["i", "j"], InvoiceDate=["2020-01-01T00:00:00"] * 2, Price=[1.0, 2.0], InvoiceNo=["b", "b"]
    )
    columns = proposed(shop).events.columns
    assert (columns.user, columns.item, columns.time, columns.value, columns.session) == ("CustomerID", "StockCode", "InvoiceDate", "Price", "InvoiceNo")
    assert proposed(shop).events.default_type == "purchase"


@pytest.mark.parametrize(("factor", "unit"), [(1, "s"), (1_000, "ms")])
def test_the_unit_of_time_is_written_down(tmp_path: Path, factor: int, unit: str) -> None:
    assert proposed(write(tmp_path, "e.parquet", user=["u"], item=["i"], ts=[T * factor])).events.time_unit == unit


def test_times_without_a_zone_are_pointed_out(tmp_path: Path) -> None:
    assert "times carry no zone" in inspect([write(tmp_path, "e.parquet", user=["u"], item=["i"], time=["2020-01-01 10:00:00"])])


def test_repeats_are_inferred_from_what_users_do(tmp_path: Path) -> None:
    groceries = write(tmp_path, "a.parquet", user=["u"] * 4, item=["milk", "milk", "milk", "tea"], time=[T, T + 1, T + 2, T + 3])
    films = write(tmp_path, "b.parquet", user=["u"] * 4, item=list("abcd"), time=[T, T + 1, T + 2, T + 3])
    assert (proposed(groceries).events.repeats, proposed(films).events.repeats) == (True, False)


def test_types_and_what_counts_as_liked(tmp_path: Path) -> None:
    stars = write(tmp_path, "e.parquet", user=list("uvwx"), item=list("abcd"), time=[T] * 4, rating=[5.0, 1.0, 0.5, 4.0])
    assert proposed(stars).events.types["rating"].min_value == 4.0
    clicks = write(tmp_path, "f.parquet", user=list("uvwx"), item=list("abcd"), time=[T] * 4, event_type=["view", "view", "buy", "view"])
    found = proposed(clicks).events
    assert (list(found.types), found.types["buy"].weight > found.types["view"].weight) == (["view", "buy"], True)


def test_a_catalogue_has_title_text_and_attributes(tmp_path: Path) -> None:
    events = write(tmp_path, "e.parquet", user=["u"], item=["i"], time=[T])
    n = 60
    columns = {"product_id": list(range(n)), "name": [f"thing {k}" for k in range(n)], "brand": ["x", "y"] * (n // 2), "price": [k + 0.5 for k in range(n)]}
    items = proposed(events, write(tmp_path, "i.parquet", **columns)).items
    assert (items.id, items.title, items.text, items.attributes) == ("product_id", "name", ["name"], ["brand"])


def test_odd_names_survive_the_way_through_toml(tmp_path: Path) -> None:
    events = write(tmp_path, "e.parquet", user=["u"] * 2, item=["i"] * 2, time=[T] * 2, action=['say "hi"\n', "päth\\x"])
    assert set(proposed(events).events.types) == {'say "hi"\n', "päth\\x"}


def test_files_without_events_are_refused_with_what_was_seen(tmp_path: Path) -> None:
    with pytest.raises(EventError, match=r"i\.parquet \(item_id, title\)"):
        inspect([write(tmp_path, "i.parquet", item_id=["a"], title=["A"])])


@pytest.mark.parametrize(("name", "repeats", "text"), [("movietweetings", False, "genres"), ("completejourney", True, "department")])
def test_real_files_are_understood(shared: Path, name: str, repeats: bool, text: str) -> None:
    found = proposed(shared / name / "events.parquet", shared / name / "items.parquet")
    assert (found.events.repeats, text in found.items.attributes, found.items.title) == (repeats, True, "title")


def test_what_is_proposed_imports(tmp_path: Path, log: SqliteLog) -> None:
    (tmp_path / "events.csv").write_text(f"user_id,movie_id,timestamp\nu,a,{T}\nv,b,{T + 1}\n")
    (tmp_path / "films.csv").write_text("movie_id,title,genres\na,A,x|y\nb,B,y\n")
    wanted = proposed(tmp_path / "events.csv", tmp_path / "films.csv")
    report = import_events(wanted, tmp_path, log)
    assert (report.appended, report.items, wanted.items.attributes) == (2, 2, ["genres"])
