"""`vernal acknowledge`: a person saw what the alarms say and dealt with it; what they held goes on."""

import argparse
import getpass
from pathlib import Path

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.errors import StateError
from vernal.monitoring.watchman import Watchman
from vernal.rollout.acknowledging import Acknowledgement, ask


def arguments(parser: VerbParser) -> None:
    parser.add_argument("note", nargs="?", default="", help="what was done about it; kept with the alarms")
    parser.add_argument("--by", metavar="NAME", help="who says so instead of who is logged in")
    parser.add_argument("--usual", action="store_true", help="what changed is how it is meant to be from now on; otherwise it was a fault and is left out")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Does it at once, or leaves it to the keeper of a running server, which does it at its next look."""
    del terminal
    asked = Acknowledgement(options.by or getpass.getuser(), options.note, options.usual)
    with Workspace.open(Path(options.config)) as workspace:
        watchman = Watchman(workspace, workspace.data / "monitoring")
        standing = watchman.standing_alarms
        try:
            with workspace.exclusive("keeper"):
                watchman.acknowledge(asked.by, asked.note, usual=asked.usual)
                done = "acknowledged"
        except StateError:
            ask(watchman.folder, asked, workspace.clock.now())
            done = "to be acknowledged by the running server at its next look"
    return Answer({"alarms": len(standing), "done": done}, f"{len(standing)} alarms {done}" if standing else "no alarm stands")
