"""A small shop, its server as a real process, and callers of it."""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from vernal.app import Workspace
from vernal.clock import SystemClock
from vernal.events.schema import Event, Item, Kind
from vernal.ranking.features import feature_names
from vernal.ranking.parts import save_static
from vernal.ranking.ranker import fit_ranker
from vernal.release import Lineage
from vernal.retrieval.models import fit
from vernal.serving.keys import Keys
from vernal.training.meaning import put_semantic
from vernal.training.remembering import Remembering
from vernal.training.snapshot import Snapshot

N_ITEMS, N_USERS, N_EVENTS = 80, 120, 4_000
TOML = """
[events]
default_type = "view"
[events.types.view]
weight = 1.0
[events.types.purchase]
weight = 5.0
[items]
attributes = ["category", "brand"]
[training]
trees = 20
[scenarios.gifts]
temperature = 0.5
[serving]
deadline_ms = 2000
"""


def open_shop(folder: Path, toml: str = TOML) -> Workspace:
    """A workspace with items and events, not trained."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vernal.toml").write_text(toml)
    workspace = Workspace.open(folder / "vernal.toml")
    now = workspace.clock.now()
    workspace.log.append(Kind.ITEMS, [item(number, now) for number in range(N_ITEMS)])
    workspace.log.append(Kind.EVENTS, events(now))
    return workspace


def item(number: int, now: int) -> Item:
    attributes = {"category": [f"c{number % 5}"], "brand": [f"b{number % 7}"]}
    return Item(f"i{number}", title=f"Item {number}", text=f"thing {number % 5}", attributes=attributes, time=now)


def events(now: int, seed: int = 0) -> list[Event]:
    """Users who like one category each."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, N_USERS, N_EVENTS)
    numbers = (rng.zipf(1.5, N_EVENTS) * 5 + users) % N_ITEMS
    ages = np.sort(rng.integers(60, 30 * 86_400, N_EVENTS))[::-1]
    kinds = np.where(rng.random(N_EVENTS) < 0.2, "purchase", "view")
    return [Event(f"e{seed}-{k}", str(kinds[k]), f"u{users[k]}", f"i{numbers[k]}", now - int(ages[k]) * 1_000_000) for k in range(N_EVENTS)]


def train(workspace: Workspace, seed: int = 0, reason: str = "test") -> str:
    """A release with every part, in charge; its ranker is fitted to noise."""
    rng, names = np.random.default_rng(seed), feature_names(workspace.plan)
    models = fit(workspace.history(), workspace.catalogue(), workspace.settings, workspace.clock.now(), seed)
    features = rng.random((600, len(names)), np.float32)
    ranker = fit_ranker(features, (features[:, 0] > 0.7).astype(np.float32), np.repeat(np.arange(60), 10), workspace.settings.training, names)
    draft = workspace.releases.draft()
    models.save(draft)
    ranker.save(draft)
    save_static(draft, [(f"i{number}", number) for number in range(20)])
    put_semantic(draft, snapshot := Snapshot.of(workspace), workspace, Remembering(workspace.memo, snapshot))
    lineage = Lineage(
        log_from=1,
        log_to=workspace.log.end(),
        as_of=workspace.clock.now(),
        config=workspace.settings.fingerprint(),
        plan=workspace.plan.fingerprint,
        code="0",
        seed=seed,
    )
    name = workspace.releases.commit(draft, lineage, {"ndcg@10": 0.5}).name
    workspace.releases.promote(name, reason)
    return name


def trained(folder: Path, toml: str = TOML) -> Path:
    """A shop with a release, everything closed again."""
    workspace = open_shop(folder, toml)
    train(workspace)
    workspace.close()
    return folder


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Server:
    """`vernal serve` as a process of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    workers: int = 2
    host: str = "127.0.0.1"
    lines: list[str] = field(default_factory=list)

    def __enter__(self) -> "Server":
        self.port = free_port()
        command = [sys.executable, "-m", "vernal.cli", "serve", "--config", str(self.folder / "vernal.toml")]
        command += ["--port", str(self.port), "--workers", str(self.workers), "--host", self.host]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **self.environment})
        self.spoken: queue.Queue[str] = queue.Queue()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()
        try:
            self.hear("answers", timeout_s=300)  # a first start compiles every kernel, beside another test that does too
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def listen(self) -> None:
        for line in self.process.stderr:
            self.spoken.put(line.decode())
        self.spoken.put("")

    def hear(self, *words: str, timeout_s: float = 40) -> str:
        """Waits for a line on stderr that contains all the words."""
        end = time.monotonic() + timeout_s
        while line := self.spoken.get(timeout=max(0.1, end - time.monotonic())):
            self.lines.append(line)
            if all(word in line for word in words):
                return line
        raise AssertionError(f"no line with {words!r}; heard:\n" + "".join(self.lines))

    def child(self, name: str) -> int:
        """Process id of a child such as `api-0`, from the newest line that says so."""
        found = [re.search(rf"started {name} as process (\d+)", line) for line in self.lines]
        return int([match for match in found if match][-1][1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str = "", **more: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key} if key else {}, timeout=30, **more)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(40)
        self.listener.join()
        self.process.stderr.close()


def key_of(folder: Path, *scopes: str) -> str:
    """A new key of a shop."""
    return Keys(folder / "data" / "keys.json", SystemClock()).add("test", scopes)


def event(user: str, item: str, kind: str = "view", **more: object) -> dict[str, object]:
    return {"user": user, "item": item, "type": kind, **more}


def ids(answer: httpx.Response) -> list[str]:
    """Items of a slate."""
    assert answer.status_code == 200, answer.text
    return [found["item"] for found in answer.json()["items"]]


def raw(port: int, content: bytes, timeout_s: float = 15) -> bytes:
    """What a server answers to bytes on a connection, until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        connection.sendall(content)
        pieces = []
        while piece := connection.recv(65_536):
            pieces.append(piece)
        return b"".join(pieces)


def dumps(value: object) -> str:
    return json.dumps(value)
