import pytest

from vernal.errors import Overloaded
from vernal.serving.admission import Admission


def test_a_place_is_free_again_when_its_holder_leaves():
    line = Admission(limit=1, deadline_s=1.0)
    line.enter("serve")
    line.leave("serve")
    line.enter("serve")
    assert line.waiting == 1


def test_the_line_is_as_long_as_its_deadline_allows_at_the_measured_pace():
    line = Admission(limit=1_000, deadline_s=0.035)
    for _ in range(500):
        line.worked(0.005)
    assert line.places() in (6, 7)


def test_one_request_that_was_held_up_does_not_shorten_the_line():
    line = Admission(limit=1_000, deadline_s=0.035)
    before = line.places()
    line.worked(10.0)
    assert line.places() > 0.9 * before


def test_one_may_always_wait_however_slow_the_pace():
    line = Admission(limit=10, deadline_s=0.001)
    for _ in range(300):
        line.worked(100.0)
    assert line.places() == 1
    line.enter("serve")
    with pytest.raises(Overloaded):
        line.enter("serve")


def test_ingest_is_turned_away_before_serving_is():
    line = Admission(limit=10, deadline_s=10.0)
    for _ in range(6):
        line.enter("serve")
    with pytest.raises(Overloaded):
        line.enter("ingest")
    line.enter("serve")


def test_free_calls_never_wait():
    line = Admission(limit=1, deadline_s=1.0)
    line.enter("serve")
    line.enter("free")
    assert line.waiting == 1
