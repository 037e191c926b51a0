"""`vernal canary status|hold|abort`: the release on trial, who meets it, what is known of it; and what only a person may decide."""

import argparse
import getpass
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.releases import moment
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.rollout.shares import traffic_of
from vernal.rollout.trying import Look, abort, hold, read_look, steps_of

SHOWN = 12  # steps


def arguments(parser: VerbParser) -> None:
    parser.add_argument("act", choices=["status", "hold", "abort"], help="what to do")
    parser.add_argument("--reason", default="asked for on the command line", help="kept with the change")
    parser.add_argument("--by", metavar="NAME", help="who says so instead of who is logged in")
    parser.add_argument("--release-hold", action="store_true", help="with hold: let the keeper go on")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError where something is to be done and nothing is on trial."""
    del terminal
    by = options.by or getpass.getuser()
    with Workspace.open(Path(options.config)) as workspace:
        if options.act == "status":
            return status(workspace)
        before = traffic_of(workspace).canary
        if options.act == "abort":
            gone = abort(workspace, by, options.reason)
            return Answer({"before": gone, "after": None}, f"{gone.release}: {100 * gone.share:g} % of users -> nobody\n{gone.against} answers everybody")
        kept = hold(workspace, by, options.reason, held=not options.release_hold)
    undo = "" if options.release_hold else "\nundo: vernal canary hold --release-hold"
    return Answer(
        {"before": before, "after": kept}, f"{kept.release} stays at {100 * kept.share:g} % of users{undo}" if kept.held else f"{kept.release} goes on"
    )


def status(workspace: Workspace) -> Answer:
    canary, look, steps = traffic_of(workspace).canary, read_look(workspace.data), steps_of(workspace.data).all(SHOWN)
    said = (
        [f"{canary.release} meets {100 * canary.share:g} % of users, against {canary.against}{', held' * canary.held}"] if canary else ["nothing is on trial"]
    )
    if canary and look and look.canary.release == canary.release:
        said += told(look)
    rows = [[moment(step.at), step.release, step.act, f"{100 * step.share:g} %", step.reason, step.by] for step in reversed(steps)]
    text = "\n".join(said) + ("\n\n" + table(["when", "release", "act", "share", "why", "by"], rows) if rows else "")
    return Answer(msgspec.to_builtins({"canary": canary, "look": look if canary else None, "steps": steps}), text)


def told(look: Look) -> list[str]:
    """What the last look saw."""
    left_out = look.left_out.sentence()
    return [f"last look: {look.verdict.act}: {look.verdict.reason}", *([f"left out: {left_out}"] if left_out else [])]
