"""Claim deployment_cycle: from "new data is in" to "the new release serves", hands-off and by hand, under load.

    python bench/deployment_cycle.py [--small]

Two equal film sites (MovieTweetings) with a release in charge, each under constant open-loop load. Then the ratings of the following days are appended, and the
clock runs until an answer carries a release that knows them. Hands-off: `vernal serve` as it is, told to train as soon as anything came in; its gate judges the
release. By hand: the same training code as a script that keeps nothing from last time, the release copied to a registry folder, put in charge, the server
restarted; nobody waits for a person, and nothing is judged. Beside them: by hand with what the training before left (`data/memo`), and hands-off without it, as
on the day on which a window is over.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "load")]

import films  # noqa: E402
from claims import report  # noqa: E402
from logs import found  # noqa: E402
from running import Running, compiled, free_port, load, process, request, write_requests  # noqa: E402

from vernal.app import Workspace  # noqa: E402
from vernal.events.schema import Kind  # noqa: E402
from vernal.rollout.records import trainings, trainings_of  # noqa: E402

CLAIM = "deployment_cycle"
BAR = "from new data to its release serving, hands-off: at least 40 % shorter than a hand-run pipeline of train script, registry, restart; 0 requests dropped"
EVENTS, NEWS, RPS, ROUNDS = 20_000, 1_000, 100.0, 3
SMALL = (10_000, 1_000, 100.0, 1)
HURRY = '[rollout]\nlook = "1s"\ncadence = "1s"\ncool_down = "1s"\ncanary_steps = []\n'  # trains as soon as anything came in; the gate decides
BY_HAND = '[rollout]\nmode = "off"\n'
HEADSTART_S, RUN_S, ASK_S = 12.0, 3.0, 0.05  # a server that has been up for a while
Cycle = dict[str, Any]


class Site:
    """One site under load."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.command = [sys.executable, "-m", "vernal.cli", "serve", "--config", str(folder / "vernal.toml"), "--port", str(port)]

    def serving(self) -> Any:
        """The server, until it is told to stop."""
        return process(self.command, self.port, "answers")

    def release(self) -> str:
        """The release that answers now; none while nothing does."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/recommend", json.dumps({"user": "1"}).encode(), {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=1) as answer:
                return str(json.load(answer)["release"])
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return ""

    def append(self, n: int, news: int) -> None:
        """New data is in when this returns."""
        with Workspace.open(self.folder / "vernal.toml") as workspace:
            workspace.log.append(Kind.EVENTS, films.news(n, news))

    def until_other_than(self, before: str) -> None:
        while self.release() in ("", before):
            time.sleep(ASK_S)
            if any(training.outcome in ("refused", "failed") for training in trainings(trainings_of(self.folder / "data"))):
                raise RuntimeError(trainings(trainings_of(self.folder / "data"))[-1].note)


def hands_off_anew(site: Site, running: Running, n: int, news: int) -> float:
    """Hands-off, when nothing of the training before can be used."""
    shutil.rmtree(site.folder / "data" / "memo")
    return hands_off(site, running, n, news)


def hands_off(site: Site, running: Running, n: int, news: int) -> float:
    """Seconds until a release that knows the news serves; nobody does anything."""
    del running
    before = site.release()
    site.append(n, news)
    began = time.perf_counter()
    site.until_other_than(before)
    return time.perf_counter() - began


def by_hand(site: Site, running: Running, n: int, news: int) -> float:
    """The same by a script that keeps nothing, registry and restart."""
    shutil.rmtree(site.folder / "data" / "memo")
    return by_hand_remembering(site, running, n, news)


def by_hand_remembering(site: Site, running: Running, n: int, news: int) -> float:
    """The same by script, registry and restart."""
    before = site.release()
    site.append(n, news)
    began = time.perf_counter()
    registry = site.folder / "registry"
    registry.mkdir()
    script = [sys.executable, str(HERE / "peers" / "pipeline.py"), str(site.folder / "vernal.toml"), str(registry)]
    name = subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]
    running.process.terminate()
    running.process.wait()
    with Workspace.open(site.folder / "vernal.toml") as workspace:
        workspace.releases.promote(name, "by hand")
    with site.serving():
        site.until_other_than(before)
        took = time.perf_counter() - began
        time.sleep(RUN_S)
    return took


class Load:
    """Constant load on a site in short runs, one after another, while the block runs."""

    def __init__(self, site: Site, rps: float, tools: tuple[Path, Path]) -> None:
        self.site, self.rps, self.tools = site, rps, tools
        self.runs: list[dict[str, Any]] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.going)

    def going(self) -> None:
        while not self.stopped.is_set():
            try:
                self.runs.append(load(self.tools[0], self.site.port, self.tools[1], rps=self.rps, seconds=RUN_S, warmup_s=0.0, seed=1 + len(self.runs)))
            except subprocess.CalledProcessError:  # nobody listens
                self.runs.append({"unanswered": self.rps * ASK_S, "seconds": ASK_S})
                time.sleep(ASK_S)

    def __enter__(self) -> "Load":
        self.thread.start()
        time.sleep(HEADSTART_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def told(self) -> Cycle:
        dropped = {kind: round(sum(run.get(kind, 0) for run in self.runs)) for kind in ("failed", "unanswered", "status_4xx", "status_5xx")}
        asked = round(self.rps * sum(run["seconds"] for run in self.runs))
        worst = max(run.get("p99_us", 0.0) for run in self.runs) / 1e3
        return {"asked": asked, "dropped": sum(dropped.values()), "worst_p99_ms": worst} | dropped


def cycle(folder: Path, toml: str, way: Callable[[Site, Running, int, int], float], n: int, news: int, rps: float, tools: tuple[Path, Path]) -> Cycle:
    """One cycle of a fresh copy of the site, under load from before its beginning to after its end."""
    shutil.copytree(folder, here := folder.with_name(f"{way.__name__}-{time.monotonic_ns()}"))
    file = here / "vernal.toml"
    file.write_text(file.read_text() + toml)
    site = Site(here, free_port())
    with site.serving() as running, Load(site, rps, tools) as loaded:
        took = way(site, running, n, news)
    shutil.rmtree(here)
    found = {"s": took} | loaded.told()
    print(way.__name__, found, file=sys.stderr)
    return found


def run(n: int = EVENTS, news: int = NEWS, rps: float = RPS, rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        workspace = films.build(folder / "films", n, news)
        requests = write_requests(folder / "requests", [request("/v1/recommend", {"user": user, "n": 10}) for user in films.users(workspace)])
        workspace.close()
        tools = compiled(folder), requests
        ways = {hands_off: HURRY, by_hand: BY_HAND, by_hand_remembering: BY_HAND, hands_off_anew: HURRY}
        cycles: dict[str, list[Cycle]] = {way.__name__: [] for way in ways}
        for _ in range(rounds):
            for way, toml in ways.items():
                cycles[way.__name__].append(cycle(folder / "films", toml, way, n, news, rps, tools))
    told(cycles, n, news, rps)


def told(cycles: dict[str, list[Cycle]], n: int, news: int, rps: float) -> None:
    """Holds the medians against the bar."""
    ours, theirs = (median(each["s"] for each in cycles[way]) for way in ("hands_off", "by_hand"))
    dropped = sum(each["dropped"] for each in cycles["hands_off"])
    report(
        CLAIM,
        bar=BAR,
        measured={
            "shorter by": 1 - ours / theirs,
            "hands-off, s": [each["s"] for each in cycles["hands_off"]],
            "requests dropped, hands-off": dropped,
            "of": sum(each["asked"] for each in cycles["hands_off"]),
        },
        unit="",
        holds=ours <= 0.6 * theirs and dropped == 0,
        baselines={
            "by hand, s": [each["s"] for each in cycles["by_hand"]],
            "by hand, requests dropped": sum(each["dropped"] for each in cycles["by_hand"]),
            "by hand with what the training before left, s": [each["s"] for each in cycles["by_hand_remembering"]],
            "hands-off without it, as when a window is over, s": [each["s"] for each in cycles["hands_off_anew"]],
            "p99 of the worst 3 s of a cycle, ms, hands-off": [each["worst_p99_ms"] for each in cycles["hands_off"]],
        },
        seeds=[1],
        notes=f"MovieTweetings, {n:,} ratings, then {news:,} more; {rps:.0f} requests/s from the same two cores all the while. Hands-off includes the look "
        "(rollout.look, cadence and cool_down of 1 s; at such a cadence a trainer stands by), the trainer behind everything else, and the gate; by hand "
        "includes neither a judgement nor any waiting for a person. No window is over between the two trainings, as on six days of seven at the default "
        "window of a week.",
    )


if __name__ == "__main__":
    if not found(films.NAME):
        sys.exit(f"{CLAIM}: needs ../shared/data")
    run(*SMALL) if "--small" in sys.argv else run()
