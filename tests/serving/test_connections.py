"""What a connection carries: whole or in pieces, one after another or all at once, kept or closed."""

import json
import re
import socket

from shop import raw


def asked(path="/v1/recommend", body=None, *, close=False):
    content = json.dumps(body if body is not None else {"user": "u1"}).encode()
    end = b"Connection: close\r\n" if close else b""
    return b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n%b\r\n" % (path.encode(), len(content), end) + content


def answers(content):
    """(status, body) of every response in a row."""
    found = []
    while content:
        head, _, rest = content.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        found.append((int(head[9:12]), rest[:length]))
        content = rest[length:]
    return found


def rec_ids(found):
    return [json.loads(body).get("rec_id") for _, body in found]


def test_requests_sent_all_at_once_are_answered_in_their_order(server):
    health = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    unknown = asked(body={"item": "no such item"}, path="/v1/similar")
    found = answers(
        raw(server.port, asked() + health + asked() + unknown + asked("/v1/events", {"type": "view", "user": "p1", "item": "i1"}) + asked(close=True))
    )
    assert [status for status, _ in found] == [200, 200, 200, 404, 200, 200]
    assert [bool(name) for name in rec_ids(found)] == [True, False, True, False, False, True]


def test_a_body_in_pieces_is_one_body(server):
    whole = asked(close=True)
    with socket.create_connection(("127.0.0.1", server.port), 15) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(whole), 7):
            connection.sendall(whole[at : at + 7])
        content = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert [status for status, _ in answers(content)] == [200]


def test_close_is_obeyed_and_said(server):
    content = raw(server.port, asked(close=True))
    assert b"connection: close" in content.partition(b"\r\n\r\n")[0]


def test_callers_that_hang_up_leave_no_place_taken(server):
    for _ in range(400):  # more than the line is long
        with socket.create_connection(("127.0.0.1", server.port), 15) as connection:
            connection.sendall(asked())
    with server.client() as client:
        assert client.post("/v1/recommend", json={"user": "u1"}).status_code == 200


def test_an_error_is_the_same_on_the_short_way_and_on_the_long_one(server):
    wrong = asked(body={"user": 7}, close=True)
    packed = wrong.replace(b"Host:", b"Content-Encoding: identity\r\nHost:")
    assert answers(raw(server.port, wrong)) == answers(raw(server.port, packed))
