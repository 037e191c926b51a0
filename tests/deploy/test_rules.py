"""The alert rules and the dashboard are what the code says, and every rule fires when it should and only then."""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from vernal.cli import parser_of
from vernal.config import Settings, explain
from vernal.serving.alerts import ALERTS
from vernal.serving.meters import Topic
from vernal.serving.metrics import GAUGES, layout, limits
from vernal.serving.routes import Table
from vernal.serving.worker import ROUTES

DEPLOY = Path(__file__).parents[2] / "deploy"
METRICS = [*layout(Table(ROUTES)).meters, *GAUGES]
LIMITS = limits(Settings())
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Debian's package prometheus")


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_deploy", DEPLOY / "make_deploy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def promtool(*words):
    run = subprocess.run(["promtool", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60, check=False)
    return run.returncode, run.stdout + run.stderr


def test_the_files_are_what_the_code_makes_today(maker):
    stale = [path.name for path, text in maker.files().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `python deploy/make_deploy.py`"


@needs_promtool
def test_every_rule_fires_when_it_should_and_not_before_and_not_just_below_its_limit():
    status, said = promtool("test", "rules", "vernal.test.yml")
    assert status == 0, said


@needs_promtool
def test_a_rule_with_another_limit_fails_its_unit_tests(tmp_path):
    rules, tests = (DEPLOY / "prometheus" / name for name in ("vernal.rules.yml", "vernal.test.yml"))
    for alert in ALERTS:
        assert f"name: {json.dumps(f'{alert.name} fires')}" in tests.read_text()
        assert f"name: {json.dumps(f'{alert.name} stays quiet')}" in tests.read_text()
    (tmp_path / rules.name).write_text(rules.read_text().replace("vernal_feature_lag_seconds > 60", "vernal_feature_lag_seconds > 58"))
    shutil.copy(tests, tmp_path)
    status, said = promtool("test", "rules", str(tmp_path / tests.name))
    assert status != 0
    assert "VernalFeaturesLate stays quiet" in said


@needs_promtool
def test_the_example_configuration_is_one_that_prometheus_takes():
    status, said = promtool("check", "config", "prometheus.yml")
    assert status == 0, said


def test_alerts_name_only_metrics_and_limits_that_exist():
    names = {metric.name for metric in METRICS} | {f"{metric.name}_bucket" for metric in METRICS if metric.kind == "histogram"}
    text = " ".join(alert.expression for alert in ALERTS)
    assert set(re.findall(r"vernal_\w+", text)) - names == set()
    assert set(re.findall(r'of="(\w+)"', text)) <= LIMITS.keys()
    assert {f"vernal_{of}" for of in LIMITS} <= {metric.name for metric in METRICS}


def test_every_topic_has_alerts_and_every_alert_says_what_to_do():
    assert {alert.topic for alert in ALERTS} == set(get_args(Topic))
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert alert.says.endswith(".")
        assert len(alert.do) > 40
        assert bool(alert.value) == ("{}" in alert.says), alert.name


def test_what_to_do_names_only_verbs_and_settings_that_exist():
    text = " ".join(f"{alert.says} {alert.do}" for alert in ALERTS)
    for words in re.findall(r"`vernal ([^`]+)`", text):
        verb, *more = words.split()
        parser_of(verb).parse_args(more)
    assert set(re.findall(r"\b(?:serving|rollout|retrieval)\.\w+", text)) <= {key.path for key in explain()}


def test_drift_of_an_ordinary_feature_never_pages():
    assert not any('"P3"' in alert.expression for alert in ALERTS)


def test_every_metric_has_one_panel(maker):
    titles = [panel["title"] for panel in maker.dashboard()["panels"] if panel["type"] == "timeseries"]
    assert sorted(titles) == sorted(metric.name for metric in METRICS)


def test_panels_do_not_overlap(maker):
    taken = set()
    for panel in maker.dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells
