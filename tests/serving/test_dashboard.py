"""Every panel of the dashboard has something to show: a real server, a real Prometheus that scrapes it, and each panel's own query."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from shop import event, free_port, ids

from vernal.clock import SystemClock
from vernal.serving.upkeep import Upkeep, write_upkeep

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "vernal.json"
CONFIG = """
global: {{ scrape_interval: 250ms, scrape_timeout: 250ms }}
scrape_configs: [{{ job_name: vernal, static_configs: [{{ targets: ["127.0.0.1:{port}"] }}] }}]
"""
BOUND_S = 60.0

if shutil.which("prometheus") is None:
    pytest.skip("needs prometheus, Debian's package of that name", allow_module_level=True)


@pytest.fixture(scope="module")
def prometheus(server, tmp_path_factory):
    """A Prometheus of this module alone, scraping the server; it ends with the module."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    (folder / "prometheus.yml").write_text(CONFIG.format(port=server.port))
    words = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=kept", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with subprocess.Popen(words, cwd=folder) as process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        try:
            until(lambda: ready(client))
            yield client
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def kept(shop_folder):
    """Leaves word as a keeper does that has measured everything; the server's own says something else once a minute."""

    def leave():
        now = SystemClock().now()
        write_upkeep(shop_folder / "data", Upkeep(at=now, predicted_regret=0.02, price=0.01, training_s=31.0, next_at=now + 3_600_000_000, canary_low=-0.02))

    return leave


def until(holds):
    """Asks again until it holds."""
    end = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
    return True


def ready(client):
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def answer(client, query):
    """The series that a panel would show."""
    filled = query.replace('"$server"', '".*"').replace("$__rate_interval", "30s")
    found = client.get("/api/v1/query", params={"query": filled}).json()
    assert found["status"] == "success", (filled, found)
    return found["data"]["result"]


def test_each_panel_of_the_dashboard_has_a_series(client, prometheus, kept):
    targets = {target["expr"]: panel["title"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", [])}
    assert len(targets) > 30
    shown = ids(client.post("/v1/recommend", json={"user": "u1"}))
    client.post("/v1/events", json=event("u1", shown[0]))
    empty = dict(targets)

    def all_shown():
        kept()
        for query in list(empty):
            if answer(prometheus, query):
                del empty[query]
        return not empty

    try:
        until(all_shown)
    finally:
        assert empty == {}


def test_what_the_keeper_wrote_is_scraped_from_any_worker(client, prometheus, kept):
    assert until(lambda: kept() or answer(prometheus, "vernal_training_seconds"))
    assert {float(series["value"][1]) for series in answer(prometheus, "vernal_training_seconds")} == {31.0}
    assert client.get("/metrics").text.count("# TYPE vernal_trainings_total counter") == 1


def test_the_server_scrapes_as_prometheus_expects(client):
    checked = subprocess.run(["promtool", "check", "metrics"], input=client.get("/metrics").text, capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr
