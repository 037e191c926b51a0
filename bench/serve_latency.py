"""Claim serve_latency: the whole pipeline over HTTP at 100k and 1M items, beside a natural stack doing the same work.

    python bench/serve_latency.py [--small]

Open-loop Poisson load from the same cores; a latency counts from the time its request was due. Each rate is run three times over new connections, and the
middle one by its p99 counts. CPU is that of all processes of the server (API workers, stream worker, supervisor), from /proc.
"""

import json
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "load")]

import numpy as np  # noqa: E402
import peer_world  # noqa: E402
import world  # noqa: E402
from claims import RESULTS, report  # noqa: E402
from running import Running, compiled, load, process, request, vernal, write_requests  # noqa: E402

CLAIM = "serve_latency"
BAR = (
    "1M items, 2 cores: CPU <= 0.8 ms a request; p99 <= 5 ms at 1,000 rps and <= 10 ms at 2,000; "
    ">= 50x less CPU than the natural stack; 0 errors while releases are swapped every second"
)
SIZES = {"100k": (100_000, 50_000, 1_000_000), "1M": (1_000_000, 100_000, 3_000_000)}  # items, users, events
SMALL = {"10k": (10_000, 5_000, 100_000)}
RATES, SECONDS, TIMES, ASKED_USERS = (200, 1_000, 2_000), 15.0, 3, 4_000
PEER_RPS, PEER_SECONDS = 8.0, 12.0
PEERS = (("natural", "flat", ""), ("tuned", "ivf", "1"))  # name, index, threads
SEED = 1


def asked(n_users: int) -> list[str]:
    """Users of the load, in the order they ask."""
    return [f"u{user}" for user in np.random.default_rng(SEED).integers(0, n_users, ASKED_USERS)]


def at_rate(server: Running, binary: Path, requests: Path, rps: float, seconds: float, **more: Any) -> dict[str, Any]:
    """One run: latencies, errors, and CPU per request by process."""
    before = server.cpu_s()
    found = load(binary, server.port, requests, rps=rps, seconds=seconds, warmup_s=2.0, expect='"rung":"full"', **more)
    after = server.cpu_s()
    n = rps * (seconds + 2.0)
    api = sum(after[name] - before.get(name, 0.0) for name in after if name.startswith("api"))
    busy = (sum(after[name] - before.get(name, 0.0) for name in after) + found["generator_cpu_s"]) / (seconds + 2.0)
    return found | {"api_cpu_ms": 1e3 * api / n, "busy_cores": busy, "all_cpu_ms": 1e3 * sum(after[name] - before.get(name, 0.0) for name in after) / n}


