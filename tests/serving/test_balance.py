"""Connections spread evenly: who holds one more than its share ends one at a time, who does not ends none, and the server's workers come to rest."""

import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_connections import answers, asked

from vernal.serving.balance import PAUSE_S, Balance

LASTING, MOST_ROUNDS = 24, 400


def counts(folder):
    """Connections by worker, as the server's two workers tell each other."""
    return memoryview((folder / "data" / "meters" / "connections").read_bytes()).cast("q").tolist()[:2]


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=8), st.data())
def test_only_who_holds_one_more_than_its_share_ends_one_and_then_pauses(counts, data):
    with tempfile.TemporaryDirectory() as folder:
        workers = [Balance(Path(folder) / "connections", index, len(counts)) for index in range(len(counts))]
        for worker, count in zip(workers, counts, strict=True):
            worker.holds(count)
        one = data.draw(st.integers(0, len(counts) - 1))
        above = counts[one] - sum(counts) / len(counts) >= 1
        assert workers[one].crowded(10.0) == above
        assert not (above and workers[one].crowded(10.0 + PAUSE_S / 2))
        assert workers[one].crowded(10.0 + 2 * PAUSE_S) == above


def test_a_worker_begun_anew_holds_nothing_and_other_numbers_of_workers_share_the_file(tmp_path):
    first = Balance(tmp_path / "connections", 1, 2)
    first.holds(9)
    again, wider = Balance(tmp_path / "connections", 1, 2), Balance(tmp_path / "connections", 3, 4)
    assert list(again.cells) == [0, 0]
    wider.holds(5)
    assert list(first.cells) == [0, 0]
    assert list(wider.cells) == [0, 0, 0, 5]


def test_lasting_connections_come_to_lie_evenly_and_every_request_is_answered(server, shop_folder):
    kept = [socket.create_connection(("127.0.0.1", server.port), 15) for _ in range(LASTING)]
    try:
        for _ in range(MOST_ROUNDS):
            for at, connection in enumerate(kept):
                connection.sendall(asked())
                content = connection.recv(65_536)
                assert [status for status, _ in answers(content)] == [200]
                if b"connection: close" in content.partition(b"\r\n\r\n")[0]:
                    connection.close()
                    kept[at] = socket.create_connection(("127.0.0.1", server.port), 15)
            if (held := counts(shop_folder)) and sum(held) >= LASTING and max(held) - min(held) <= 1:
                return
        pytest.fail(f"never even: {counts(shop_folder)}")
    finally:
        for connection in kept:
            connection.close()
