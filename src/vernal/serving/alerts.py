"""Alert rules on the metrics of `serving.metrics`, each with a case in which it fires and one, just as close, in which it does not.

`deploy/make_deploy.py` writes them as Prometheus rules with their unit tests. Limits that the settings know come from the server itself
(`vernal_limit`), so one file of rules is right for every `vernal.toml`. `critical`: somebody should look now; `warning`: today.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from vernal.serving.meters import Topic

Shown = Literal["duration", "share", "number"]
SERVER: Final = "(job, instance)"


class Alert(NamedTuple):
    """One rule.

    Parameters
    ----------
    measure : PromQL with one series per server
    above : PromQL that it must exceed
    lasting : for how long; empty = at once
    shown : how a person reads the value
    says : one sentence; `{}` is the value
    do : what to do about it
    fires, quiet : series -> values a minute apart, in promtool's notation, labels of the server left out; what is wrong in `fires` begins after 20 minutes
    value : how the sentence shows the value in `fires`
    """

    name: str
    topic: Topic
    severity: Literal["critical", "warning"]
    measure: str
    above: str
    lasting: str
    shown: Shown
    says: str
    do: str
    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    value: str = ""

    @property
    def expression(self) -> str:
        return f"{self.measure} > {self.above}"


def rate(series: str, window: str = "5m", by: str = SERVER) -> str:
    """Events a second, of one server."""
    return f"sum by {by} (rate({series}[{window}]))"


def share(part: str, whole: str) -> str:
    return f"{rate(part)} / {rate(whole)}"


def grew(series: str, window: str = "1d") -> str:
    """How much a counter grew, of one server."""
    return f"sum by {SERVER} (increase({series}[{window}]))"


def limit(of: str) -> str:
    """A limit of the server's own settings."""
    return f'on {SERVER} vernal_limit{{of="{of}"}}'


def largest(series: str) -> str:
    return f"max by {SERVER} ({series})"


RECOMMEND: Final = 'route="POST /v1/recommend"'
BUCKETS: Final = f"vernal_request_seconds_bucket{{{RECOMMEND}}}"
SLOW: Final = f'vernal_request_seconds_bucket{{{RECOMMEND},le="0.035"}}'
SLOWER: Final = f'vernal_request_seconds_bucket{{{RECOMMEND},le="0.05"}}'
ALL: Final = f'vernal_request_seconds_bucket{{{RECOMMEND},le="+Inf"}}'
CALLS: Final = 'vernal_requests_total{route!~"GET /(healthz|readyz|metrics)"}'
FAILED: Final = 'vernal_requests_total{route!~"GET /(healthz|readyz|metrics)",status="5xx"}'
GOOD: Final = f'vernal_requests_total{{{RECOMMEND},status="2xx"}}'
BAD: Final = f'vernal_requests_total{{{RECOMMEND},status="5xx"}}'
SHED: Final = 'vernal_shed_total{lane="serve"}'
DEADLINE: Final = 'vernal_limit{of="request_seconds"}'
OLD, REGRET, UNKNOWN = (f'vernal_limit{{of="{of}"}}' for of in ("release_age_seconds", "predicted_regret", "unknown_item_share"))
AGE: Final = 'vernal_release_age_seconds{release="r0001-0"}'
LOOK: Final = "Open the drift page or run `vernal drift`: it says which column, how big, since when and what was deployed then."

