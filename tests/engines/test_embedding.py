"""Embedding endpoints that answer as they should, and in every other way."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from vernal.engines.embedding import KEY, TEXTS, Endpoint
from vernal.errors import EncoderError
from vernal.retrieval.encoders import Queries
from vernal.retrieval.fusion import Fusion
from vernal.retrieval.semantic import Semantic


def vector_of(text: str) -> list[float]:
    return [float(text.count(letter)) for letter in "abcd"]


class Server(HTTPServer):
    """An endpoint that counts letters, or answers what it is told to."""

    def __init__(self) -> None:
        self.calls, self.heads, self.answer = [], [], lambda texts: [{"embedding": vector_of(text), "index": at} for at, text in enumerate(texts)]
        self.status, self.raw, self.stalled = 200, None, threading.Event()
        self.stalled.set()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/embeddings#letters"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append(call)
        self.server.heads.append(dict(self.headers))
        self.server.stalled.wait(10)
        body = self.server.raw if self.server.raw is not None else json.dumps({"data": self.server.answer(call["input"])}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.stalled.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_vectors_come_in_the_order_asked_with_unit_norm_and_none_for_empty_texts(server) -> None:
    server.answer = lambda texts: [{"embedding": vector_of(text), "index": at} for at, text in reversed(list(enumerate(texts)))]
    found = Endpoint(server.url).encode(["aab", " ", "c"])
    assert np.allclose(found, [[2 / 5**0.5, 1 / 5**0.5, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    assert server.calls == [{"input": ["aab", "c"], "model": "letters"}]


def test_many_texts_are_asked_in_several_calls(server) -> None:
    endpoint = Endpoint(server.url)
    found = endpoint.encode(["a"] * (2 * TEXTS + 1))
    assert [len(call["input"]) for call in server.calls] == [TEXTS, TEXTS, 1]
    assert (found.shape, endpoint.dim, found[:, 0].tolist()) == ((2 * TEXTS + 1, 4), 4, [1.0] * (2 * TEXTS + 1))


def test_the_key_of_the_environment_is_sent_and_the_model_only_where_it_is_named(server, monkeypatch) -> None:
    monkeypatch.setenv(KEY, "secret")
    Endpoint(server.url.partition("#")[0]).encode(["a"])
    assert server.heads[0]["Authorization"] == "Bearer secret"
    assert server.calls == [{"input": ["a"]}]


def row(*numbers: float) -> list[dict]:
    return [{"embedding": list(numbers)}]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (row(1, 0, 0), r"vectors of \[3\] numbers"),
        (row(), r"vectors of \[0\]"),
        (row(1, 0, 0, 0) * 2, "2 vectors'; expected 1"),
        ([{"embedding": "none"}], "Expected `array`"),
        ([{"embeddings": []}], "embedding"),
        (row(1e39, 0, 0, 0), "not finite"),
    ],
)
def test_an_answer_of_another_form_is_an_error_that_says_what_was_wrong(server, answer, said) -> None:
    endpoint = Endpoint(server.url)
    endpoint.encode(["abcd"])
    server.answer = lambda _: answer
    with pytest.raises(EncoderError, match=said):
        endpoint.encode(["a"])


@pytest.mark.parametrize(
    ("status", "raw", "said"), [(500, None, "status 500"), (200, b"<html>", "malformed"), (200, b"\xff", "malformed|utf"), (404, b"", "404")]
)
def test_an_endpoint_that_answers_something_else_is_an_error(server, status, raw, said) -> None:
    server.status, server.raw = status, raw
    with pytest.raises(EncoderError, match=said):
        Endpoint(server.url).encode(["a"])


def test_an_endpoint_that_is_too_slow_or_down_is_an_error(server) -> None:
    server.stalled.clear()
    with pytest.raises(EncoderError, match="timed out"):
        Endpoint(server.url, timeout_s=0.05).encode(["a"])
    server.stalled.set()
    with pytest.raises(EncoderError, match="refused"):
        Endpoint("http://127.0.0.1:9/v1/embeddings").encode(["a"])


@pytest.mark.parametrize("trouble", ["slow", "failing", "another dimension"])
def test_search_goes_on_by_words_while_the_endpoint_is_in_trouble_and_says_so(server, trouble) -> None:
    endpoint = Endpoint(server.url)
    semantic = Semantic.fit("letters", endpoint, ["aab", "bc", "", "cd"], 100, 0, Fusion(0.5))
    if trouble == "slow":
        server.stalled.clear()
    elif trouble == "failing":
        server.status = 503
    else:
        server.answer = lambda texts: [{"embedding": [1.0, 2.0]} for _ in texts]
    answer = semantic.vector("ab", wait_s=0.0 if trouble == "slow" else 10.0)
    assert answer.vector is None
    assert answer.note.startswith("semantic: ")
    lexical = semantic.search(np.eye(4, dtype=np.float32)[1], 5)
    assert semantic.legs(answer.vector, lexical, 5).item.tolist() == sorted(lexical.item.tolist())


def test_nothing_is_asked_of_an_endpoint_before_the_first_text(server) -> None:
    Queries(Endpoint(server.url), 4)
    assert Endpoint(server.url).encode([]).shape[0] == 0
    assert server.calls == []
