"""`vernal train`: the log as it stands becomes a release, shown beside tuned non-personalised lists, judged, and put in charge when it passed."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vernal.app import Workspace
from vernal.cli.gate import judged
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.evaluation.backtest import Report, lines
from vernal.monitoring.carrying import carry
from vernal.rollout import gate
from vernal.rollout.certificate import Certificate
from vernal.training.ports import Outcome
from vernal.training.snapshot import Snapshot
from vernal.training.tracking import run_of
from vernal.training.train import train


def arguments(parser: VerbParser) -> None:
    parser.add_argument("--no-promote", action="store_true", help="leave the present release in charge")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises TrainingError when there is nothing to learn from, and StateError while another training runs."""
    with Workspace.open(Path(options.config)) as workspace:
        answer = trained(workspace, terminal, promote=not options.no_promote)
        with terminal.stage("archive") as stage:
            stage.counts(f"{workspace.archive.sync(workspace.log):,} records to Parquet")
    return answer


def trained(workspace: Workspace, terminal: Terminal, *, promote: bool = True) -> Answer:
    """Trains, judges, and promotes what passed; what was found is also what the verb answers. Exit status 1 when the gate refused it."""
    before, tracker, began = workspace.releases.champion(), workspace.tracker, workspace.clock.now()
    with workspace.exclusive("trainer"):
        with terminal.stage("train") as stage, terminal.progress() as progress:
            snapshot = Snapshot.of(workspace)
            release, report = train(workspace, progress, promote=False, snapshot=snapshot, carry=carry)
            stage.counts(f"{release.name} from {release.manifest.lineage.log_to:,} records")
        certificate = judged(workspace, release.name, terminal, snapshot)
        passed = certificate.verdict == "passed"
        if promote and passed:
            gate.promote(workspace, release.name, "trained")
    outcome: Outcome = "refused" if not passed else "promoted" if promote else "proposed"
    tracker.record(run_of(workspace.releases, release.name, workspace.settings, began, workspace.clock.now(), outcome, "asked for", certificate.reason))
    undo = f"vernal rollback --to {before}" if promote and passed and before else ""
    after = workspace.releases.champion()
    value: dict[str, Any] = {"release": release.name, "metrics": release.manifest.metrics, "verdict": certificate.verdict, "before": before, "after": after}
    value["undo"] = undo
    return Answer(value, "\n".join([*found(report), "", *verdict(certificate), change(before, after), *([f"undo: {undo}"] if undo else [])]), int(not passed))


def found(report: Report | None) -> Sequence[str]:
    return lines(report) if report else ["too little history to hold a stretch back: not evaluated"]


def verdict(certificate: Certificate) -> list[str]:
    """Why the gate refused, where it did."""
    return [f"refused by the gate: {check.name}: {check.sentence}" for check in certificate.refusals]


def change(before: str | None, after: str | None) -> str:
    return f"in charge: {before or 'none'} -> {after}" if after != before else f"in charge: {before or 'none'} still"
