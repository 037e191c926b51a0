"""Every metric of a server: what is counted, what is read at scrape time, and the values that are read.

The reference page, the alert rules and the dashboard are made from the two tables here and from `serving.alerts`, so they cannot name what is not there.
"""

from collections.abc import Iterator
from typing import Final

from vernal.config import Settings, duration_s
from vernal.events.schema import Kind
from vernal.ranking.ladder import Rung
from vernal.serving.meters import Gauge, Layout, Meter, Value
from vernal.serving.recommending import STAGES
from vernal.serving.routes import Table
from vernal.serving.service import Service
from vernal.serving.upkeep import ACTS, OUTCOMES, SEVERITIES, Upkeep, read_upkeep
from vernal.terms import US_PER_S

GAUGES: Final = (
    Gauge("vernal_limit", "limits in the settings that alerts compare with", "serving", ("of",)),
    Gauge("vernal_log_offset", "newest record of the log", "freshness"),
    Gauge("vernal_state_offset", "newest record that user state reflects", "freshness"),
    Gauge("vernal_live_offset", "newest record that item tables reflect", "freshness"),
    Gauge("vernal_feature_lag_seconds", "how long the oldest record that features do not reflect yet has waited", "freshness"),
    Gauge("vernal_live_age_seconds", "age of the item tables' read-outs", "freshness"),
    Gauge("vernal_items", "items known", "freshness"),
    Gauge("vernal_release_age_seconds", "time since the first event that the release that answers does not know", "staleness", ("release",)),
    Gauge("vernal_predicted_regret", "how much worse the release in charge is than a fresh one would be, relative", "staleness"),
    Gauge("vernal_price_of_age", "how much worse a release gets in its first unit of time, relative", "staleness"),
    Gauge("vernal_unknown_item_share", "share of the last window's events on items that the release in charge never saw", "staleness"),
    Gauge("vernal_staleness_incidents_total", "times that regret stayed above its limit for longer than tolerated", "staleness", counter=True),
    Gauge("vernal_keeper_silence_seconds", "time since the keeper last looked", "staleness"),
    Gauge("vernal_drift_alarms", "alarms that nobody acknowledged", "drift", ("severity",)),
    Gauge("vernal_training_held", "1 while alarms hold training and promotion", "drift"),
    Gauge("vernal_training_running", "1 while a training runs", "training"),
    Gauge("vernal_training_seconds", "how long the last training took", "training"),
    Gauge("vernal_training_due_seconds", "time until the next training; below 0 when it is late", "training"),
    Gauge("vernal_trainings_total", "trainings by what became of them", "training", ("outcome",), counter=True),
    Gauge("vernal_gate_refusals_total", "challengers that the gate refused", "training", counter=True),
    Gauge(
        "vernal_skewed_values",
        "served feature values that differ from the log, as the newest verdict found; -1 where it compared none",
        "training",
    ),
    Gauge("vernal_canary_share", "share of users that meet the release on trial; 0 while nobody sees it, or there is none", "trial", ("release",)),
    Gauge("vernal_canary_reward_low", "least reward of the release on trial relative to the one in charge, less 1; -1 before anything can be said", "trial"),
    Gauge("vernal_canary_acts_total", "acts on releases on trial", "trial", ("act",), counter=True),
)


def layout(table: Table) -> Layout:
    """Every counter and histogram of a server with these routes."""
    names = tuple(route.name for route in table.routes)
    records = {"kind": ("events", "items", "users"), "result": ("accepted", "duplicate", "rejected")}
    return Layout(
        [
            Meter("vernal_requests_total", "calls by route and class of status", {"route": names, "status": ("2xx", "4xx", "5xx")}),
            Meter("vernal_request_seconds", "time from the first byte of a call to its answer", {"route": names}, histogram=True),
            Meter("vernal_stage_seconds", "time one stage of a slate took; one answer in 16 is timed", {"stage": STAGES}, histogram=True),
            Meter("vernal_shed_total", "calls turned away with 429 before any work", {"lane": ("serve", "ingest")}),
            Meter("vernal_internal_errors_total", "answers 500; each has a traceback in the server's log"),
            Meter("vernal_rungs_total", "slates by the rung that answered", {"rung": tuple(Rung)}),
            Meter("vernal_degraded_total", "answers that fell because a part broke", {"part": ("state", "pipeline", "texts")}),
            Meter("vernal_searches_total", "searches by whether anything matched", {"result": ("found", "nothing")}),
            Meter("vernal_records_total", "records received", records, topic="freshness"),
            Meter("vernal_unapplied_total", "acknowledged batches that the stream worker had not folded within the wait", topic="freshness"),
            Meter("vernal_slates_total", "slates appended to the log"),
            Meter("vernal_slates_lost_total", "slates dropped because the log could not take them"),
            Meter("vernal_release_swaps_total", "changes of the release that answers", topic="training"),
            Meter("vernal_release_failures_total", "promoted releases that could not be opened", topic="training"),
        ]
    )


