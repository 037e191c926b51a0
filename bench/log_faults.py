"""Claim log_faults: what breaks a shop's log is found within two windows, and training is held; a log in which nothing breaks raises no alarm that holds it.

    python bench/log_faults.py [--try]

One year of the demo's groceries, a purchase being one of three events, as a till would send it: at a price of its own, at a deal, with a coupon. Events arrive
some minutes late. From the fifth week on 60 slates a day are logged, as the release of four weeks of history would have answered households that buy that day.
Reference: 56 days from there on; then every day to the end of the year is judged. Each fault begins at the midnight of one of three days, in a copy of the
watchman as it stood then. Christmas Day, on which the shop is closed, is declared as a known day, and no other. `--try` breaks four other days: on them this
file was written, and what a robot, a silent stream and a clock that is late are. There is one year only: the healthy run is the one it was written on.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parent))

from claims import report
from protocol import DAY_US, World, past_examples, weeks_before

from vernal.cli.shop import demo_files, title
from vernal.clock import ManualClock
from vernal.config import Settings, parse
from vernal.engines.sqlite import SqliteLog
from vernal.events.history import DESCRIBED, SLOTS, Catalogue, History, fixed_points
from vernal.events.ports import EventLog
from vernal.events.schema import Batch, Event, Item, Kind, Slate
from vernal.features.walk import Walk
from vernal.monitoring.watchman import Watchman
from vernal.ranking.ranker import fit_ranker
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request
from vernal.release import ReleaseStore
from vernal.serving.answers import slate_record
from vernal.serving.slates import seed_of
from vernal.terms import US_PER_S
from vernal.testing.memory import MemoryLog

NAME = "log_faults"
TYPES = ("purchase", "deal", "coupon")
ATTRIBUTES = ["department", "product_category", "brand"]
SETTINGS = parse({
    "events": {"types": {name: {} for name in TYPES}, "repeats": True},
    "items": {"attributes": ATTRIBUTES},
    "monitoring": {"known_days": ["2017-12-25"]},
    "training": {"requests": 1_000, "windows": 2, "trees": 100},
})  # fmt: skip
SERVED_FROM, JUDGED_FROM = 28, 84  # days of the log
MOMENTS = (9, 12, 15, 18)  # UTC hours at which slates are asked for
ASKED, SHOWN = 15, 10  # households at each, items in a slate
ONSETS = ("2017-07-19", "2017-09-26", "2017-11-15")
TRIED = ("2017-05-09", "2017-06-14", "2017-08-31", "2017-10-28")
WITHIN = 2  # windows
LAG_S, LAG_SPREAD = 120.0, 1.0  # median and log-sd of arrival after the till
TILLS, SKEW_S = 4, 3_600  # one till in four, an hour behind
BOTS, SHARE = 5, 0.10
SEED = 11


def first_day(frame: pl.DataFrame) -> int:
    return int(frame["received"][0]) // DAY_US


def purchases() -> pl.DataFrame:
    """Every event: user, item, type, value, till, time, received; in order of arrival."""
    frame = pl.read_parquet(str(demo_files() / "transactions.parquet"))
    kind = pl.when(pl.col("coupon_disc") > 0).then(2).when(pl.col("retail_disc") > 0).then(1).otherwise(0)
    frame = frame.select(
        user=pl.col("household_id").cast(pl.String), item=pl.col("product_id").cast(pl.String), type=kind, value=pl.col("sales_value").cast(pl.Float64),
        till=pl.col("store_id").cast(pl.Int64), time=pl.col("transaction_timestamp").cast(pl.Datetime("us")).cast(pl.Int64),
    )  # fmt: skip
    lag = LAG_S * np.exp(LAG_SPREAD * np.random.default_rng(SEED).standard_normal(len(frame)))
    return frame.with_columns(received=pl.col("time") + pl.Series((lag * US_PER_S).astype(np.int64))).sort("received", maintain_order=True)


def products() -> pl.DataFrame:
    return pl.read_parquet(str(demo_files() / "products.parquet")).with_columns(title(), item=pl.col("product_id").cast(pl.String))


def items_of(frame: pl.DataFrame) -> list[Item]:
    rows = frame.select("item", "title", *ATTRIBUTES).iter_rows()
    return [Item(item, name, attributes={a: [v] for a, v in zip(ATTRIBUTES, values, strict=True) if v}) for item, name, *values in rows]


@dataclass
class Shop:
    """The year: its log, what is known of it, and the slates that were answered."""

    settings: Settings
    clock: ManualClock
    log: EventLog
    releases: ReleaseStore
    plan: Any
    archive: Any = None


class Year(NamedTuple):
    """What a run needs of the year."""

    events: pl.DataFrame
    items: list[Item]
    history: History  # with the offsets of the log
    world: World
    recommender: Recommender
    start: int  # number of its first day


def year() -> Year:
    """The year's events with the offsets they have in the log, and a recommender of its first four weeks."""
    frame, items = purchases(), items_of(products())
    start, numbers = first_day(frame), {item.item: number for number, item in enumerate(items)}
    frame = frame.filter(pl.col("item").is_in(list(numbers)))
    users, day = frame["user"].unique(maintain_order=True).to_list(), frame["received"].to_numpy() // DAY_US - start
    codes = {user: code for code, user in enumerate(users)}
    slates_before = np.maximum(0, day - SERVED_FROM) * len(MOMENTS) * ASKED  # those of a day follow its events
    history = History(
        users, np.array([codes[user] for user in frame["user"].to_list()], np.int32), np.array([numbers[item] for item in frame["item"].to_list()], np.int32),
        (frame["type"].to_numpy() + 2).astype(np.uint8), frame["time"].to_numpy(), frame["received"].to_numpy(), fixed_points(frame["value"].to_numpy()),
        len(items) + np.arange(1, len(frame) + 1) + slates_before, len(items),
    )  # fmt: skip
    world = World(SETTINGS, history, catalogue_of(items))
    cut = (start + SERVED_FROM) * DAY_US
    hyper = world.tuned(cut)
    examples = past_examples(world, weeks_before(cut, 2, 7 * DAY_US, "activity"), hyper)
    ranker = fit_ranker(examples.features, examples.labels, examples.groups, SETTINGS.training, world.names)
    return Year(frame, items, history, world, world.recommender(world.models(cut, hyper), ranker), start)


