"""Claim quiet_training: what callers notice of a training on the cores that serve them.

    python bench/quiet_training.py [--small]

A film site (MovieTweetings) under constant open-loop load. Stretches alternate: nobody trains; the keeper's trainer makes a whole release, as it does by
itself, and the load lasts about as long as the training. A latency counts from the time its request was due. Beside it, in the same run: the same training as
an ordinary process, as a script would run it.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "load")]

import films  # noqa: E402
from claims import report  # noqa: E402
from logs import found  # noqa: E402
from running import Running, compiled, load, request, vernal, write_requests  # noqa: E402

from vernal.app import Workspace  # noqa: E402
from vernal.cli.serve import child_command  # noqa: E402
from vernal.rollout.processes import TrainerProcess  # noqa: E402
from vernal.serving.children import ONE_THREAD, Child  # noqa: E402

CLAIM = "quiet_training"
BAR = "p99 while training runs on the same 2 cores: at most 1.5x the quiet p99"
EVENTS, RPS, ROUNDS = 20_000, 200.0, 6
SMALL = (10_000, 100.0, 1)
TOML = '[rollout]\nmode = "off"\n'
SETTLE_S, ASK_S = 2.0, 0.05


class Trial:
    """A server, its load, and trainers on demand."""

    def __init__(self, workspace: Workspace, server: Running, binary: Path, requests: Path, rps: float) -> None:
        self.workspace, self.server, self.binary, self.requests, self.rps = workspace, server, binary, requests, rps
        self.file = workspace.root / "vernal.toml"
        self.life_fd, self.ours = os.pipe()
        child = Child(role="keeper", index=0, workers=2, host="", port=0, require_keys=False, ready_fd=-1, life_fd=self.life_fd)
        self.hands = TrainerProcess(workspace, child, child_command(self.file, "trainer", 0))

    def quietly(self, seconds: float) -> dict[str, Any]:
        """The load while nobody trains."""
        return load(self.binary, self.server.port, self.requests, rps=self.rps, seconds=seconds, warmup_s=SETTLE_S, expect='"rung":"full"')

    def training(self, seconds: float) -> tuple[dict[str, Any], float]:
        """The load while the keeper's trainer makes a release, and how long that took."""
        self.hands.start("bench")
        began = time.perf_counter()
        found = self.quietly(seconds)
        while self.hands.running:
            time.sleep(ASK_S)
        took = time.perf_counter() - began
        ended = self.hands.finished()
        assert ended is not None
        assert ended.release, ended.problem
        return found, took

    def script(self, seconds: float) -> dict[str, Any]:
        """The load while the same training runs as an ordinary process with an ordinary library's threads: one a core."""
        command = [sys.executable, "-m", "vernal.cli", "train", "--no-promote", "--config", str(self.file)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **ONE_THREAD}) as process:
            found = self.quietly(seconds)
            process.wait()
        return found


def run(n_events: int = EVENTS, rps: float = RPS, rounds: int = ROUNDS) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        began = time.perf_counter()
        workspace = films.build(folder / "films", n_events, more=TOML)
        bodies = [request("/v1/recommend", {"user": user, "n": 10}) for user in films.users(workspace)]
        requests = write_requests(folder / "requests", bodies)
        binary = compiled(folder)
        print(f"built in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        with vernal(workspace.root) as server:
            trial = Trial(workspace, server, binary, requests, rps)
            trial.quietly(3.0)
            _, alone_s = trial.training(5.0)  # how long a training is, with nearly no load
            quiet, busy, took = [], [], []
            for _ in range(rounds):
                quiet.append(trial.quietly(alone_s - SETTLE_S))
                found, seconds = trial.training(alone_s - SETTLE_S)
                busy.append(found)
                took.append(seconds)
            script = trial.script(alone_s - SETTLE_S)
    told(n_events, rps, quiet, busy, took, script)


def told(n_events: int, rps: float, quiet: list[dict[str, Any]], busy: list[dict[str, Any]], took: list[float], script: dict[str, Any]) -> None:
    """Holds the medians over the stretches against the bar."""
    ratio = median(p99(f) for f in busy) / median(p99(f) for f in quiet)
    errors = sum(bad(f) for f in [*quiet, *busy])
    report(
        CLAIM,
        bar=BAR,
        measured={
            "p99 while training / quiet p99": ratio,
            "p99, ms, quiet": [p99(f) for f in quiet],
            "p99, ms, training": [p99(f) for f in busy],
            "p50, ms, quiet": [f["p50_us"] / 1e3 for f in quiet],
            "p50, ms, training": [f["p50_us"] / 1e3 for f in busy],
            "training, s": took,
            "refused or lost": errors,
        },
        unit="",
        holds=ratio <= 1.5 and errors == 0,
        baselines={
            "the same training as an ordinary process, one thread a library: p99, ms": p99(script),
            "and times the quiet p99": p99(script) / median(p99(f) for f in quiet),
        },
        seeds=[1],
        notes=f"MovieTweetings, first {n_events:,} ratings, {rps:.0f} requests/s from the same two cores; {len(quiet)} stretches each, alternating, "
        "every training whole. The ratio is that of the medians; the lists are the stretches.",
    )


def p99(found: dict[str, Any]) -> float:
    return float(found["p99_us"]) / 1e3


def bad(found: dict[str, Any]) -> int:
    return int(found["failed"] + found["unanswered"] + found["status_4xx"] + found["status_5xx"])


if __name__ == "__main__":
    if not found(films.NAME):
        sys.exit(f"{CLAIM}: needs ../shared/data")
    run(*SMALL) if "--small" in sys.argv else run()
