"""Runs in an MLflow tracking store: SQLite on this machine, or a server. Implements `training.ports.Tracker`.

Needs the extra `mlflow`: its skinny distribution with what SQL stores ask for. Only MLflow's tracking calls are used; no model is logged, for a release is
its own format, and MLflow's own usage reports are switched off.
"""

import importlib.util
import logging
import os
from typing import Any, Final

from vernal.errors import EnvironmentProblem
from vernal.training.ports import Run

EXPERIMENT: Final = "vernal"
FAILED: Final = "failed"
MANNERS: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}  # unless you set them
US_PER_MS: Final = 1_000
MOST: Final = 100  # parameters that MLflow takes at once
log = logging.getLogger("vernal.training")


class MlflowTracker:
    """Records each training as a run of the experiment `vernal`.

    Parameters
    ----------
    uri : of the tracking store
    artifacts : URI of the folder for certificates; empty = where the store keeps them

    Raises
    ------
    EnvironmentProblem
        The extra is not installed.
    """

    def __init__(self, uri: str, artifacts: str = "") -> None:
        self.uri, self.artifacts = uri, artifacts
        if importlib.util.find_spec("mlflow") is None:
            raise EnvironmentProblem.missing_extra("mlflow", "mlflow")

    def record(self, run: Run) -> None:
        """Keeps a run, or says in the log why it could not.

        Cost: 1 s for the first of a process, 3 s more where the store is made; up to 2 minutes where a store is away, for MLflow asks it again.
        """
        os.environ.update({name: value for name, value in MANNERS.items() if name not in os.environ})
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            self.put(run)
        except Exception as error:  # whatever a store or its server does: the release is made, and that is what counts
            log.warning("training not recorded in %s: %s", self.uri.partition("@")[2] or self.uri, error)

    def put(self, run: Run) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag

        client = MlflowClient(tracking_uri=self.uri)
        began, ended = run.began_at // US_PER_MS, run.ended_at // US_PER_MS
        run_id = client.create_run(self.experiment(client), start_time=began, run_name=run.release or FAILED).info.run_id
        parameters = [Param(said(name), value) for name, value in run.parameters.items()]
        for place in range(0, len(parameters), MOST):
            client.log_batch(run_id, params=parameters[place : place + MOST])
        tags = {"release": run.release, "outcome": run.outcome, **run.tags}
        client.log_batch(
            run_id,
            metrics=[Metric(said(name), value, ended, 0) for name, value in run.metrics.items()],
            tags=[RunTag(f"vernal.{name}", value) for name, value in tags.items()],
        )
        if run.certificate is not None:
            client.log_dict(run_id, dict(run.certificate), "certificate.json")
        client.set_terminated(run_id, "FAILED" if run.outcome == FAILED else "FINISHED", ended)

    def experiment(self, client: Any) -> str:
        """The id of our experiment, made on first use; two that make it at once share it."""
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            try:
                return client.create_experiment(EXPERIMENT, artifact_location=self.artifacts or None)
            except MlflowException:
                found = client.get_experiment_by_name(EXPERIMENT)
        return found.experiment_id


def said(name: str) -> str:
    """A name as MLflow takes it.

    >>> said("evaluation.release.ndcg@10")
    'evaluation.release.ndcg_at_10'
    """
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name.replace("@", "_at_"))