def catalogue_of(items: list[Item]) -> Catalogue:
    codes: list[dict[str, int]] = [{"": 0} for _ in ATTRIBUTES]
    attributes = np.zeros((len(items), len(ATTRIBUTES), SLOTS), np.int32)
    for row, item in enumerate(items):
        for a, name in enumerate(ATTRIBUTES):
            for slot, value in enumerate(item.attributes.get(name, [])):
                attributes[row, a, slot] = codes[a].setdefault(value, len(codes[a]))
    ids = [item.item for item in items]
    return Catalogue(ids, [item.title for item in items], [""] * len(ids), ATTRIBUTES, attributes, [*map(list, codes)], np.full(len(ids), DESCRIBED, np.uint8))


def slates_of(made: Year, walk: Walk, live: Walk, day: int) -> list[Slate]:
    """A day's slates. `live` has the item table that is read: `walk` itself, or one that has stopped."""
    begin = (made.start + day) * DAY_US
    rows = slice(made.history.available_before(begin), made.history.available_before(begin + DAY_US))
    buyers = np.unique(made.history.user[rows]) if rows.stop > rows.start else np.arange(len(made.history.users))  # the shop is closed at Christmas
    draw, slates = np.random.default_rng([SEED, day]), []
    for hour in MOMENTS:
        at = begin + hour * 3_600 * US_PER_S
        walk.to(at)
        for user in draw.choice(buyers, ASKED, replace=len(buyers) < ASKED).tolist():
            request, rec_id = Request(user=made.history.users[user], n=SHOWN), f"{day}-{hour}-{len(slates)}"
            ranked = made.recommender.recommend(request, walk.user(user, at), live.live, at, seed_of(rec_id))
            slates.append(slate_record(ranked, request, rec_id, at, 0))
    return slates


