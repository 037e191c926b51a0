"""`vernal audit`: features of served slates recomputed from the log; anything but 0 differing values is a fault."""

import argparse
from pathlib import Path
from typing import Any

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import TrainingError
from vernal.features.audit import AuditReport, audit
from vernal.ranking.features import feature_names

SKEWED = 1


def arguments(parser: VerbParser) -> None:
    parser.add_argument("--after", type=int, default=0, metavar="OFFSET", help="only slates logged after this record of the log")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises TrainingError when no slate was served on the full rung: nothing was compared, and that is not the same as no difference."""
    with Workspace.open(Path(options.config)) as workspace, terminal.stage("audit") as stage:
        names = feature_names(workspace.plan)
        report = audit(workspace.log, workspace.archive, workspace.plan, workspace.settings, names, after=options.after, seed=options.seed)
        stage.counts(f"{report.values:,} values of {report.rows:,} items in {report.slates:,} slates")
    if not report.values:
        raise TrainingError.too_little("skew audit", "no slate served on the full rung", "at least one")
    value: dict[str, Any] = {**report._asdict(), "rate": report.rate, "examples": [example._asdict() for example in report.examples]}
    return Answer(value, described(report), status=SKEWED if report.mismatches else 0)


def described(report: AuditReport) -> str:
    head = f"{report.mismatches:,} of {report.values:,} values differ"
    if not report.examples:
        return head
    return f"{head}\n\n{table(['answer', 'item', 'feature', 'served', 'recomputed'], report.examples)}"
