"""A training becomes a run in MLflow, with what was set, what it came to, what the gate said and which release it is."""

import importlib.util
import json

import msgspec
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import Settings, Training
from vernal.engines.mlflow import said
from vernal.errors import ConfigError, EnvironmentProblem
from vernal.release import Lineage, ReleaseStore
from vernal.training.ports import Untracked
from vernal.training.tracking import CERTIFICATE, run_of

LINEAGE = Lineage(log_from=1, log_to=900, as_of=5, config="c", plan="p", code="0.1", seed=3)
METRICS = {"evaluation": {"release": {"ndcg@10": 0.25}, "best_list": "trending", "ratio": [1.5, 1.2, 1.8]}}
VERDICT = {"verdict": "passed", "checks": [{"name": "backtest", "verdict": "passed", "figure": 0.02}, {"name": "skew", "verdict": "passed", "figure": None}]}
installed = importlib.util.find_spec("mlflow") is not None
needs_mlflow = pytest.mark.skipif(not installed, reason="needs the extra mlflow")


@pytest.fixture
def store(tmp_path):
    return ReleaseStore(tmp_path / "releases", ManualClock(7))


@pytest.fixture
def name(store):
    """A release with figures and a certificate."""
    draft = store.draft()
    draft.put_json("retrieval", {"hyper": {"alpha": 4.0}})
    made = store.commit(draft, LINEAGE, METRICS)
    (made.path / CERTIFICATE).write_text(json.dumps(VERDICT))
    return made.name


def tracked_space(folder, mlflow):
    return Workspace(folder, Settings(training=Training(mlflow=mlflow)), ManualClock(1))


def test_a_run_has_parameters_figures_lineage_and_certificate(store, name):
    run = run_of(store, name, Settings(), 1_000_000, 9_000_000, "promoted", reason="a day has passed")
    assert (run.parameters["training.trees"], run.parameters["searched.alpha"]) == ("300", "4.0")
    assert "training.mlflow" not in run.parameters
    assert run.metrics == {
        "evaluation.release.ndcg@10": 0.25,
        "evaluation.ratio.0": 1.5,
        "evaluation.ratio.1": 1.2,
        "evaluation.ratio.2": 1.8,
        "gate.backtest": 0.02,
    }
    assert (run.tags["log_to"], run.tags["reason"]) == ("900", "a day has passed")
    assert run.certificate == VERDICT


def test_a_training_that_failed_is_a_run_too(store):
    run = run_of(store, "", Settings(), 1, 2, "failed", note="Not one positive event.")
    assert (run.release, run.outcome, run.metrics, run.certificate) == ("", "failed", {}, None)


def test_no_store_named_means_nothing_is_recorded(tmp_path):
    assert isinstance(tracked_space(tmp_path, "").tracker, Untracked)


@pytest.mark.skipif(installed, reason="the extra mlflow is installed")
def test_a_store_without_the_extra_is_refused_with_the_command_that_mends_it(tmp_path):
    with pytest.raises(EnvironmentProblem, match=r"vernal\[mlflow\]"):
        _ = tracked_space(tmp_path, "sqlite:runs.db").tracker


def test_a_store_outside_the_data_directory_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"training\.mlflow"):
        _ = tracked_space(tmp_path, "sqlite:../runs.db").tracker


def test_names_become_ones_that_mlflow_takes():
    assert said('slice "new users" ndcg@10') == "slice _new users_ ndcg_at_10"


@needs_mlflow
@pytest.mark.filterwarnings("ignore")  # of MLflow itself
def test_trainings_are_found_again_in_a_sqlite_store(tmp_path, store, name):
    from mlflow import MlflowClient

    space = tracked_space(tmp_path, "sqlite:runs.db")
    settings = msgspec.structs.replace(space.settings, events=msgspec.structs.replace(space.settings.events, default_type="buy"))
    space.tracker.record(run_of(store, name, settings, 1_000_000, 9_000_000, "promoted", reason="a day has passed"))
    space.tracker.record(run_of(store, "", settings, 10_000_000, 11_000_000, "failed", note="too little"))
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'data' / 'runs.db'}")
    experiment = client.get_experiment_by_name("vernal")
    failed, made = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])
    assert (made.info.status, made.info.start_time, made.info.end_time, failed.info.status) == ("FINISHED", 1_000, 9_000, "FAILED")
    assert made.data.metrics["evaluation.release.ndcg_at_10"] == 0.25
    assert (made.data.params["training.trees"], made.data.tags["vernal.release"]) == ("300", name)
    kept = tmp_path / "data" / "runs.db-artifacts" / made.info.run_id / "artifacts" / "certificate.json"
    assert json.loads(kept.read_text()) == VERDICT


@needs_mlflow
@pytest.mark.filterwarnings("ignore")  # of MLflow itself
def test_a_store_that_is_broken_stops_nothing(tmp_path, store, name, caplog):
    space = tracked_space(tmp_path, "sqlite:runs.db")
    (space.data / "runs.db").write_bytes(b"not a database" * 1_000)
    space.tracker.record(run_of(store, name, Settings(), 1, 2, "promoted"))
    assert "not recorded" in caplog.text
