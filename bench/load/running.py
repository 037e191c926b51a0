"""Servers, peers and the load generator as processes, and the CPU each of them used."""

import json
import os
import queue
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
READY_S = 600


@dataclass
class Running:
    """A process that answers on a port."""

    process: subprocess.Popen[bytes]
    port: int
    lines: list[str] = field(default_factory=list)

    def pids(self) -> dict[str, int]:
        """Children by name, from the newest line about each; the process itself as `main`."""
        started = (re.search(r"started ([\w-]+) as process (\d+)", line) for line in self.lines)
        return {"main": self.process.pid} | {found[1]: int(found[2]) for found in started if found}

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far, by name."""
        return {name: cpu_s(pid) for name, pid in self.pids().items()}

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
            return bytes(answer.read())


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def process(command: list[str], port: int, ready: str, *, threads: str = "1") -> Iterator[Running]:
    """Starts a process and waits for a line on its stderr that contains `ready`; ends it by its pid. Threads "" = as the libraries choose.

    Nobody is in the holdout: every request of a bench is to cost the whole pipeline.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in names} | (dict.fromkeys(names, threads) if threads else {})
    environment["VERNAL_ROLLOUT__HOLDOUT"] = "0"
    started = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)
    running, spoken = Running(started, port), queue.Queue[str]()

    def listen() -> None:
        assert started.stderr is not None
        for line in started.stderr:
            spoken.put(line.decode())
            running.lines.append(line.decode())
        spoken.put("")

    threading.Thread(target=listen, daemon=True).start()
    try:
        while ready not in (line := spoken.get(timeout=READY_S)):
            if not line:
                raise RuntimeError("it ended before it was ready:\n" + "".join(running.lines))
        yield running
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(60)


def vernal(folder: Path) -> Any:
    """`vernal serve` on a free port."""
    port = free_port()
    command = [sys.executable, "-m", "vernal.cli", "serve", "--config", str(folder / "vernal.toml"), "--port", str(port)]
    return process(command, port, "answers")


def compiled(folder: Path) -> Path:
    """The load generator, built from its source."""
    binary = folder / "openloop"
    if not binary.exists():
        subprocess.run(["gcc", "-O2", "-o", str(binary), str(HERE / "openloop.c"), "-lm"], check=True)
    return binary


def request(path: str, body: Any) -> bytes:
    """One whole HTTP request."""
    content = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def write_requests(file: Path, requests: Iterable[bytes]) -> Path:
    file.write_bytes(b"".join(struct.pack("<I", len(one)) + one for one in requests))
    return file


def load(
    binary: Path, port: int, requests: Path, *, rps: float, seconds: float, warmup_s: float = 2.0, connections: int = 64, seed: int = 1, expect: str = ""
) -> dict[str, Any]:
    """One open-loop run; latencies in microseconds, counted from the time a request was due."""
    command = [str(binary), "127.0.0.1", str(port), str(requests), str(rps), str(seconds), str(warmup_s), str(connections), str(seed)]
    found = subprocess.run([*command, expect] if expect else command, check=True, capture_output=True)
    return dict(json.loads(found.stdout))
