"""A small real log, the data that lies beside the project, and a loopback server for real clients."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vernal.clock import ManualClock
from vernal.engines.sqlite import SqliteLog

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(tmp_path: Path, clock: ManualClock) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "data" / "log.db", clock)
    yield opened
    opened.close()


@pytest.fixture
def shared() -> Path:
    if not SHARED.exists():
        pytest.skip("needs ../shared/data")
    return SHARED


class Call(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Listener:
    """Keeps what clients send, in order of arrival, and answers what it is told."""

    def __init__(self, answer: Callable[[Call], Any]) -> None:
        self.calls: list[Call] = []
        self.answer = answer
        self.url = ""

    def take(self, call: Call) -> bytes:
        self.calls.append(call)
        return json.dumps(self.answer(call)).encode()


@contextmanager
def listening(answer: Callable[[Call], Any]) -> Iterator[Listener]:
    listener = Listener(answer)

    class Take(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            text = listener.take(Call(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Take, f"do_{verb}", Take.respond)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    listener.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def listen() -> Callable[[Callable[[Call], Any]], AbstractContextManager[Listener]]:
    """Starts a loopback server that answers by the given function."""
    return listening
