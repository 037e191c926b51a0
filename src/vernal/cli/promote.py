"""`vernal promote RELEASE`: a release that passed the gate in charge, with what was before and how to undo it."""

import argparse
from pathlib import Path

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.rollout.gate import open_alarms, promote


def arguments(parser: VerbParser) -> None:
    parser.add_argument("release", metavar="RELEASE", help="a release that `vernal gate` judged")
    parser.add_argument("--reason", default="asked for on the command line", help="kept with the promotion")
    parser.add_argument(
        "--in-spite-of-the-gate", metavar="REASON", default="", help="take a refused one all the same; the reason is signed into its certificate"
    )


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises GateError for a release that was not judged, or refused, or whose certificate does not hold: then nothing changes."""
    del terminal
    with Workspace.open(Path(options.config)) as workspace:
        before = workspace.releases.champion()
        asked = {"by": "a person on the command line", "in_spite": options.in_spite_of_the_gate}
        promotion = promote(workspace, options.release, options.reason, **asked, holds=open_alarms(workspace))
    undo = f"vernal rollback --to {before}" if before else ""
    value = {"before": before, "after": promotion.release, "number": promotion.number, "undo": undo}
    return Answer(value, "\n".join([f"in charge: {before or 'none'} -> {promotion.release}", *([f"undo: {undo}"] if undo else [])]))
