"""A server is processes that die: what callers notice, and what stays."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from shop import N_ITEMS, Server, event, ids, key_of, open_shop, raw, train

from vernal.events.schema import Kind


@pytest.fixture
def running(own_shop):
    with Server(own_shop) as server:
        yield server


def until(holds, timeout_s=90.0):
    """Asks again until it holds."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
    return True


def answers(server):
    with server.client() as client:
        return client.post("/v1/recommend", json={"user": "u1"}).status_code == 200


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_an_acknowledged_event_is_in_the_next_slate(running):
    with running.client() as client:
        for k in range(20):
            seen = ids(client.post("/v1/recommend", json={"user": "reader", "n": 5}))
            answer = client.post("/v1/events", json=event("reader", seen[0])).json()
            assert answer["applied"]
            assert seen[0] not in ids(client.post("/v1/recommend", json={"user": "reader", "n": N_ITEMS - k - 1}))


def test_an_item_is_in_slates_once_written_and_out_once_hidden_or_deleted(running):
    with running.client() as client:
        client.put("/v1/items/new", json={"title": "New", "attributes": {"category": ["only"]}})
        asked = {"user": "u1", "filter": {"category": "only"}}
        assert ids(client.post("/v1/recommend", json=asked)) == ["new"]
        client.put("/v1/items/new", json={"title": "New", "attributes": {"category": ["only"]}, "hidden": True})
        assert ids(client.post("/v1/recommend", json=asked)) == []
        client.delete("/v1/items/new")
        assert client.get("/v1/items/new").status_code == 404


def test_a_killed_worker_is_replaced_and_the_others_answer_meanwhile(running):
    victim = running.child("api-0")
    os.kill(victim, signal.SIGKILL)
    running.hear("api-0", "died with status -9")
    running.hear("started api-0")
    assert running.child("api-0") != victim
    assert until(lambda: answers(running))


def test_a_killed_stream_worker_loses_nothing_and_acknowledgements_go_on(running):
    os.kill(running.child("stream-0"), signal.SIGKILL)
    with running.client() as client:
        first = client.post("/v1/events", json=event("resilient", "i1"))
        assert (first.status_code, ids(client.post("/v1/recommend", json={"user": "u1"})) != []) == (200, True)
        assert until(lambda: client.get("/v1/users/resilient").json().get("events") == 1)
        assert client.post("/v1/events", json=event("resilient", "i2")).status_code == 200
        assert until(lambda: client.get("/v1/users/resilient").json().get("events") == 2)


def test_the_stream_worker_killed_again_and_again_counts_every_event_once(running):
    with running.client() as client:
        for k in range(5):
            os.kill(running.child("stream-0"), signal.SIGKILL)
            client.post("/v1/events", json=[event("counted", f"i{k * 10 + j}") for j in range(10)]).raise_for_status()
            running.hear("started stream-0")
        assert until(lambda: client.get("/v1/users/counted").json().get("events") == 50)


def test_no_child_outlives_its_supervisor_however_it_dies(running):
    children = [running.child(name) for name in ("api-0", "api-1", "stream-0")]
    running.process.kill()
    running.process.wait()
    assert until(lambda: all(gone(pid) for pid in children))