def events_of(frame: pl.DataFrame) -> list[Event]:
    columns = zip(*(frame[name].to_list() for name in ("user", "item", "type", "value", "time", "received", "till")), strict=True)
    return [Event(f"{n}-{received}-{user}-{item}", TYPES[t], user, item, time, value) for n, (user, item, t, value, time, received, _) in enumerate(columns)]


def replayed(made: Year, folder: Path) -> SqliteLog:
    """The whole year in a log."""
    log = SqliteLog(folder / "log.db", ManualClock(0))
    log.append(Kind.ITEMS, made.items, [0] * len(made.items))
    walk = made.world.walk()
    for day, frame in days(made):
        log.append(Kind.EVENTS, events_of(frame), frame["received"].to_list())
        if day >= SERVED_FROM:
            slates = slates_of(made, walk, walk, day)
            log.append(Kind.SLATES, slates, [slate.time for slate in slates])
    return log


def days(made: Year) -> Iterator[tuple[int, pl.DataFrame]]:
    number = made.events["received"].to_numpy() // DAY_US - made.start
    for day in range(int(number[-1]) + 1):
        first, last = np.searchsorted(number, [day, day + 1])
        yield day, made.events.slice(first, last - first)


Fault = Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]


def robots(frame: pl.DataFrame, draw: np.random.Generator) -> pl.DataFrame:
    """A tenth of the day's events on top, of five visitors that go through the catalogue at an even pace."""
    n = int(SHARE * len(frame))
    made = frame[draw.integers(0, len(frame), n).tolist()].with_columns(user=pl.Series([f"robot-{k % BOTS}" for k in range(n)]))
    time = np.sort(draw.integers(frame["time"].min(), frame["time"].max(), n))  # type: ignore[arg-type]
    return pl.concat([frame, made.with_columns(time=pl.Series(time), received=pl.Series(time))]).sort("received", maintain_order=True)


FAULTS: Mapping[str, Fault] = {
    "x100 unit": lambda frame, _: frame.with_columns(pl.col("value") * 100),
    "dropped event type": lambda frame, _: frame.filter(pl.col("type") != TYPES.index("coupon")),
    "swapped ids": lambda frame, _: frame.with_columns(user=pl.col("item"), item=pl.col("user")),
    "10 % bots": robots,
    "clock skew": lambda frame, _: frame.with_columns(time=pl.col("time") - pl.when(pl.col("till") % TILLS == 0).then(SKEW_S * US_PER_S).otherwise(0)),
    "stale feature": lambda frame, _: frame,
}


class Broken:
    """A log that is as it was up to an offset, and broken after it."""

    def __init__(self, log: EventLog, until: int, tail: MemoryLog) -> None:
        self.log, self.until, self.tail = log, until, tail
        self.items = list(dict.fromkeys([*log.items_after(0), *tail.items]))

    def read(self, after: int, limit: int = 10_000, kinds: frozenset[Kind] | None = None) -> Iterator[Batch]:
        given = False
        if after < self.until:
            for batch in self.log.read(after, limit, kinds):
                if batch.first > self.until:
                    break
                given = True
                yield batch if batch.last <= self.until else msgspec.structs.replace(batch, records=batch.records[: self.until - batch.first + 1])
        if not given:
            for batch in self.tail.read(max(0, after - self.until), limit, kinds):
                yield msgspec.structs.replace(batch, first=batch.first + self.until)

    def end(self) -> int:
        return self.until + self.tail.end()

    def items_after(self, number: int) -> list[str]:
        return self.items[number:]


def broken(made: Year, log: EventLog, fault: str, onset: int) -> Broken:
    """The log with a fault from midnight of a day on."""
    begin = (made.start + onset) * DAY_US
    rows = made.history.available_before(begin)
    until = int(made.history.offset[rows - 1]) + (len(MOMENTS) * ASKED if onset > SERVED_FROM else 0)
    tail, walk, stopped = MemoryLog(ManualClock(0)), made.world.walk(), made.world.walk()
    stopped.to(begin)
    frames = dict(days(made))
    for day in range(onset, onset + WITHIN):
        frame = FAULTS[fault](frames[day], np.random.default_rng([SEED, day, 1]))
        tail.append(Kind.EVENTS, events_of(frame), frame["received"].to_list())
        slates, first = slates_of(made, walk, stopped if fault == "stale feature" else walk, day), until + tail.end() - len(frame)
        if fault != "stale feature":  # the table is as far as the broken log is
            seen = first + np.searchsorted(frame["received"].to_numpy(), [slate.time for slate in slates])
            slates = [msgspec.structs.replace(slate, item_offset=int(offset)) for slate, offset in zip(slates, seen, strict=True)]
        tail.append(Kind.SLATES, slates, [slate.time for slate in slates])
    return Broken(log, until, tail)


