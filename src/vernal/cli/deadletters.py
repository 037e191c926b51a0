"""`vernal deadletters`: what was refused and why; `replay` offers it again after a fix."""

import argparse
from collections import Counter
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.releases import moment
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import shown
from vernal.events.again import decoder


def arguments(parser: VerbParser) -> None:
    parser.add_argument("act", nargs="?", choices=["list", "replay", "clear"], default="list", help="show them, take them in again, or throw them away")
    parser.add_argument("--last", type=int, metavar="N", default=20, help="how many of the newest to show")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    with Workspace.open(Path(options.config)) as workspace:
        if options.act == "replay":
            return replayed(workspace, terminal)
        if options.act == "clear":
            gone = workspace.dead_letters.clear()
            return Answer({"cleared": gone}, f"threw {gone} dead letters away")
        return listed(workspace, options.last)


def replayed(workspace: Workspace, terminal: Terminal) -> Answer:
    with terminal.stage("replay") as stage:
        done = workspace.dead_letters.replay(decoder(workspace.settings, workspace.clock.now()), workspace.log)
        stage.counts(f"{done.taken:,} taken, {done.still_refused:,} still refused")
    return Answer(msgspec.to_builtins(done), f"taken {done.taken}, still refused {done.still_refused}", status=1 if done.still_refused else 0)


def listed(workspace: Workspace, last: int) -> Answer:
    """The newest letters, and how many there are for each reason."""
    letters = list(workspace.dead_letters.read())
    reasons = Counter(f"{letter.rejection.code} expected {letter.rejection.expected}" for letter in letters)
    newest = letters[-last:] if last > 0 else []
    rows = [[moment(x.at), x.source, x.rejection.message, shown(x.rejection.raw, 60)] for x in newest]
    summary = "\n".join(f"{n:>8,}  {reason}" for reason, n in reasons.most_common())
    text = f"{table(['refused', 'by way of', 'reason', 'what was sent'], rows)}\n\n{summary}" if letters else "no dead letters"
    return Answer({"count": len(letters), "reasons": reasons, "letters": [msgspec.to_builtins(letter) for letter in newest]}, text)
