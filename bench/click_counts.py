"""Claim click_counts: an acknowledged event is reflected in the next recommendation, under load.

    python bench/click_counts.py [--small]

Probes ask for a slate, send a view of its first item, and from the acknowledgement on ask again until that item is gone (repeats are
not allowed in this shop). Meanwhile others ask for slates and send events, open loop.
"""

import http.client
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "load")]

import numpy as np  # noqa: E402
import world  # noqa: E402
from claims import RESULTS, report  # noqa: E402
from running import compiled, load, request, vernal, write_requests  # noqa: E402

CLAIM = "click_counts"
BAR = "event acknowledged -> reflected in the next recommendation: p99 <= 100 ms under load"
SIZE, SMALL = (100_000, 50_000, 1_000_000), (5_000, 2_000, 50_000)
SLATES_RPS, EVENTS_RPS, SECONDS, PROBERS = 500.0, 200.0, 30.0, 2
GIVE_UP_S = 5.0
SEED = 3


class Prober:
    """One client that clicks and looks whether it counted; times in seconds."""

    def __init__(self, port: int, name: str) -> None:
        self.connection, self.name = http.client.HTTPConnection("127.0.0.1", port), name
        self.acknowledged: list[float] = []  # event sent -> acknowledged
        self.reflected: list[float] = []  # acknowledged -> a slate that knows it was received
        self.asked: list[int] = []  # slates asked for until then
        self.missing = 0

    def post(self, path: str, body: Any) -> Any:
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        return json.loads(answer.read())

    def slate(self, user: str) -> list[str]:
        return [item["item"] for item in self.post("/v1/recommend", {"user": user, "n": 10})["items"]]

    def probe(self, number: int) -> None:
        user = f"{self.name}-{number // 20}"  # twenty clicks a user, so that most have a history
        item = self.slate(user)[0]
        sent = time.perf_counter()
        self.post("/v1/events", {"user": user, "item": item, "type": "view"})
        acknowledged = time.perf_counter()
        asked = 1
        while item in self.slate(user):
            asked += 1
            if time.perf_counter() - acknowledged > GIVE_UP_S:
                self.missing += 1
                return
        self.acknowledged.append(acknowledged - sent)
        self.reflected.append(time.perf_counter() - acknowledged)
        self.asked.append(asked)

    def run(self, until: float) -> None:
        number = 0
        while time.perf_counter() < until:
            self.probe(number)
            number += 1


def run(size: tuple[int, int, int] = SIZE) -> dict[str, Any]:
    """Measures and writes the result."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "shop"
        world.build(folder, *size)
        binary, mixed = compiled(Path(place)), mixture(Path(place) / "requests", size)
        with vernal(folder) as server:
            load(binary, server.port, mixed, rps=SLATES_RPS, seconds=3)
            until = time.perf_counter() + SECONDS
            probers = [Prober(server.port, f"prober{k}") for k in range(PROBERS)]
            threads = [threading.Thread(target=prober.run, args=(until,)) for prober in probers]
            for thread in threads:
                thread.start()
            background = load(binary, server.port, mixed, rps=SLATES_RPS + EVENTS_RPS, seconds=SECONDS - 2)
            for thread in threads:
                thread.join()
    return judged(probers, background)


def mixture(file: Path, size: tuple[int, int, int]) -> Path:
    """Requests of many users: slates and events in their shares, each event its own."""
    n_items, n_users, _ = size
    random = np.random.default_rng(SEED)
    n = int(1.2 * (SLATES_RPS + EVENTS_RPS) * SECONDS)
    users, items, clicks = random.integers(0, n_users, n), random.integers(0, n_items, n), random.random(n) < EVENTS_RPS / (SLATES_RPS + EVENTS_RPS)
    rows = zip(users.tolist(), items.tolist(), clicks.tolist(), strict=True)
    return write_requests(
        file,
        (
            request("/v1/events", {"user": f"u{user}", "item": f"i{item}", "type": "view"})
            if click
            else request("/v1/recommend", {"user": f"u{user}", "n": 10})
            for user, item, click in rows
        ),
    )


def judged(probers: list[Prober], background: dict[str, Any]) -> dict[str, Any]:
    reflected = np.concatenate([prober.reflected for prober in probers]) * 1e3
    acknowledged = np.concatenate([prober.acknowledged for prober in probers]) * 1e3
    asked, missing = np.concatenate([prober.asked for prober in probers]), sum(prober.missing for prober in probers)
    measured = {
        "p99_ms": float(np.quantile(reflected, 0.99)),
        "p50_ms": float(np.quantile(reflected, 0.5)),
        "sent_to_acknowledged_p50_ms": float(np.quantile(acknowledged, 0.5)),
        "sent_to_acknowledged_p99_ms": float(np.quantile(acknowledged, 0.99)),
        "in_the_very_next_slate": float((asked == 1).mean()),
        "probes": len(reflected),
        "never_reflected": missing,
        "background": background,
    }
    holds = measured["p99_ms"] <= 100 and missing == 0 and background["status_5xx"] == 0
    notes = "The time includes the slate that shows it. Background: 500 slates and 200 events a second, open loop, from the same cores."
    report(CLAIM, bar=BAR, measured=measured, unit="ms", holds=holds, baselines={}, seeds=[0, SEED], notes=notes)
    return dict(json.loads((RESULTS / f"{CLAIM}.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    run(SMALL) if "--small" in sys.argv else run()
