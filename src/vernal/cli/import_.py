"""`vernal import`: the files of vernal.toml to the log, with a report of what was dropped and why."""

import argparse
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.events.importing import ImportReport, check_files, import_events


def arguments(parser: VerbParser) -> None:
    parser.add_argument("files", nargs="*", help="events files instead of those in vernal.toml, with the same columns")
    parser.add_argument("--check", action="store_true", help="only say what would be kept and dropped; the log is not touched")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Started again after a crash, it goes on where it was."""
    with Workspace.open(Path(options.config)) as workspace:
        if options.files:
            events = msgspec.structs.replace(workspace.settings.events, files=[str(Path(file).resolve()) for file in options.files])
            workspace.settings = msgspec.structs.replace(workspace.settings, events=events)
        report = checked(workspace, terminal) if options.check else imported(workspace, terminal)
    return Answer(msgspec.to_builtins(report), "\n".join(report.lines()))


def checked(workspace: Workspace, terminal: Terminal) -> ImportReport:
    with terminal.stage("check") as stage:
        report = check_files(workspace.settings, workspace.root, workspace.clock)
        stage.counts(f"{sum(file.kept for file in report.files):,} rows to keep, {dropped(report):,} to drop")
    return report


def imported(workspace: Workspace, terminal: Terminal) -> ImportReport:
    with terminal.stage("import") as stage, terminal.progress() as progress, workspace.exclusive("import"):
        report = import_events(workspace.settings, workspace.root, workspace.log, progress, workspace.clock)
        again = ", the rest was there before" if report.duplicates or any(file.skipped for file in report.files) else ""
        stage.counts(f"{report.appended:,} events, {report.items:,} items, {report.users:,} users, {dropped(report):,} dropped{again}")
    return report


def dropped(report: ImportReport) -> int:
    return sum(sum(file.dropped.values()) for file in report.files)
