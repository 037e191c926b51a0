"""What callers get wrong, and what they get for it: one defined answer each, never a 5xx, and the server goes on."""

import gzip
import json
import zlib

import pytest
from shop import event, ids, raw

from vernal.serving.worker import ROUTES
from vernal.terms import MAX_BODY_BYTES

NASTY = {
    "nothing": b"",
    "no json": b"{",
    "a number": b"7",
    "a text": b'"x"',
    "null": b"null",
    "not utf-8": b'{"user": "\xff\xfe"}',
    "a lone surrogate": b'{"user": "\\ud800", "item": "i1"}',
    "nested 5,000 deep": b"[" * 5_000 + b"]" * 5_000,
    "nested 100,000 deep": b"[" * 100_000,
    "objects nested 1,000 deep": b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
    "properties nested 60 deep": b'{"user": "u1", "item": "i1", "properties": ' + b'{"a":' * 60 + b"1" + b"}" * 61,
    "a number beyond 64 bits": b'{"user": "u1", "item": "i1", "properties": {"n": ' + b"9" * 40 + b"}}",
    "NaN": b'{"user": "u1", "item": "i1", "value": NaN}',
    "a NUL in an id": b'{"user": "u\\u0000", "item": "i1"}',
    "a 64 KB id": b'{"user": "' + b"x" * 65_536 + b'"}',
    "duplicate keys": b'{"user": "u1", "user": "u2", "item": "i1"}',
    "a list of lists": b"[[[]]]",
}


def writers():
    return [route for route in ROUTES if route.method in ("POST", "PUT", "PATCH") and route.scope != "admin"]


@pytest.mark.parametrize("what", NASTY)
def test_no_body_however_wrong_is_answered_with_a_5xx(client, what):
    for route in writers():
        path = route.path.replace("{id}", "i1").replace("{category}", "c1")
        answer = client.request(route.method, path, content=NASTY[what])
        assert answer.status_code < 500, (route.name, answer.text)


def test_a_body_of_10_mb_is_refused_before_it_is_read(server, client):
    head = f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 10485760\r\nConnection: close\r\n\r\n"
    assert b" 413 " in raw(server.port, head.encode()).split(b"\r\n")[0]
    assert client.post("/v1/events", content=b"x" * 10_485_760).status_code == 413


def test_a_body_of_unknown_length_is_refused_once_it_is_too_long(client):
    assert client.post("/v1/events", content=(b"x" * 65_536 for _ in range(40))).status_code == 413


def test_a_gzip_bomb_is_refused_without_being_unpacked(client):
    bomb = gzip.compress(bytes(200 * MAX_BODY_BYTES))
    assert client.post("/v1/events", content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413


def test_a_packed_body_is_read(client):
    for encoding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        answer = client.post("/v1/events", content=pack(json.dumps(event("packed", "i1")).encode()), headers={"Content-Encoding": encoding})
        assert answer.json()["accepted"] + answer.json()["duplicates"] == 1


def test_an_unknown_packing_is_415_and_a_false_one_400(client):
    assert client.post("/v1/events", content=b"{}", headers={"Content-Encoding": "br"}).status_code == 415
    assert client.post("/v1/events", content=b"{}", headers={"Content-Encoding": "gzip"}).status_code == 400


def test_a_head_without_end_is_refused(server):
    assert b" 431 " in raw(server.port, b"GET /healthz HTTP/1.1\r\n" + b"X-Filler: " + b"y" * 200_000).split(b"\r\n")[0]


def test_what_is_no_http_is_refused(server, client):
    assert b" 400 " in raw(server.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 what is this\r\n\r\n").split(b"\r\n")[0]
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("n", [0, -1, 1_000_000, 2**63, 1.5, "10"])
def test_n_out_of_range_is_a_400_that_says_where(client, n):
    answer = client.post("/v1/recommend", json={"user": "u1", "n": n})
    assert answer.status_code == 400
    assert "n" in answer.json()["error"]["where"]


@pytest.mark.parametrize("n", ["0", "-1", "1000000", "ten", "9" * 30, "", "1.5"])
def test_n_out_of_range_in_a_query_is_a_400(client, n):
    assert client.get("/api/recommend/u1", params={"n": n}).status_code == 400


def test_an_unknown_field_is_named(client):
    answer = client.post("/v1/recommend", json={"user": "u1", "boots": {}})
    assert (answer.status_code, "boots" in answer.text) == (400, True)


def test_an_unknown_scenario_is_answered_with_the_nearest(client):
    answer = client.post("/v1/recommend", json={"user": "u1", "scenario": "gift"})
    assert (answer.status_code, "gifts" in answer.json()["error"]["hint"]) == (400, True)


def test_a_filter_on_an_attribute_that_does_not_exist_is_refused(client):
    answer = client.post("/v1/recommend", json={"user": "u1", "filter": {"categry": "c1"}})
    assert (answer.status_code, "category" in answer.json()["error"]["hint"]) == (400, True)


def test_an_unknown_user_gets_a_slate_and_an_unknown_item_a_404(client):
    assert len(ids(client.post("/v1/recommend", json={"user": "nobody-ever"}))) == 10
    assert client.post("/v1/similar", json={"item": "nothing-ever"}).status_code == 404
    assert client.get("/v1/items/nothing-ever").status_code == 404
    assert client.get("/v1/users/nobody-at-all").status_code == 404


def test_ids_go_through_byte_for_byte(client):
    for user in ("naïve/../é", "🧺🍐", "a b+c%2F", "‮rtl", "e\u0301", "\u00e9", "?#&"):
        client.post("/v1/events", json=event(user, "🍐/1")).raise_for_status()
        answer = client.request("GET", "/v1/users/" + "".join(f"%{byte:02X}" for byte in user.encode()))
        assert (answer.json()["user"], answer.json()["events"] >= 1) == (user, True)


def test_one_bad_event_never_fails_its_batch(client):
    answer = client.post("/v1/events", json=[event("batch", "i1"), {"item": "i2"}, event("batch", "i3", value="much"), event("batch", "i4")])
    assert answer.status_code == 200
    assert [result["status"] for result in answer.json()["results"]] == ["accepted", "rejected", "rejected", "accepted"]
    assert answer.json()["results"][1]["error"]["where"] == "$.events[1].user"


def test_a_batch_of_more_than_1000_is_refused_whole(client):
    answer = client.post("/v1/events", json=[event("many", f"i{k}") for k in range(1_001)])
    assert (answer.status_code, "1000" in answer.text.replace(",", "")) == (400, True)


def test_an_unknown_path_is_answered_with_the_nearest_and_a_wrong_method_with_the_right_one(client):
    assert "/v1/recommend" in client.post("/v1/reccomend").json()["error"]["hint"]
    answer = client.get("/v1/recommend")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_an_error_never_shows_a_stack_trace(client):
    for path in ("/v1/recommend", "/v1/events"):
        assert "Traceback" not in client.post(path, content=b"{").text
