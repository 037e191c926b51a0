"""Point-in-time features of 1M examples over 20M events: ours, the same aggregates in DuckDB (every value compared), and Feast's join at a size it can do.

    python bench/features_speed.py [--small]

DuckDB gets its fastest exact form that we know: running totals per entity and one ASOF join per window edge (its RANGE windows were 6x slower in a
spike, and cannot align to tiles). Feast computes no windows; it is given the totals precomputed and only joins them. It pins old pandas and pyarrow, so
it gets a virtual environment of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np
from claims import contestant, report
from numpy.typing import NDArray

from vernal.config import Aggregate, Events, EventType, Settings, View
from vernal.events.history import SLOTS, Catalogue, History
from vernal.features.definition import Plan, compile_plan
from vernal.features.join import point_in_time
from vernal.terms import US_PER_S

WINDOWS = {"1h": (300, 12), "1d": (3_600, 24), "7d": (86_400, 7), "30d": (86_400, 30)}  # tile in seconds, tiles
START_S, DAYS = 1_700_000_000, 60
SEED = 7
FULL = {"events": 20_000_000, "users": 1_000_000, "items": 100_000, "examples": 1_000_000, "feast": 200_000}
SMALL = {"events": 200_000, "users": 10_000, "items": 1_000, "examples": 10_000, "feast": 20_000}
COLUMNS = ("user", "item", "type", "value", "time")
EXAMPLES = ("example_user", "example_item", "example_at")
DUCKDB_GB = 6
FEAST = "feast[duckdb]==0.67.0"


def views() -> dict[str, View]:
    """Events, sum of values and clicks of users and of items over four windows: 24 values."""
    windows = list(WINDOWS)
    of = {"n": {"count": Aggregate(window=windows)}, "sum": {"sum": Aggregate(window=windows)}, "click": {"count": Aggregate(event="click", window=windows)}}
    return {f"{entity}_{name}": View(entity=entity, **aggregate) for entity in ("item", "user") for name, aggregate in of.items()}


def plan() -> Plan:
    return compile_plan(Settings(events=Events(types={"view": EventType(), "click": EventType()}), features=views()))


def zipf(random: np.random.Generator, n: int, size: int, power: float) -> NDArray[np.int32]:
    """(size,) int32: draws from 0..n-1 with probability falling as rank^-power."""
    heights = np.cumsum(np.arange(1, n + 1, dtype=np.float64) ** -power)
    return np.searchsorted(heights, random.random(size) * heights[-1]).astype(np.int32)


def make(folder: Path, size: dict[str, int]) -> None:
    """Writes the log and the examples as columns: users by Zipf 0.8, items by Zipf 1.0, 60 days; examples in the second half, drawn from active pairs."""
    random, n = np.random.default_rng(SEED), size["events"]
    time_s = np.sort(random.integers(START_S, START_S + DAYS * 86_400, n))
    log = {
        "user": zipf(random, size["users"], n, 0.8),
        "item": zipf(random, size["items"], n, 1.0),
        "type": (2 + (random.random(n) < 0.2)).astype(np.uint8),
        "value": random.integers(0, 10, n).astype(np.int32),
        "time": time_s,
    }
    rows = n // 2 + random.integers(0, n // 2, size["examples"])
    log |= {"example_user": log["user"][rows], "example_item": log["item"][rows[::-1]], "example_at": time_s[rows]}
    for name, column in log.items():
        np.save(folder / f"{name}.npy", column)


def loaded(folder: Path, names: tuple[str, ...]) -> list[NDArray[Any]]:
    return [np.load(folder / f"{name}.npy") for name in names]


def ours(folder: Path, n_users: int, n_items: int) -> float:
    """Seconds of the pass itself; the values go to a file."""
    user, item, kind, value, time_s = loaded(folder, COLUMNS)
    at = time_s * US_PER_S
    history = History([f"u{number}" for number in range(n_users)], user, item, kind, at, at, value * 1_000, np.arange(1, len(at) + 1), n_items)
    nothing = np.zeros((n_items, 0, SLOTS), np.int32)
    catalogue = Catalogue([], [], [], [], nothing, [], np.zeros(n_items, np.uint8))
    example_user, example_item, example_at = loaded(folder, EXAMPLES)
    warm(history, catalogue)
    began = time.perf_counter()
    made = point_in_time(plan(), history, catalogue, example_user, example_item, example_at * US_PER_S)
    took = time.perf_counter() - began
    np.save(folder / "ours.npy", made)
    return took


def warm(history: History, catalogue: Catalogue) -> None:
    """Compiles the kernels (once per machine; they are cached on disk)."""
    point_in_time(plan(), history.rows(slice(0, 10)), catalogue, history.user[:3], history.item[:3], history.time[:3] + 1)


def duckdb_query(entity: str) -> str:
    """24 / 2 values per example: running totals, then the totals at the example's moment minus those at each window's edge."""
    edges = ", ".join(f"(example_at // {tile} - {tiles}) * {tile} AS edge_{name}" for name, (tile, tiles) in WINDOWS.items())
    measures = ("n", "total", "clicks")
    joins = "\n".join(f"ASOF LEFT JOIN sums w{name} ON e.who = w{name}.who AND e.edge_{name} > w{name}.time" for name in WINDOWS)
    values = ", ".join(f"coalesce(now.{m}, 0) - coalesce(w{name}.{m}, 0) AS {m}_{name}" for m in measures for name in WINDOWS)
    return f"""
    WITH sums AS MATERIALIZED (
      SELECT DISTINCT ON (who, time) who, time, n, total, clicks FROM (
        SELECT {entity} AS who, time, count(*) OVER w AS n, sum(value) OVER w AS total, sum((type = 3)::INT) OVER w AS clicks
        FROM log WINDOW w AS (PARTITION BY {entity} ORDER BY time RANGE UNBOUNDED PRECEDING))),
    e AS (SELECT row, example_{entity} AS who, example_at AS at, {edges} FROM examples)
    SELECT row, {values} FROM e ASOF LEFT JOIN sums now ON e.who = now.who AND e.at > now.time
    {joins} ORDER BY row"""


def duckdb_run(folder: Path) -> float:
    """Seconds of both queries; the values go to a file."""
    import duckdb
    import pyarrow as pa

    connection = duckdb.connect(config={"memory_limit": f"{DUCKDB_GB}GB", "temp_directory": str(folder / "spill"), "threads": 2})
    log = pa.table(dict(zip(COLUMNS, loaded(folder, COLUMNS), strict=True)))
    columns = dict(zip(EXAMPLES, loaded(folder, EXAMPLES), strict=True))
    examples = pa.table(columns | {"row": np.arange(len(columns["example_at"]))})
    connection.register("log", log)
    connection.register("examples", examples)
    began = time.perf_counter()
    made = [connection.execute(duckdb_query(entity)).fetchnumpy() for entity in ("item", "user")]
    took = time.perf_counter() - began
    np.save(folder / "duckdb.npy", np.stack([np.asarray(column, np.float32) for part in made for name, column in part.items() if name != "row"], axis=1))
    return took


def differing(folder: Path) -> int:
    """Values of ours and of DuckDB that are not the same."""
    return int((np.load(folder / "ours.npy") != np.load(folder / "duckdb.npy")).sum())


def feast_python(folder: Path) -> Path:
    """A fresh virtual environment with Feast in it."""
    home = folder / "feast_env"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", FEAST], check=True, capture_output=True)
    return python


def against_feast(folder: Path, size: dict[str, int]) -> dict[str, Any]:
    """Feast joins two precomputed totals per user to n / 10 examples; ours computes the same two from the raw events."""
    n = size["feast"]
    user, item, kind, value, _ = (column[:n] for column in loaded(folder, COLUMNS))
    time_s = START_S + np.arange(n)  # no ties: Feast includes them, the one rule does not
    rows = np.sort(np.random.default_rng(SEED).choice(n, n // 10, replace=False))
    np.savez(folder / "feast.npz", user=user, value=value, time=time_s, example_user=user[rows[::-1]], example_at=time_s[rows])
    script = Path(__file__).parent / "peers" / "feast_join.py"
    peer = json.loads(subprocess.run([feast_python(folder), script, folder], check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    at = time_s * US_PER_S
    history = History([f"u{number}" for number in range(size["users"])], user, item, kind, at, at, value * 1_000, np.arange(1, n + 1), size["items"])
    settings = Settings(features={"user_n": View(entity="user", count=Aggregate()), "user_sum": View(entity="user", sum=Aggregate())})
    settings = Settings(events=Events(types={"view": EventType(), "click": EventType()}), features=settings.features)
    nothing = Catalogue([], [], [], [], np.zeros((1, 0, SLOTS), np.int32), [], np.zeros(1, np.uint8))
    compiled, asked = compile_plan(settings), (user[rows[::-1]], np.zeros(len(rows), np.int32), at[rows])
    point_in_time(compiled, history, nothing, *asked)
    began, cpu = time.perf_counter(), time.process_time()
    made = point_in_time(compiled, history, nothing, *asked)
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    theirs = np.load(folder / "feast_out.npy")  # (n, 2) float64, NaN where it has no row or dropped the example
    wrong = int((np.nan_to_num(theirs) != made).sum())
    return peer | {"ours wall s": wall, "ours CPU s": used, "values that differ": wrong, "feature rows": n, "examples": len(rows)}


def run(*, small: bool = False) -> dict[str, Any]:
    size = SMALL if small else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, size)
        mine = contestant(ours, folder, size["users"], size["items"])
        peer = contestant(duckdb_run, folder)
        wrong = differing(folder)
        feast = against_feast(folder, size)
    ratio = peer.value / mine.value
    measured = {
        "times faster than DuckDB": ratio,
        "times less CPU than DuckDB, loading included": peer.cpu_s / mine.cpu_s,
        "values that differ": wrong,
        "times faster than Feast": feast["wall s"] / feast["ours wall s"],
    }
    if small:
        print(measured, mine, peer, feast)
        return measured
    report(
        "features_speed",
        bar="point-in-time pass over 20M events / 1M examples at least 3x faster than the same aggregates in DuckDB, identical values",
        measured=measured,
        unit="ratio of wall time",
        holds=ratio >= 3 and wrong == 0,
        baselines={
            "Vernal": {"pass s": mine.value, "CPU s with loading": mine.cpu_s, "peak GB": mine.peak_bytes / 1e9, "threads": 2},
            "DuckDB": {"queries s": peer.value, "CPU s with loading": peer.cpu_s, "peak GB": peer.peak_bytes / 1e9, "threads": 2},
            "Feast get_historical_features": feast,
        },
        seeds=[SEED],
        notes=f"{size['events']:,} events, {size['users']:,} users (Zipf 0.8), {size['items']:,} items (Zipf 1.0), "
        f"{size['examples']:,} examples, 24 values each (count, sum, clicks "
        "of user and item over 1h, 1d, 7d, 30d, tile-aligned); DuckDB: running totals and ASOF joins; Feast gets precomputed totals and "
        "only joins them, ours computes them from the raw events in the time given",
    )
    return measured


if __name__ == "__main__":
    run(small="--small" in sys.argv)
