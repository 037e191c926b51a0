"""Claim train_time: from files to a release that answers, and the most memory that took.

Through the verbs' own parts, in a fresh process and data directory each: import of events and catalogue into the durable log, training with the defaults
(search, item models, past requests, ranker, backtest, fit on everything), the gate, state folded, one slate asked of the new release. Kernels are compiled
before the clock starts, as an installation does once.
"""

import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import polars as pl
from claims import contestant, cpu_s, report
from logs import SHARED, found

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import parse
from vernal.events.importing import import_events
from vernal.events.schema import Kind
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.records import user_key
from vernal.features.weights import hop
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Recommender
from vernal.ranking.request import Request
from vernal.rollout.gate import judge, promote
from vernal.serving.folding import Folding
from vernal.testing.village import village_events, village_items, village_settings
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

NAME = "train_time"
DEMO_BAR_S, SMALL_BAR_S = 300.0, 30.0
SMALL = 100_000
TREES: dict[str, dict[str, Any]] = {
    "completejourney": {
        "events": {"types": {"purchase": {}}, "default_type": "purchase", "repeats": True},
        "items": {"attributes": ["category", "department", "brand"]},
    },
    "movietweetings": {"events": {"types": {"rating": {}}, "default_type": "rating"}, "items": {"attributes": ["genres", "year"]}},
}
COLUMNS = {"user": "user_id", "item": "item_id", "type": "", "time": "timestamp"}


def warm() -> None:
    """Compiles every kernel on a village, in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        events = village_events(items := village_items())
        workspace = Workspace(Path(folder), village_settings(), ManualClock(events[-1].time + 1))
        workspace.log.append(Kind.ITEMS, items, [events[0].time] * len(items))
        workspace.log.append(Kind.EVENTS, events, [event.time for event in events])
        served(workspace)
        workspace.close()


def served(workspace: Workspace, laps: dict[str, float] | None = None) -> str:
    """Trains, folds and asks; returns the first item shown."""
    laps = {} if laps is None else laps
    last = [time.perf_counter()]

    def stage(name: str, *_: int) -> None:
        now = time.perf_counter()
        laps[name] = laps.get(name, 0.0) + now - last[0]
        last[0] = now

    snapshot = Snapshot.of(workspace)
    release, _ = train(workspace, stage, promote=False, snapshot=snapshot)
    judge(workspace, release.name, snapshot=snapshot)
    promote(workspace, release.name, "bench")
    stage("gate")
    with closing(Folding(workspace)) as folding:
        folding.catch_up()
    stage("fold")
    now, plan = workspace.clock.now(), workspace.plan
    user = workspace.history().users[0]
    with closing(workspace.state()) as state:
        record, offset = state.get_with_offset(user_key(user))
    recommender = Recommender(Parts.of(workspace.releases.open(release.name), plan), plan, workspace.settings)
    ranked = recommender.recommend(Request(user=user), user_state(plan, record, hop(now), offset), LiveItems.attach(workspace.live_dir), now, 0)
    stage("answer")
    return ranked.ids[0]


def whole(name: str, rows: int | None) -> dict[str, Any]:
    """Import to served release of a log, or of its first rows."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        events = pl.read_parquet(SHARED / name / "events.parquet").sort("timestamp", maintain_order=True)
        (events.head(rows) if rows else events).write_parquet(folder / "events.parquet")
        told = {"events": {"files": ["events.parquet"], "columns": COLUMNS}, "items": {"files": ["items.parquet"], "id": "item_id"}}
        tree = {section: TREES[name][section] | keys for section, keys in told.items()}
        pl.read_parquet(SHARED / name / "items.parquet").write_parquet(folder / "items.parquet")
        newest = events["timestamp"][rows - 1 if rows else -1]
        del events
        clock = ManualClock(int(newest.timestamp()) * 1_000_000 + 1)
        laps: dict[str, float] = {}
        began, cpu = time.perf_counter(), cpu_s()
        with Workspace(folder, parse(tree), clock) as workspace:
            import_events(workspace.settings, folder, workspace.log, lambda *_: None, clock)
            laps["import"] = time.perf_counter() - began
            shown, records = served(workspace, laps), workspace.log.end()
        shares = {stage: round(taken, 1) for stage, taken in laps.items()}
        return {"wall_s": time.perf_counter() - began, "cpu_s": cpu_s() - cpu, "records": records, "shown": shown, "laps": shares}


def run() -> dict[str, Any]:
    """The demo log whole, and 10^5 events of another."""
    contestant(warm)
    demo, small = contestant(whole, "completejourney", None), contestant(whole, "movietweetings", SMALL)
    return {
        "claim": NAME,
        "bar": f"demo log, import to served release <= {DEMO_BAR_S / 60:.0f} min; 10^5 events <= {SMALL_BAR_S:.0f} s",
        "measured": {
            "demo log, s": demo.value["wall_s"],
            "10^5 events, s": small.value["wall_s"],
            "demo log, peak GiB": demo.peak_bytes / 2**30,
            "10^5 events, peak GiB": small.peak_bytes / 2**30,
        },
        "unit": "wall seconds and resident GiB",
        "holds": demo.value["wall_s"] <= DEMO_BAR_S and small.value["wall_s"] <= SMALL_BAR_S,
        "baselines": {"demo log, CPU s": demo.value["cpu_s"], "10^5 events, CPU s": small.value["cpu_s"]},
        "seeds": [0],
        "notes": f"Records in the log: {demo.value['records']:,} and {small.value['records']:,}. Wall s by stage, demo log: {demo.value['laps']}; "
        f"10^5 events: {small.value['laps']}.",
    }


def main() -> None:
    if not (found("completejourney") and found("movietweetings")):
        sys.exit(f"{NAME}: needs ../shared/data")
    result = run()
    report(result.pop("claim"), **result)


if __name__ == "__main__":
    main()
