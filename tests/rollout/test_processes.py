"""Keeper and trainer as processes that die: nothing is lost, nobody trains twice at once, and the server answers on."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))

from shop import TOML, Server, event, events, key_of, trained

from vernal.app import Workspace
from vernal.cli.serve import child_command
from vernal.events.schema import Kind
from vernal.rollout.records import trainings, trainings_of
from vernal.serving.children import Child

QUICK = """
[rollout]
look = "1s"
cadence = "1s"
cool_down = "1s"
max_age = "1h"
"""
SMALL = TOML.replace("trees = 20", 'trees = 20\nbudget_s = 0\nwindows = 1\nrequests = 200\nevaluate_requests = 50\nevaluate_last = "3d"')


@pytest.fixture
def busy_shop(tmp_path):
    """A trained shop with events that its release does not know, and a keeper in a hurry."""
    trained(tmp_path, SMALL + QUICK)
    with Workspace.open(tmp_path / "vernal.toml") as workspace:
        now = workspace.clock.now()
        workspace.log.append(Kind.EVENTS, events(now, seed=1)[:200])
    return tmp_path


class Keeping:
    """A keeper without a server: its supervisor is this process."""

    def __init__(self, folder, life_fd):
        ready, write = os.pipe()
        child = Child(role="keeper", index=0, workers=1, host="", port=0, require_keys=False, ready_fd=write, life_fd=life_fd)
        command = child_command(folder / "vernal.toml", "keeper", 0)
        self.process = subprocess.Popen(command, env=child.environment(), pass_fds=(write, life_fd), stderr=subprocess.PIPE)
        os.close(write)
        self.ready_fd, self.lines = ready, []

    def hear(self, words):
        """Waits for a line on stderr and returns what matched."""
        for line in self.process.stderr:
            self.lines.append(line.decode())
            if found := re.search(words, self.lines[-1]):
                return found
        raise AssertionError("it ended without a word of it:\n" + "".join(self.lines))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.ready_fd)


@pytest.fixture
def keeping(busy_shop):
    """Starts keepers of the shop, one after another; `keeping.life` is the end that a supervisor holds."""
    read, write = os.pipe()
    started = []

    def start():
        started.append(Keeping(busy_shop, read))
        return started[-1]

    start.orphan = lambda: os.close(write)
    yield start
    for keeper in started:
        keeper.close()
    os.close(read)


def until(holds, timeout_s=120.0):
    """Asks again until it holds."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        threading.Event().wait(0.02)
    return True


def known(folder):
    """What is written of the trainings so far."""
    return trainings(trainings_of(folder / "data"))


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_killed_trainers_and_keepers_leave_no_half_release_and_the_next_ones_go_on(busy_shop, keeping):
    releases = busy_shop / "data" / "releases"
    keeper = keeping()
    trainer = int(keeper.hear(r"training began in process (\d+)")[1])
    until(lambda: list(releases.glob(".draft-*")) or known(busy_shop)[0].outcome != "running")  # the moment at which half a release is on the disk
    os.kill(trainer, signal.SIGKILL)
    trainer = int(keeper.hear(r"training began in process (\d+)")[1])
    keeper.process.kill()
    keeper.process.wait()
    assert not gone(trainer)
    following = keeping()
    following.hear("A training is running|all passed|checks")
    until(lambda: known(busy_shop)[-1].outcome not in ("running", "on trial"))
    outcomes = [training.outcome for training in known(busy_shop)]
    assert outcomes[:1] == ["failed"] or "promoted" in outcomes
    assert outcomes[-1] in ("promoted", "refused")
    assert not list(releases.glob(".draft-*"))


def trainers(folder):
    """Processes that train in a shop or stand by to."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (directory / "cmdline").read_bytes(), (directory / "environ").read_bytes()
        except OSError:
            continue
        if str(folder / "vernal.toml").encode() in words and b'"role":"trainer"' in environment:
            found.append(int(directory.name))
    return found


def test_whoever_the_keeper_started_ends_with_the_supervisor(busy_shop, keeping):
    keeper = keeping()
    trainer = int(keeper.hear(r"training began in process (\d+)")[1])
    keeping.orphan()
    until(lambda: gone(trainer) and keeper.process.poll() is not None and not trainers(busy_shop))


def test_who_trains_often_has_a_trainer_standing_by_and_it_goes_with_its_keeper(busy_shop, keeping):
    keeper = keeping()
    first = int(keeper.hear(r"training began in process (\d+)")[1])
    until(lambda: set(trainers(busy_shop)) - {first})
    (waiting,) = set(trainers(busy_shop)) - {first}
    with Workspace.open(busy_shop / "vernal.toml") as workspace:
        workspace.log.append(Kind.EVENTS, events(workspace.clock.now(), seed=2)[:50])
    assert int(keeper.hear(r"training began in process (\d+)")[1]) == waiting
    until(lambda: set(trainers(busy_shop)) - {first, waiting})
    keeper.process.kill()
    keeper.process.wait()
    until(lambda: not trainers(busy_shop))


def test_new_events_become_a_release_that_serves_while_the_server_answers(busy_shop):
    with Server(busy_shop, workers=1) as server, server.client(key_of(busy_shop, "serve")) as client:
        first = client.get("/v1/releases").json()["serving"]
        client.post("/v1/events", json=[event("u1", "i3")]).raise_for_status()
        statuses = set()

        def followed():
            answer = client.get("/v1/releases")
            statuses.add(answer.status_code)
            return answer.json()["serving"] != first

        until(followed)
        assert statuses == {200}
        assert client.post("/v1/recommend", json={"user": "u1"}).json()["release"] == known(busy_shop)[-1].release
        keeper = int(server.hear("started keeper-0").split()[-1]) if not any("keeper-0" in line for line in server.lines) else server.child("keeper-0")
        assert os.sched_getscheduler(keeper) == os.SCHED_IDLE
        status = client.get("/v1/status").json()
        assert (status["in_charge"]["name"], status["trainings"][0]["outcome"]) == (known(busy_shop)[-1].release, "promoted")