def values(service: Service) -> Iterator[Value]:
    """What the gauges say now."""
    now, name, upkeep = service.clock.now(), service.champion.name, read_upkeep(service.data)
    for of, limit in limits(service.settings).items():
        yield Value("vernal_limit", limit, {"of": of})
    yield Value("vernal_log_offset", service.log.end())
    yield Value("vernal_state_offset", service.state.offset())
    yield Value("vernal_live_offset", service.live.offset)
    yield Value("vernal_feature_lag_seconds", feature_lag_s(service, now))
    yield Value("vernal_live_age_seconds", now / US_PER_S - service.live.hop)
    yield Value("vernal_items", service.live.n)
    if name:
        yield Value("vernal_release_age_seconds", release_age_s(service, name, now), {"release": name})
    canary = service.arms.traffic.canary
    yield Value("vernal_canary_share", canary.share if canary else 0.0, {"release": canary.release if canary else ""})
    if upkeep is not None and service.settings.rollout.mode != "off":
        yield from upkeep_values(upkeep, now)


def limits(settings: Settings) -> dict[str, float]:
    """Where the settings say that a metric is too high, by the metric's name without `vernal_`."""
    rollout = settings.rollout
    return {
        "request_seconds": settings.serving.deadline_ms / 1_000,
        "release_age_seconds": duration_s(rollout.max_age),
        "predicted_regret": rollout.delta,
        "unknown_item_share": rollout.unknown_share,
    }


def feature_lag_s(service: Service, now: int) -> float:
    """How long the oldest record that is in the log and not in the features has waited; 0 when none waits."""
    reflected = min(service.state.offset(), service.live.offset)
    waiting = next(iter(service.log.read(reflected, 1)), None)
    return max(0.0, (now - waiting.received_at) / US_PER_S) if waiting is not None else 0.0


def release_age_s(service: Service, name: str, now: int) -> float:
    """Since when there is something that a release does not know; with no new event a release does not age. Cost: one look at the log a release."""
    if name not in service.unknown_since:
        lineage = service.releases.manifest(name).lineage
        first = next(iter(service.log.read(lineage.log_to, 1, frozenset({Kind.EVENTS}))), None)
        if first is None:
            return 0.0
        service.unknown_since[name] = max(lineage.as_of, first.received_at)
    return (now - service.unknown_since[name]) / US_PER_S


def upkeep_values(upkeep: Upkeep, now: int) -> Iterator[Value]:
    """What the keeper wrote, as values."""
    maybe = {
        "vernal_predicted_regret": upkeep.predicted_regret,
        "vernal_price_of_age": upkeep.price,
        "vernal_training_seconds": upkeep.training_s,
        "vernal_canary_reward_low": upkeep.canary_low,
        "vernal_training_due_seconds": None if upkeep.next_at is None else (upkeep.next_at - now) / US_PER_S,
    }
    yield from (Value(name, value) for name, value in maybe.items() if value is not None)
    yield Value("vernal_unknown_item_share", upkeep.unknown_share)
    yield Value("vernal_staleness_incidents_total", upkeep.incidents)
    yield Value("vernal_keeper_silence_seconds", (now - upkeep.at) / US_PER_S)
    yield from (Value("vernal_drift_alarms", upkeep.alarms.get(severity, 0), {"severity": severity}) for severity in SEVERITIES)
    yield Value("vernal_training_held", upkeep.held)
    yield Value("vernal_training_running", upkeep.training)
    yield from (Value("vernal_trainings_total", upkeep.trainings.get(outcome, 0), {"outcome": outcome}) for outcome in OUTCOMES)
    yield Value("vernal_gate_refusals_total", upkeep.refusals)
    yield Value("vernal_skewed_values", -1 if upkeep.skewed is None else upkeep.skewed)
    yield from (Value("vernal_canary_acts_total", upkeep.canary_acts.get(act, 0), {"act": act}) for act in ACTS)