def middle(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The run whose p99 is in the middle, with those of all, and what was bad in any."""
    chosen = sorted(found, key=lambda run: run["p99_us"])[len(found) // 2]
    worst = {what: max(run[what] for run in found) for what in ("failed", "unanswered", "status_4xx", "status_5xx")}
    return chosen | worst | {"p99s_us": [run["p99_us"] for run in found]}


def stages(server: Running) -> dict[str, float]:
    """Mean microseconds per stage, from the server's own metrics."""
    text = server.get("/metrics").decode()
    sums = dict(re.findall(r'vernal_stage_seconds_sum\{stage="(\w+)"\} (\S+)', text))
    counts = dict(re.findall(r'vernal_stage_seconds_count\{stage="(\w+)"\} (\S+)', text))
    return {stage: 1e6 * float(total) / float(counts[stage]) for stage, total in sums.items() if float(counts[stage])}


def swapped(server: Running, binary: Path, requests: Path, workspace: Any) -> dict[str, Any]:
    """A run at 1,000 rps while a release is promoted every second."""
    stopped, names = threading.Event(), workspace.releases.names()

    def swap() -> None:
        turn = 1
        while not stopped.wait(1.0):
            workspace.releases.promote(names[turn % 2], "bench")
            turn += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        return at_rate(server, binary, requests, 1_000, SECONDS)
    finally:
        stopped.set()
        thread.join()


def measured_vernal(folder: Path, size: tuple[int, int, int], binary: Path, rates: tuple[int, ...]) -> dict[str, Any]:
    n_items, n_users, n_events = size
    began = time.perf_counter()
    workspace = world.build(folder, n_items, n_users, n_events)
    with (folder / "vernal.toml").open("a", encoding="utf-8") as settings:
        settings.write('\n[rollout]\nmode = "off"\n')  # what watching and training cost beside answers is quiet_training's to say
    built_s = time.perf_counter() - began
    bodies = [request("/v1/recommend", {"user": user, "n": 10}) for user in asked(n_users)]
    requests = write_requests(folder / "requests", bodies)
    with vernal(folder) as server:
        at_rate(server, binary, requests, 500, 5)
        runs = {f"{rps} rps": middle([at_rate(server, binary, requests, rps, SECONDS) for _ in range(TIMES)]) for rps in rates}
        breakdown = stages(server)
        swapping = swapped(server, binary, requests, workspace)
    return {"built_s": built_s, "runs": runs, "stages_us": breakdown, "swapping": swapping}


def measured_peer(folder: Path, size: tuple[int, int, int], binary: Path) -> dict[str, Any]:
    """The natural stack as it comes (exact index, threads as the libraries choose), and tuned (inverted file, one thread)."""
    n_items, n_users, n_events = size
    peer_world.write(folder, n_items)
    users = asked(n_users)
    histories = peer_world.histories(n_items, n_users, n_events, set(users), time.time_ns() // 1_000)
    users = [user for user in users if len(histories[user]) > 1]
    requests = write_requests(folder / "requests", [request("/recommend", {"user": user, "n": 10}) for user in users])
    out = {}
    with peer_world.redis_with(histories) as (redis_port, redis_pid):
        for name, kind, threads in PEERS:
            port = peer_world.free_port()
            command = [sys.executable, str(HERE / "peers" / "natural.py"), str(folder), str(port), str(redis_port), kind]
            with process(command, port, "Uvicorn running", threads=threads) as peer:
                peer.lines.append(f"started redis as process {redis_pid}")
                load(binary, port, requests, rps=PEER_RPS, seconds=2, warmup_s=0, connections=8)
                before = sum(peer.cpu_s().values())
                found = load(binary, port, requests, rps=PEER_RPS, seconds=PEER_SECONDS, warmup_s=0, connections=8)
                found["all_cpu_ms"] = 1e3 * (sum(peer.cpu_s().values()) - before) / max(1, found["ok"])
                out[name] = found
    return out


def run(sizes: dict[str, tuple[int, int, int]] = SIZES, rates: tuple[int, ...] = RATES) -> dict[str, Any]:
    """Measures everything and writes the result."""
    ours, peers = {}, {}
    for name, size in sizes.items():
        with tempfile.TemporaryDirectory() as place:
            binary = compiled(Path(place))
            ours[name] = measured_vernal(Path(place) / "shop", size, binary, rates)
            peers[name] = measured_peer(Path(place) / "peer", size, binary)
    return judged(ours, peers, list(sizes)[-1])


def judged(ours: dict[str, Any], peers: dict[str, Any], largest: str) -> dict[str, Any]:
    """Holds the figures of the largest catalogue against the bar."""
    runs, swapping = ours[largest]["runs"], ours[largest]["swapping"]
    cpu = {name: found["api_cpu_ms"] for name, found in runs.items()}
    ratio = peers[largest]["natural"]["all_cpu_ms"] / runs["1000 rps"]["all_cpu_ms"]
    errors = sum(bad(found) for found in [*runs.values(), swapping])
    measured = {
        "cpu_ms_a_request_at_1000_rps": cpu["1000 rps"],
        "p99_ms_at_1000_rps": runs["1000 rps"]["p99_us"] / 1e3,
        "p99_ms_at_2000_rps": runs["2000 rps"]["p99_us"] / 1e3 if "2000 rps" in runs else None,
        "times_less_cpu_than_natural": ratio,
        "times_less_cpu_than_natural_tuned": peers[largest]["tuned"]["all_cpu_ms"] / runs["1000 rps"]["all_cpu_ms"],
        "errors": errors,
        "share_answered_by_the_full_pipeline": min(found["expected"] / max(1, found["ok"]) for found in runs.values()),
        "by_size": {name: brief(found) for name, found in ours.items()},
    }
    holds = cpu["1000 rps"] <= 0.8 and measured["p99_ms_at_1000_rps"] <= 5 and (measured["p99_ms_at_2000_rps"] or 0) <= 10 and ratio >= 50 and errors == 0
    notes = (
        "cpu_ms is of the API workers; all_cpu_ms adds the stream worker, which folds every slate's impressions, and the supervisor. "
        "Nothing watches or trains beside (quiet_training does). Users and items are synthetic; item models have full-size arrays. The bars in ms were set on "
        "a machine where the same natural stack cost 56-67 ms CPU a request and the prototype 110 times less; what the stack costs here says how this machine "
        "compares, and the ratio is what travels. At 2,000 a second load, server and stream worker keep the two cores busy for the share that is told; a queue "
        "of requests of 0.8 ms that is busy for 0.91 of the time keeps one in a hundred for 20 ms, for 0.82 of it 10 (M/D/1)."
    )
    report(
        CLAIM,
        bar=BAR,
        measured=measured,
        unit="ms",
        holds=holds,
        baselines={f"natural FastAPI stack, {size}": plain(found) for size, found in peers.items()},
        seeds=[0, SEED],
        notes=notes,
    )
    return dict(json.loads((RESULTS / f"{CLAIM}.json").read_text(encoding="utf-8")))


def brief(found: dict[str, Any]) -> dict[str, Any]:
    """What the table shows of one size: per rate, latencies in ms and CPU in ms; microseconds by stage."""
    runs = {**found["runs"], "swapping every second": found["swapping"]}
    shown = {
        name: {"p50": run["p50_us"] / 1e3, "p99": run["p99_us"] / 1e3, "cpu": round(run["api_cpu_ms"], 3), "refused": bad(run)} for name, run in runs.items()
    }
    for name, run in found["runs"].items():
        shown[name] |= {"p99 of each": [round(us / 1e3, 1) for us in run["p99s_us"]], "cores busy, load and all": round(run["busy_cores"], 2)}
    return shown | {"stages_us": {stage: round(us) for stage, us in found["stages_us"].items()}}


def plain(peer: dict[str, Any]) -> dict[str, Any]:
    """Of each form of the peer: latencies and CPU in ms."""
    return {name: {"p50": run["p50_us"] / 1e3, "p99": run["p99_us"] / 1e3, "cpu": round(run["all_cpu_ms"], 1)} for name, run in peer.items()}


def bad(found: dict[str, Any]) -> int:
    return int(found["failed"] + found["unanswered"] + found["status_4xx"] + found["status_5xx"])


if __name__ == "__main__":
    run(SMALL) if "--small" in sys.argv else run()
