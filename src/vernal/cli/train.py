"""`vernal train`: the log as it stands becomes a release, shown beside tuned non-personalised lists and put in charge."""

import argparse
from pathlib import Path
from typing import Any

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.evaluation.backtest import lines
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
    """Trains; what it found is also what the verb answers."""
    before = workspace.releases.champion()
    with terminal.stage("train") as stage, terminal.progress() as progress, workspace.exclusive("trainer"):
        release, report = train(workspace, progress, promote=promote)
        stage.counts(f"{release.name} from {release.manifest.lineage.log_to:,} records")
    text = lines(report) if report else ["too little history to hold a stretch back: not evaluated"]
    undo = f"vernal rollback --to {before}" if promote and before else ""
    after = workspace.releases.champion()
    value: dict[str, Any] = {"release": release.name, "metrics": release.manifest.metrics, "before": before, "after": after, "undo": undo}
    changed = f"in charge: {before or 'none'} -> {after}" if promote else f"in charge: {before or 'none'} still"
    return Answer(value, "\n".join([*text, "", changed, *([f"undo: {undo}"] if undo else [])]))
