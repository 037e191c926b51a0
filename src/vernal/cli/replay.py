"""`vernal replay`: the whole loop run over the past under several policies; with `--rec-id X`, one past answer made again byte for byte."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.events.times import to_us
from vernal.replay.answer import Replayed, replay
from vernal.replay.loop import CADENCES, Outcome, Story, course, day, replayed, thrifty
from vernal.replay.picture import picture
from vernal.replay.space import Past

DIFFERS = 1


def arguments(parser: VerbParser) -> None:
    parser.add_argument("--rec-id", help="make this one answer again, as it named itself, instead of the loop")
    parser.add_argument("--release", help="with --rec-id: ask another release: what would it have answered at that moment?")
    parser.add_argument("--from", dest="begin", metavar="DATE", help="first look; default: eight weeks into the log")
    parser.add_argument("--to", dest="end", metavar="DATE", help="default: the end of the log")
    parser.add_argument("--policy", action="append", choices=list(CADENCES), help="one policy, may be given again; default: all")
    parser.add_argument("--every", default="7d", metavar="DURATION", help="time between two looks; a policy cannot train more often")
    parser.add_argument("--full", action="store_true", help="train as `vernal train` does; default: from fewer requests, so that it takes minutes")
    parser.add_argument("--out", default="replay", metavar="FOLDER", help="where replay.json and replay.svg go")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError for a slate that is not in the log or a stretch without a step, ReleaseError for a release that is not kept."""
    with Workspace.open(Path(options.config)) as workspace:
        return answered(workspace, options, terminal) if options.rec_id else looped(workspace, options, terminal)


def looped(workspace: Workspace, options: argparse.Namespace, terminal: Terminal) -> Answer:
    """The loop over the past."""
    with terminal.stage("read") as stage:
        past = Past(workspace)
        stage.counts(f"{len(past.history):,} events, {day(past.stretch[0])} to {day(past.stretch[1])}")
    begin, end = (moment(text, workspace) if text else None for text in (options.begin, options.end))
    chosen = course(past, begin, end, options.every, options.policy or list(CADENCES))
    settings = workspace.settings if options.full else thrifty(workspace.settings)
    with terminal.stage("replay") as stage, tempfile.TemporaryDirectory(dir=workspace.data, prefix="replay-") as folder:
        story, spent = replayed(past, chosen, Path(folder), settings, terminal.say)
        stage.counts(f"{len(story.units)} looks, {spent['trainings']:.0f} CPU s of training, {spent['asking']:.0f} of asking")
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "replay.json").write_bytes(msgspec.json.format(msgspec.json.encode(story), indent=1))
    (out / "replay.svg").write_text(picture(story), encoding="utf-8")
    value: dict[str, Any] = {"story": msgspec.to_builtins(story), "cpu_s": spent, "files": [str(out / "replay.json"), str(out / "replay.svg")]}
    return Answer(value, "\n".join([told(story, spent), "", f"written: {out / 'replay.json'}, {out / 'replay.svg'}"]))


def moment(text: str, workspace: Workspace) -> int:
    """UTC us of a date or a time as it is written on the command line."""
    return to_us(text, "rfc3339", workspace.settings.events.timezone, "--from, --to")


def told(story: Story, spent: dict[str, float]) -> str:
    """The table of a story, and its incidents."""
    headings = ["policy", "trainings", "CPU s", "refused", "alarms", story.metric, "against fresh", "worst week", "incidents", "too old", "unknown items"]
    rows = [row(found, spent[found.policy]) for found in story.outcomes]
    incidents = [f"{found.policy} was stale {day(begin)} to {day(end)}" for found in story.outcomes for begin, end in found.incidents]
    return "\n".join([table(headings, rows), *([""] if incidents else []), *incidents])


def row(found: Outcome, cpu_s: float) -> list[object]:
    percent = [f"{100 * share:+.1f} %" for share in (found.against_fresh, found.worst_week)]
    counts = [found.trainings, round(cpu_s), found.refusals, found.alarms]
    return [found.policy, *counts, found.quality, *percent, len(found.incidents), found.age_breaches, found.unknown_breaches]


def answered(workspace: Workspace, options: argparse.Namespace, terminal: Terminal) -> Answer:
    """One past answer, made again."""
    with terminal.stage("replay") as stage:
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
