"""`vernal replay --rec-id X`: a past answer made again from (release, state as of then, request, seed), and whether the bytes are the same."""

import argparse
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.replay.answer import Replayed, replay

DIFFERS = 1


def arguments(parser: VerbParser) -> None:
    parser.add_argument("--rec-id", required=True, help="which answer, as it named itself")
    parser.add_argument("--release", help="ask another release: what would it have answered at that moment?")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError for a slate that is not in the log, ReleaseError for a release that is not kept."""
    with Workspace.open(Path(options.config)) as workspace, terminal.stage("replay") as stage:
        made = replay(workspace, options.rec_id, options.release)
        stage.counts(f"state as of record {max(made.logged.user_offset, made.logged.item_offset):,}, release {made.logged.release or 'none'}")
    value = {"same": made.same, "differences": made.differences, "notes": made.notes, "logged": made.logged.items, "answer": msgspec.to_builtins(made.answer)}
    counterfactual = options.release is not None
    return Answer(value, described(made, counterfactual=counterfactual), status=0 if made.same or counterfactual else DIFFERS)


def described(made: Replayed, *, counterfactual: bool) -> str:
    """The slate made again beside the logged one, and the verdict."""
    was = {item: place for place, item in enumerate(made.logged.items, 1)}
    rows = [[place, was.get(item.item, "-"), item.item, item.title] for place, item in enumerate(made.answer.items, 1)]
    verdict = "the same bytes" if made.same else f"differs in {', '.join(made.differences)}"
    head = "another release would have answered" if counterfactual else verdict
    return "\n".join([table(["now", "then", "item", "title"], rows), "", head, *made.notes])