class Found(NamedTuple):
    """What a fault did."""

    windows: int  # 0 = found with its first window; WITHIN = not found
    held: bool
    sentence: str


def drilled(made: Year, shop: Shop, folder: Path, fault: str, onset: int) -> Found:
    """The fault in a copy of the watchman as it stood at the onset."""
    copy = folder / f"{fault}-{onset}"
    shutil.copytree(folder / f"stood-{onset}", copy)
    watchman = Watchman(replace(shop, log=broken(made, shop.log, fault, onset)), copy)
    before = len(watchman.state.alarms)
    for k in range(WITHIN):
        watchman.step((made.start + onset + k + 1) * DAY_US)
        fresh = [raised for raised in watchman.state.alarms[before:] if raised.alarm.blocks_training]
        if fresh:
            return Found(k, any(raised.alarm in watchman.holds for raised in fresh), fresh[0].alarm.sentence(watchman.named))
    return Found(WITHIN, held=False, sentence="")


def healthy(made: Year, shop: Shop, folder: Path, onsets: list[int]) -> Watchman:
    """The whole year without a fault; what stood at the onsets is kept."""
    watchman = Watchman(shop, folder / "healthy")
    for day in range(JUDGED_FROM, int(made.history.received_at[-1]) // DAY_US - made.start + 1):
        watchman.step((made.start + day) * DAY_US)
        if day in onsets:
            shutil.copytree(folder / "healthy", folder / f"stood-{day}")
    return watchman


def run(onsets: tuple[str, ...] = ONSETS, *, write: bool = True) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, made = Path(name), year()
        clock = ManualClock(int(made.history.received_at[-1]))
        shop = Shop(SETTINGS, clock, replayed(made, folder), ReleaseStore(folder / "releases", clock), made.world.plan)
        at = [int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * US_PER_S // DAY_US - made.start for day in onsets]
        watchman = healthy(made, shop, folder, at)
        found = {fault: [drilled(made, shop, folder, fault, onset) for onset in at] for fault in FAULTS}
    alarms = [raised.alarm for raised in watchman.state.alarms]
    holding = [alarm for alarm in alarms if alarm.blocks_training]
    print(f"{time.process_time():.0f} CPU s", file=sys.stderr)
    for alarm in alarms:
        print(alarm.severity, alarm.sentence(watchman.named), file=sys.stderr)
    for fault, each in found.items():
        print(fault, *each, sep="\n   ", file=sys.stderr)
    if not write:
        return
    days_judged = watchman.state.next - made.start - JUDGED_FROM
    measured = {
        **{f"{fault}, windows": [each.windows for each in drills] for fault, drills in found.items()},
        "not held": sum(not each.held for drills in found.values() for each in drills),
        "healthy days judged": days_judged,
        "healthy alarms that hold": len(holding),
        "healthy alarms that page": sum(alarm.pages for alarm in alarms),
        "healthy alarms in the digest": sum(not alarm.pages for alarm in alarms),
    }
    holds = all(each.windows < WITHIN and each.held for drills in found.values() for each in drills) and not any(alarm.pages for alarm in alarms)
    report(
        NAME,
        bar="x100 unit, dropped event type, stale feature, swapped ids, 10 % bots, clock skew: found within 2 windows, training held; no alarm over the year",
        measured=measured,
        unit="windows until held: 0 = with the first broken day, 2 = not found",
        holds=holds,
        seeds=[SEED],
        notes="The faults were tried on other days; the healthy year is one, and was seen while rules were made. "
        + "; ".join(f"{fault}: {drills[0].sentence}" for fault, drills in found.items()),
    )


if __name__ == "__main__":
    run(TRIED, write=False) if "--try" in sys.argv else run()
