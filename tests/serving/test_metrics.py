"""What a server says of itself when it is asked."""

import math

import pytest
from shop import event, ids

from vernal.clock import SystemClock
from vernal.serving.metrics import GAUGES, upkeep_values
from vernal.serving.upkeep import FILE, Upkeep, read_upkeep, write_upkeep
from vernal.terms import US_PER_S


def scraped(client):
    """Series -> value."""
    lines = client.get("/metrics").text.splitlines()
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def test_a_release_does_not_age_before_something_happens_that_it_does_not_know(server, client):
    aged = {series: age for series, age in scraped(client).items() if series.startswith("vernal_release_age_seconds")}
    client.post("/v1/events", json=event("u3", ids(client.post("/v1/recommend", json={"user": "u3"}))[0]))
    assert len(aged) == 1
    assert 0 <= next(iter(aged.values())) < 600
    assert server.process.poll() is None


def test_features_lag_behind_nothing_once_all_is_folded(client):
    assert client.post("/v1/events", json=event("u3", "i1")).json()["applied"]
    assert scraped(client)["vernal_feature_lag_seconds"] < 1


def test_limits_are_those_of_the_settings(client):
    found = scraped(client)
    assert found['vernal_limit{of="request_seconds"}'] == 2.0
    assert found['vernal_limit{of="release_age_seconds"}'] == 3 * 86_400


def test_every_worker_says_what_the_keeper_wrote_last(client, shop_folder):
    now = SystemClock().now()
    alarms, trainings = {"P1": 1, "P3": 4}, {"promoted": 7, "refused": 2}
    write_upkeep(shop_folder / "data", Upkeep(at=now, incidents=3, alarms=alarms, held=True, trainings=trainings, refusals=2, next_at=now + 60 * US_PER_S))
    for _ in range(6):
        found = scraped(client)
        assert found["vernal_staleness_incidents_total"] == 3
        assert [found[f'vernal_drift_alarms{{severity="P{k}"}}'] for k in (1, 2, 3)] == [1, 0, 4]
        assert found['vernal_trainings_total{outcome="promoted"}'] == 7
        assert found["vernal_training_held"] == 1
        assert 0 < found["vernal_training_due_seconds"] <= 60


def test_what_was_never_measured_is_not_said():
    names = {value.name for value in upkeep_values(Upkeep(at=0), now=1)}
    assert names & {"vernal_predicted_regret", "vernal_training_seconds", "vernal_training_due_seconds"} == set()
    assert names <= {gauge.name for gauge in GAUGES}
    assert all(math.isfinite(value.value) for value in upkeep_values(Upkeep(at=0), now=1))


@pytest.mark.parametrize("content", [b"", b"{", b'{"at": "noon"}', b"[1]"])
def test_a_file_that_is_no_status_is_as_good_as_none(tmp_path, content):
    write_upkeep(tmp_path, Upkeep(at=1))
    (tmp_path / FILE).write_bytes(content)
    assert read_upkeep(tmp_path) is None
