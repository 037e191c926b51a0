"""The pipes between a supervisor and its children."""

import os

import pytest

from vernal.serving.children import Child
from vernal.serving.supervisor import Pipe


@pytest.fixture
def listening():
    """A stream worker, an API worker that rings its bell, and the lifeline of both."""
    with Pipe() as lifeline, Pipe(blocking=False) as bell:
        ends = {"stream": bell.read_fd, "api": bell.write_fd}
        both = [
            Child(role=role, index=0, workers=1, host="", port=0, require_keys=False, ready_fd=-1, life_fd=lifeline.read_fd, bell_fd=end)
            for role, end in ends.items()
        ]
        yield *both, lifeline


def test_a_bell_wakes_the_stream_worker_once_however_often_it_was_rung(listening):
    stream, api, _ = listening
    for _ in range(100_000):  # more than a pipe holds
        api.ring()
    assert not stream.listened(60.0)  # returns at once
    with pytest.raises(BlockingIOError):
        os.read(stream.bell_fd, 1)


def test_a_stream_worker_that_listens_learns_that_its_supervisor_is_gone(listening):
    stream, _, lifeline = listening
    os.close(lifeline.write_fd)
    assert stream.listened(60.0)
    lifeline.write_fd = os.dup(lifeline.read_fd)  # closed by the fixture


def test_somebody_whom_nobody_gave_a_bell_rings_none(listening):
    _, api, _ = listening
    Child(role="api", index=0, workers=1, host="", port=0, require_keys=False, ready_fd=-1, life_fd=api.life_fd).ring()
