"""More callers than a server can answer: some are turned away at once, the others are answered, and nobody is forgotten."""

import asyncio
import json
import re

import pytest
from shop import TOML, Server, trained

CALLERS = 300


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    trained(folder, TOML.replace("deadline_ms = 2000", "deadline_ms = 2000\nqueue = 4"))
    with Server(folder, workers=1) as running:
        yield running


async def one_call(port, path, content):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + content)
    answer = await reader.read()
    writer.close()
    return answer


def stampede(port, path, content):
    async def all_at_once():
        return await asyncio.gather(*(one_call(port, path, content) for _ in range(CALLERS)))

    return asyncio.run(all_at_once())


def statuses(answers):
    return [int(re.match(rb"HTTP/1.1 (\d+)", answer)[1]) for answer in answers]


def test_every_caller_is_answered_or_turned_away_with_429(small):
    found = statuses(stampede(small.port, "/v1/recommend", json.dumps({"user": "u1"}).encode()))
    assert set(found) == {200, 429}


def test_who_is_turned_away_is_told_when_to_come_back(small):
    answers = stampede(small.port, "/v1/recommend", json.dumps({"user": "u1"}).encode())
    refused = [answer for answer in answers if b" 429 " in answer[:16]]
    assert refused
    assert all(b"retry-after: 1" in answer for answer in refused)


def test_after_the_stampede_all_is_as_before(small):
    stampede(small.port, "/v1/recommend", json.dumps({"user": "u1"}).encode())
    with small.client() as client:
        assert client.post("/v1/recommend", json={"user": "u1"}).json()["rung"] == "full"
        text = client.get("/metrics").text
    assert float(re.search(r'vernal_shed_total\{lane="serve"\} (\d+)', text)[1]) > 0


def test_ingest_is_shed_too_and_what_was_acknowledged_is_there(small):
    body = [json.dumps({"user": "stampede", "item": f"i{k % 50}", "type": "view", "event_id": f"s{k}"}).encode() for k in range(CALLERS)]

    async def all_at_once():
        return await asyncio.gather(*(one_call(small.port, "/v1/events", content) for content in body))

    found = statuses(asyncio.run(all_at_once()))
    assert set(found) <= {200, 429}
    with small.client() as client:
        assert client.get("/v1/users/stampede").json()["events"] == found.count(200)


def test_a_deadline_that_has_passed_lowers_the_rung(tmp_path):
    trained(tmp_path, TOML.replace("deadline_ms = 2000", "deadline_ms = 0.05"))
    with Server(tmp_path, workers=1) as server, server.client() as client:
        answer = client.post("/v1/recommend", json={"user": "u1"})
        assert (answer.status_code, answer.json()["rung"]) == (200, "static")
        assert answer.json()["items"]