ALERTS: Final = (
    Alert(
        "VernalAbsent", "serving", "critical", "absent(vernal_log_offset)", "0", "2m", "number",
        "No server of Vernal is scraped.",
        "See whether `vernal serve` runs and `GET /readyz` answers; off loopback Prometheus needs a key with the scope `serve`.",
        fires={"vernal_log_offset": "5x20"},
        quiet={"vernal_log_offset": "5x100"},
    ),
    Alert(
        "VernalSlow", "serving", "critical",
        f"histogram_quantile(0.99, {rate(BUCKETS, by='(job, instance, le)')})", limit("request_seconds"), "5m", "duration",
        "One recommendation in a hundred takes longer than {}, above serving.deadline_ms.",
        "Compare `vernal_stage_seconds` to find the stage; add workers or lower retrieval.candidates; see whether a training runs beside it.",
        fires={SLOW: "0+100x20 2098+98x80", SLOWER: "0+100x100", ALL: "0+100x100", DEADLINE: "0.035x100"},
        quiet={SLOW: "0+100x100", SLOWER: "0+100x100", ALL: "0+100x100", DEADLINE: "0.035x100"},
        value="42.5ms",
    ),
    Alert(
        "VernalErrors", "serving", "critical", share(FAILED, CALLS), "0.01", "5m", "share",
        "{} of the calls are answered with a 5xx.",
        "Read the server's log: every 500 has a traceback there; 503 and 507 name the log, the state or the disk in their answer.",
        fires={GOOD: "0+98x100", BAD: "0x20 2+2x80"},
        quiet={GOOD: "0+199x100", BAD: "0+1x100"},
        value="2%",
    ),
    Alert(
        "VernalShedding", "serving", "warning", share(SHED, CALLS), "0.01", "5m", "share",
        "{} of the calls are turned away with 429 before any work.",
        "More is asked than the workers can answer in time: raise serving.workers, or let clients wait as Retry-After says.",
        fires={GOOD: "0+100x100", SHED: "0x20 5+5x80"},
        quiet={GOOD: "0+200x100", SHED: "0+1x100"},
        value="5%",
    ),
    Alert(
        "VernalFallback", "serving", "warning",
        share('vernal_rungs_total{rung!~"full|fast"}', "vernal_rungs_total"), "0.05", "10m", "share",
        "{} of the slates come from a lower rung than the ranker's.",
        "`GET /v1/releases` says whether a release answers; `vernal_degraded_total` which part broke; `vernal_request_seconds` whether time was short.",
        fires={'vernal_rungs_total{rung="full"}': "0+90x100", 'vernal_rungs_total{rung="trending"}': "0x20 10+10x80"},
        quiet={'vernal_rungs_total{rung="full"}': "0+80x100", 'vernal_rungs_total{rung="fast"}': "0+18x100", 'vernal_rungs_total{rung="trending"}': "0+2x100"},
        value="10%",
    ),
    Alert(
        "VernalPartBroken", "serving", "critical", rate("vernal_degraded_total"), "0", "5m", "number",
        "A part of the pipeline breaks, {} times a second; slates fall to a lower rung.",
        "Read the server's log for the traceback; `vernal rollback` if it began with a new release.",
        fires={'vernal_degraded_total{part="pipeline"}': "0x20 6+6x80"},
        quiet={'vernal_degraded_total{part="pipeline"}': "6x100"},
        value="0.1",
    ),
    Alert(
        "VernalSlatesLost", "serving", "critical", grew("vernal_slates_lost_total", "15m"), "0", "", "number",
        "{} slates were answered and could not be logged.",
        "See whether the disk is full or slow: what is not logged can neither be audited nor learnt from.",
        fires={"vernal_slates_lost_total": "0x20 15x80"},
        quiet={"vernal_slates_lost_total": "15x100"},
        value="15",
    ),
    Alert(
        "VernalFeaturesLate", "freshness", "critical", "vernal_feature_lag_seconds", "60", "2m", "duration",
        "An acknowledged event has waited {} and is in no feature yet.",
        "See whether the stream worker lives (`vernal serve` says so on stderr) and whether the disk keeps up; slates go on with what is known.",
        fires={"vernal_feature_lag_seconds": "0x20 61+0x80"},
        quiet={"vernal_feature_lag_seconds": "0x20 59x80"},
        value="1m 1s",
    ),
    Alert(
        "VernalItemsStale", "freshness", "warning", "vernal_live_age_seconds", "900", "5m", "duration",
        "Popularity and trends of items were last read out {} ago; it should be 5 minutes.",
        "See whether the stream worker lives; restart the server if it does and does not fold.",
        fires={"vernal_live_age_seconds": "300x20 960x80"},
        quiet={"vernal_live_age_seconds": "300x20 890x80"},
        value="16m 0s",
    ),
    Alert(
        "VernalReleaseOld", "staleness", "warning", largest("vernal_release_age_seconds"), limit("release_age_seconds"), "15m", "duration",
        "The release that answers knows nothing of the last {}, beyond rollout.max_age.",
        "Run `vernal status`: it says when the next training is due and what holds it; `vernal train` makes a release now.",
        fires={AGE: "200000x20 345600x80", OLD: "259200x100"},
        quiet={AGE: "200000x20 259000x80", OLD: "259200x100"},
        value="4d 0h 0m 0s",
    ),
    Alert(
        "VernalRegret", "staleness", "warning", "vernal_predicted_regret", limit("predicted_regret"), "1h", "share",
        "The release in charge is taken to be {} worse than a fresh one, beyond rollout.delta.",
        "Run `vernal status`: a training should be due; if the gate refused the last ones, `vernal releases NAME` says why.",
        fires={"vernal_predicted_regret": "0.01x20 0.08x80", REGRET: "0.05x100"},
        quiet={"vernal_predicted_regret": "0.01x20 0.049x80", REGRET: "0.05x100"},
        value="8%",
    ),
    Alert(
        "VernalStale", "staleness", "critical", grew("vernal_staleness_incidents_total"), "0", "", "number",
        "The release in charge stayed worse than a fresh one for longer than rollout.tolerance.",
        "Run `vernal status` for what kept a new release from being made or promoted; acknowledge alarms that hold training, or `vernal train`.",
        fires={"vernal_staleness_incidents_total": "2x20 3x80"},
        quiet={"vernal_staleness_incidents_total": "3x100"},
    ),
    Alert(
        "VernalUnknownItems", "staleness", "warning", "vernal_unknown_item_share", limit("unknown_item_share"), "1h", "share",
        "{} of the events are about items that the release in charge never saw, beyond rollout.unknown_share.",
        "A training should be due (`vernal status`); if the ids changed, an import or a client sends other ones than before.",
        fires={"vernal_unknown_item_share": "0.02x20 0.12x80", UNKNOWN: "0.05x100"},
        quiet={"vernal_unknown_item_share": "0.02x20 0.05x80", UNKNOWN: "0.05x100"},
        value="12%",
    ),
    Alert(
        "VernalKeeperSilent", "staleness", "critical", "vernal_keeper_silence_seconds", "3600", "5m", "duration",
        "Nobody has watched over data and releases for {}.",
        "The server's stderr says why its keeper ends; rollout.mode = \"off\" if it is meant to be so.",
        fires={"vernal_keeper_silence_seconds": "20x20 5400x80"},
        quiet={"vernal_keeper_silence_seconds": "20x20 3500x80"},
        value="1h 30m 0s",
    ),
    Alert(
        "VernalDrift", "drift", "critical", largest('vernal_drift_alarms{severity="P1"}'), "0", "", "number",
        "Data or outcomes are not as usual: {} alarms to look at now.",
        f"{LOOK} Put it right, then `vernal acknowledge`.",
        fires={'vernal_drift_alarms{severity="P1"}': "0x20 2x80"},
        quiet={'vernal_drift_alarms{severity="P1"}': "0x100", 'vernal_drift_alarms{severity="P3"}': "9x100"},
        value="2",
    ),
    Alert(
        "VernalDriftToday", "drift", "warning", largest('vernal_drift_alarms{severity="P2"}'), "0", "", "number",
        "Scores, or features that the ranker leans on, are not as usual: {} alarms to look at today.",
        f"{LOOK} Nothing was changed because of it.",
        fires={'vernal_drift_alarms{severity="P2"}': "0x20 1x80"},
        quiet={'vernal_drift_alarms{severity="P2"}': "0x100", 'vernal_drift_alarms{severity="P3"}': "9x100"},
        value="1",
    ),
    Alert(
        "VernalTrainingHeld", "drift", "warning", "vernal_training_held", "0", "1h", "number",
        "Training and promotion are held, because broken data must not be learnt; the release in charge gets older.",
        f"{LOOK} Put it right, then `vernal acknowledge` lets training go on.",
        fires={"vernal_training_held": "0x20 1x80"},
        quiet={"vernal_training_held": "0x20 1x50 0x30"},
    ),
    Alert(
        "VernalTrainingFailed", "training", "warning", grew('vernal_trainings_total{outcome="failed"}'), "0", "", "number",
        "A training failed; the release in charge goes on.",
        "The server's log has the reason; `vernal train` shows it too. Often: memory, disk, or a log without one positive event.",
        fires={'vernal_trainings_total{outcome="failed"}': "0x20 1x80"},
        quiet={'vernal_trainings_total{outcome="failed"}': "1x100", 'vernal_trainings_total{outcome="promoted"}': "0x20 1x80"},
    ),
    Alert(
        "VernalSkew", "training", "critical", largest("vernal_skewed_values"), "0", "", "number",
        "{} feature values that were served differ from those recomputed from the log: what is learned is not what is answered with.",
        "`vernal audit` names the answers, items and features; until it finds none the gate refuses every release.",
        fires={"vernal_skewed_values": "0x20 7x80"},
        quiet={"vernal_skewed_values": "0x100"},
        value="7",
    ),
    Alert(
        "VernalGateRefused", "training", "warning", grew("vernal_gate_refusals_total"), "0", "", "number",
        "The gate refused a new release; the one in charge goes on.",
        "`vernal releases NAME` shows its certificate: which check refused it, and by how much.",
        fires={"vernal_gate_refusals_total": "4x20 5x80"},
        quiet={"vernal_gate_refusals_total": "5x100"},
    ),
    Alert(
        "VernalReleaseBroken", "training", "critical", grew("vernal_release_failures_total", "15m"), "0", "", "number",
        "A release was put in charge and could not be opened; the one before answers.",
        "The server's log says which file is damaged or whose signature is missing; `vernal rollback`, then `vernal train`.",
        fires={"vernal_release_failures_total": "0x20 1x80"},
        quiet={"vernal_release_failures_total": "1x100"},
    ),
    Alert(
        "VernalRolledBack", "trial", "warning", grew('vernal_canary_acts_total{act="roll back"}'), "0", "", "number",
        "A release on trial was taken away from its users; the one in charge goes on.",
        "`vernal canary status` says why; `vernal releases NAME` what the gate had found.",
        fires={'vernal_canary_acts_total{act="roll back"}': "1x20 2x80"},
        quiet={'vernal_canary_acts_total{act="roll back"}': "2x100", 'vernal_canary_acts_total{act="promote"}': "0x20 1x80"},
    ),
)  # fmt: skip
