"""`vernal rebuild`: the online state from the log again. The log is the source of truth; nothing is lost by this but time."""

import argparse
import shutil
from pathlib import Path

from vernal.app import Workspace
from vernal.cli.standing import fold
from vernal.cli.terminal import Answer, Terminal, VerbParser


def arguments(parser: VerbParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do it; without this, only say what would be done")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises StateError while a server runs on this data."""
    with Workspace.open(Path(options.config)) as workspace:
        return rebuilt(workspace, terminal, sure=options.yes)


def rebuilt(workspace: Workspace, terminal: Terminal, *, sure: bool) -> Answer:
    end = workspace.log.end()
    places = [workspace.place("state", workspace.settings.data.state, "lmdb"), workspace.live_dir]
    if not sure:
        text = f"would delete {', '.join(str(place) for place in places)} and fold {end:,} records of the log again; add --yes"
        return Answer({"records": end, "deletes": [str(place) for place in places], "done": False}, text)
    with workspace.exclusive("server"), workspace.exclusive("stream"):
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
    folded = fold(workspace, terminal)
    return Answer({"records": folded, "done": True}, f"state rebuilt from {folded:,} records")
