"""Writes the alert rules with their unit tests and the dashboard: `python deploy/make_deploy.py`. A test compares them with the code.

In: the metrics of `vernal.serving.metrics`, the alerts of `vernal.serving.alerts`. Out: `prometheus/vernal.rules.yml`, `prometheus/vernal.test.yml`,
`grafana/vernal.json`.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from vernal.config import duration_s
from vernal.serving.alerts import ALERTS, Alert
from vernal.serving.meters import Gauge, Meter, Topic
from vernal.serving.metrics import GAUGES, layout
from vernal.serving.routes import Table
from vernal.serving.worker import ROUTES

FOLDER = Path(__file__).parent
MADE = "Made from src/vernal/serving/alerts.py by `python deploy/make_deploy.py`; do not edit."
TEMPLATES = {"duration": "{{ $value | humanizeDuration }}", "share": "{{ $value | humanizePercentage }}", "number": '{{ $value | printf "%.3g" }}'}
UNITS = {"duration": "s", "share": "percentunit", "number": "short"}
SERVER = {"instance": "shop:8420", "job": "vernal"}  # of the made-up server in the unit tests
BEGINS_MIN = 20  # when what is wrong in a case begins
HEADLINES = ("VernalSlow", "VernalErrors", "VernalFallback", "VernalFeaturesLate", "VernalReleaseOld", "VernalRegret", "VernalDrift", "VernalTrainingHeld")
TITLES = {
    "serving": "Serving",
    "freshness": "Freshness",
    "staleness": "Staleness",
    "drift": "Drift",
    "training": "Training and gate",
    "trial": "Trials on users",
}


def files() -> dict[Path, str]:
    """Every file that is made, with its text."""
    return {
        FOLDER / "prometheus" / "vernal.rules.yml": "\n".join([f"# {MADE}", *rules(), ""]),
        FOLDER / "prometheus" / "vernal.test.yml": "\n".join([f"# {MADE}", *unit_tests(), ""]),
        FOLDER / "grafana" / "vernal.json": json.dumps(dashboard(), indent=1) + "\n",
    }


def rules() -> Iterator[str]:
    """The rules, a group per topic."""
    yield "groups:"
    for topic, alerts in itertools.groupby(ALERTS, key=lambda alert: alert.topic):
        yield from (f"  - name: vernal-{topic}", "    rules:")
        for alert in alerts:
            yield from (f"      - alert: {alert.name}", f"        expr: {alert.expression}")
            if alert.lasting:
                yield f"        for: {alert.lasting}"
            yield f"        labels: {flow(labels_of(alert))}"
            yield "        annotations:"
            yield from (f"          {name}: {json.dumps(text)}" for name, text in annotations_of(alert, TEMPLATES[alert.shown]).items())


def labels_of(alert: Alert) -> dict[str, str]:
    return {"severity": alert.severity, "topic": alert.topic}


def annotations_of(alert: Alert, value: str) -> dict[str, str]:
    return {"summary": alert.says.format(value), "description": alert.do}


def flow(pairs: Mapping[str, str]) -> str:
    """A mapping in one line of YAML."""
    return "{ " + ", ".join(f"{name}: {json.dumps(text)}" for name, text in pairs.items()) + " }"


def unit_tests() -> Iterator[str]:
    """For promtool: every rule fires when it should and not a moment before, stays quiet just below its limit, and all of them are quiet where all is well."""
    yield from ("rule_files: [vernal.rules.yml]", "evaluation_interval: 1m", "tests:")
    for alert in ALERTS:
        held, fired = moments(alert)
        yield from case(f"{alert.name} fires", alert.fires, [*((minute, alert, False) for minute in sorted({BEGINS_MIN, held})), (fired, alert, True)])
        yield from case(f"{alert.name} stays quiet", alert.quiet, [(held, alert, False), (fired, alert, False)])
    well = {series: values for alert in ALERTS for series, values in alert.quiet.items()}
    yield from case("nothing fires where all is well", well, [(moments(alert)[1], alert, False) for alert in ALERTS])


def moments(alert: Alert) -> tuple[int, int]:
    """Minutes at which what is wrong has not lasted long enough, and has."""
    lasting = duration_s(alert.lasting) // 60 if alert.lasting else 0
    return BEGINS_MIN + lasting, BEGINS_MIN + lasting + 10


def case(name: str, series: Mapping[str, str], expected: list[tuple[int, Alert, bool]]) -> Iterator[str]:
    """One unit test: what is scraped each minute, and whether an alert fires at a minute."""
    yield from (f"  - name: {json.dumps(name)}", "    interval: 1m", "    input_series:")
    for given, values in series.items():
        yield from (f"      - series: '{with_server(given)}'", f"        values: {json.dumps(values)}")
    yield "    alert_rule_test:"
    for minute, alert, fires in expected:
        yield from (f"      - eval_time: {minute}m", f"        alertname: {alert.name}")
        if fires:
            server = {} if alert.measure.startswith("absent") else SERVER
            yield from ("        exp_alerts:", f"          - exp_labels: {flow({**server, **labels_of(alert)})}", "            exp_annotations:")
            yield from (f"              {key}: {json.dumps(text)}" for key, text in annotations_of(alert, alert.value).items())


def with_server(series: str) -> str:
    """A series of the made-up server."""
    name, _, labels = series.partition("{")
    given = [f'{key}="{text}"' for key, text in SERVER.items()] + ([labels.rstrip("}")] if labels else [])
    return f"{name}{{{','.join(given)}}}"


def dashboard() -> dict[str, Any]:
    """For Grafana: what alerts look at, then every metric, a row per topic."""
    by_name = {alert.name: alert for alert in ALERTS}
    panels = [headline(by_name[name], place) for place, name in enumerate(HEADLINES)]
    down = 4
    for topic in get_args(Topic):
        panels.append({"type": "row", "title": TITLES[topic], "gridPos": {"x": 0, "y": down, "w": 24, "h": 1}, "panels": []})
        shown = [metric for metric in (*layout(Table(ROUTES)).meters, *GAUGES) if metric.topic == topic]
        panels += [graph(metric, place, down + 1) for place, metric in enumerate(shown)]
        down += 1 + 8 * -(-len(shown) // 3)
    return {
        "title": "Vernal",
        "uid": "vernal",
        "description": "Made from src/vernal/serving/metrics.py by `python deploy/make_deploy.py`.",
        "schemaVersion": 38,
        "tags": ["vernal"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [SOURCE, SERVERS]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


SOURCE = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
DATASOURCE = {"type": "prometheus", "uid": "${source}"}
SERVERS = {
    "name": "server", "type": "query", "datasource": DATASOURCE, "query": "label_values(vernal_log_offset, instance)", "refresh": 2,
    "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
}  # fmt: skip


def headline(alert: Alert, place: int) -> dict[str, Any]:
    """A figure that turns red where its alert would fire."""
    steps = [{"color": "green", "value": None}]
    if not alert.above.startswith("on"):
        steps.append({"color": "red", "value": float(alert.above) + 1e-9})
    field = {"unit": UNITS[alert.shown], "decimals": 1 if alert.shown != "number" else 0, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": "stat",
        "title": re.sub(r"(?<!^)([A-Z])", lambda found: f" {found[1].lower()}", alert.name.removeprefix("Vernal")),
        "description": f"{alert.name}: {alert.do}",
        "datasource": DATASOURCE,
        "gridPos": {"x": 3 * place, "y": 0, "w": 3, "h": 4},
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}},
        "targets": [{"refId": "A", "expr": chosen(alert.measure), "legendFormat": "{{instance}}"}],
    }


def graph(metric: Meter | Gauge, place: int, down: int) -> dict[str, Any]:
    """One metric over time."""
    return {
        "type": "timeseries",
        "title": metric.name,
        "description": metric.effect,
        "datasource": DATASOURCE,
        "gridPos": {"x": 8 * (place % 3), "y": down + 8 * (place // 3), "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit_of(metric), "custom": {"fillOpacity": 8}}, "overrides": []},
        "targets": [
            {"refId": "AB"[number], "expr": chosen(query), "legendFormat": f"{legend}{'{{instance}}'}"}
            for number, (query, legend) in enumerate(queries(metric))
        ],
    }


def queries(metric: Meter | Gauge) -> Iterator[tuple[str, str]]:
    """What is asked about a metric, with the beginning of its legend: counters as a rate, histograms as their median and p99, gauges as they are."""
    by, legend = ", ".join(["instance", *metric.labels]), "".join(f"{{{{{label}}}}} " for label in metric.labels)
    if metric.kind == "histogram":
        for quantile, named in (("0.5", "p50"), ("0.99", "p99")):
            yield f"histogram_quantile({quantile}, sum by (le, {by}) (rate({metric.name}_bucket[$__rate_interval])))", f"{named} {legend}"
    elif isinstance(metric, Meter):
        yield f"sum by ({by}) (rate({metric.name}[$__rate_interval]))", legend
    else:
        yield metric.name, legend


def chosen(query: str) -> str:
    """A query of the servers that the dashboard shows."""
    return re.sub(r"\b(vernal_\w+)(?:\{([^}]*)\})?", lambda found: f'{found[1]}{{instance=~"$server"{"," + found[2] if found[2] else ""}}}', query)


def unit_of(metric: Meter | Gauge) -> str:
    if metric.name.endswith("_seconds"):
        return "s"
    if metric.name.endswith(("_share", "_regret", "_of_age")):
        return "percentunit"
    return "ops" if isinstance(metric, Meter) else "short"


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