def test_a_second_server_on_the_same_data_is_refused(running):
    command = [sys.executable, "-m", "vernal.cli", "serve", "--config", str(running.folder / "vernal.toml"), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 3
    assert "V500" in second.stderr
    assert str(running.process.pid) in second.stderr


def test_a_port_in_use_is_refused_with_a_hint(running, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "vernal.toml").write_text("")
    command = [sys.executable, "-m", "vernal.cli", "serve", "--config", str(other / "vernal.toml"), "--port", str(running.port)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, "V800" in second.stderr, "--port" in second.stderr) == (3, True, True)


def test_a_full_disk_refuses_ingest_with_507_while_slates_go_on_and_recovers_by_itself(running):
    workers = [running.child("api-0"), running.child("api-1")]
    with running.client() as client:
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        refused = client.post("/v1/events", json=event("full", "i1"))
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (507, "V410", "1")
        for _ in range(20):
            assert ids(client.post("/v1/recommend", json={"user": "u1"}))
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert until(lambda: client.post("/v1/events", json=event("full", "i1")).status_code == 200)
        assert client.get("/v1/users/full").json()["events"] == 1


def test_a_stop_lets_calls_in_hand_finish_and_keeps_every_slate(running, workspace):
    rec_ids = []
    with running.client() as client:
        for _ in range(50):
            rec_ids.append(client.post("/v1/recommend", json={"user": "u2"}).json()["rec_id"])
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(30) == 0
    logged = {slate.rec_id for batch in workspace.log.read(0, 10**6, frozenset({Kind.SLATES})) for slate in batch.records}
    assert logged == set(rec_ids)


def test_without_a_release_popular_items_are_answered_and_a_first_one_is_picked_up(tmp_path):
    workspace = open_shop(tmp_path)
    with Server(tmp_path, workers=1) as server, server.client() as client:
        before = client.post("/v1/recommend", json={"user": "u1"}).json()
        assert (before["release"], before["rung"].startswith("trending"), len(before["items"])) == ("", True, 10)
        name = train(workspace)
        workspace.close()
        assert until(lambda: client.post("/v1/recommend", json={"user": "u1"}).json()["release"] == name)


def test_an_empty_workspace_serves_empty_slates_and_no_errors(tmp_path):
    (tmp_path / "vernal.toml").write_text("")
    with Server(tmp_path, workers=1) as server, server.client() as client:
        answer = client.post("/v1/recommend", json={"user": "u1"})
        assert (answer.status_code, answer.json()["rung"], answer.json()["items"]) == (200, "static", [])
        assert client.get("/readyz").status_code == 200


def test_releases_are_swapped_under_load_without_an_error(running, workspace):
    names = [workspace.releases.champion(), train(workspace, seed=1)]
    stopped, statuses, seen = threading.Event(), [], set()

    def hammer():
        with running.client() as client:
            while not stopped.is_set():
                answer = client.post("/v1/recommend", json={"user": "u3"})
                statuses.append(answer.status_code)
                seen.add(answer.json().get("release"))

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for swap in range(6):
        seen.clear()
        workspace.releases.promote(names[swap % 2], "swap")
        until(lambda wanted=names[swap % 2]: wanted in seen)
    stopped.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}


def test_a_rollback_over_http_brings_the_release_before_back(running, workspace):
    first, second = workspace.releases.champion(), train(workspace, seed=2)
    with running.client(key_of(running.folder, "admin", "serve")) as client:
        assert until(lambda: client.get("/v1/releases").json()["serving"] == second)
        assert client.post("/v1/rollback", json={"reason": "test"}).json() == {"before": second, "after": first, "number": 3}
        assert until(lambda: client.post("/v1/recommend", json={"user": "u1"}).json()["release"] == first)


def test_a_broken_release_on_disk_never_stops_answers(running, workspace):
    first, second = workspace.releases.champion(), train(workspace, seed=3)
    workspace.releases.roll_back("test")
    file = next((workspace.releases.root / second).glob("*.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with running.client() as client:
        assert until(lambda: client.get("/v1/releases").json()["serving"] == first)
        workspace.releases.promote(second, "broken")
        assert until(lambda: "release_failures_total 0" not in client.get("/metrics").text)
        assert client.post("/v1/recommend", json={"user": "u1"}).json()["release"] == first


def test_a_body_that_never_ends_is_answered_with_408_and_holds_nobody_up(running):
    head = f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nContent-Length: 1000\r\n\r\n["
    pieces = []
    waiting = threading.Thread(target=lambda: pieces.append(raw(running.port, head.encode(), 30)))
    waiting.start()
    while waiting.is_alive():
        assert answers(running)
    assert pieces[0].startswith(b"HTTP/1.1 408 ")
