"""`vernal rollback`: another release in charge, at once, with what was before and how to undo it."""

import argparse
from pathlib import Path

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser


def arguments(parser: VerbParser) -> None:
    parser.add_argument("--to", metavar="RELEASE", help="this release instead of the previous one")
    parser.add_argument("--reason", default="asked for on the command line", help="kept with the promotion")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises ReleaseError when there is nothing to go back to, or when the release on the way in is damaged: then nothing changes."""
    del terminal
    with Workspace.open(Path(options.config)) as workspace:
        store = workspace.releases
    before = store.champion()
    promotion = store.promote(store.admit(options.to).name, options.reason) if options.to else store.roll_back(options.reason)
    undo = f"vernal rollback --to {before}" if before else ""
    value = {"before": before, "after": promotion.release, "number": promotion.number, "undo": undo}
    return Answer(value, f"in charge: {before or 'none'} -> {promotion.release}\nundo: {undo}")
