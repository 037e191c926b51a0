"""`vernal drift`: what is not as usual, how much, since when; and when nothing is, how much that says."""

import argparse
from contextlib import suppress
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import StateError
from vernal.monitoring.drift import DriftReport, StreamDrift
from vernal.monitoring.watchman import Watchman

SHOWN = 3  # columns of a stream, those with the strongest evidence


def arguments(parser: VerbParser) -> None:
    parser.add_argument("--all", action="store_true", help="every column, not only those with the strongest evidence")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Judges what is over by now, unless a running server does that itself."""
    with Workspace.open(Path(options.config)) as workspace:
        watchman = Watchman(workspace, workspace.data / "monitoring")
        with suppress(StateError), workspace.exclusive("keeper"), terminal.stage("watch") as stage:
            stage.counts(f"{len(watchman.step(workspace.clock.now()))} windows judged")
        report = watchman.report()
    return Answer(msgspec.to_builtins(report), "\n\n".join(lines(report, 10_000 if options.all else SHOWN)))


def lines(report: DriftReport, most: int) -> list[str]:
    """The report as a person reads it: alarms, then silence, then the numbers."""
    told = [f"{alarm.severity} {alarm.sentence}" + (f" Acknowledged by {alarm.acknowledged}" if alarm.acknowledged else "") for alarm in report.alarms]
    promised = f"A product where all is as usual has a chance of {report.promise:.2%} ever to raise an alarm; {report.spent:.2%} of it was spent so far."
    rows = [row for stream in report.streams for row in rows_of(stream, most)]
    numbers = [table(["column", "statistic", "usual", "now", "shift", "95 %", "evidence"], rows)] if rows else []
    return [*told, *filter(None, [report.quiet, report.caveat]), *numbers, *([promised] if report.streams else [])]


def rows_of(stream: StreamDrift, most: int) -> list[list[object]]:
    """The strongest move of each column; evidence 1 rings."""
    strongest = sorted(stream.columns, key=lambda column: -column.log_e)[:most]
    moves = [(stream.name if column.kind == "" else column.name, column.moves[0]) for column in strongest]
    return [
        [name, m.statistic, f"{m.usual:.4g}", f"{m.now:.4g}", f"{m.shift:+.3f}", f"{m.low:+.3f}..{m.high:+.3f}", f"{share(m.log_e, stream.threshold):.2f}"]
        for name, m in moves
    ]


def share(log_e: float, threshold: float) -> float:
    return max(log_e, 0.0) / threshold
