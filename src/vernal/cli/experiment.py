"""`vernal experiment start|stop|result`: ways to answer side by side on users drawn for it, with intervals that hold at every look."""

import argparse
import getpass
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import RequestError
from vernal.rollout.experiments import Asked, Comparison, parsed, read_comparisons, result, start, stop
from vernal.serving.traffic import Variant


def arguments(parser: VerbParser) -> None:
    parser.add_argument("act", choices=["start", "stop", "result"], help="what to do")
    parser.add_argument("name", nargs="?", default="", help="of the experiment; with result and without a name: everything that runs, and the holdout")
    parser.add_argument(
        "--variant", action="append", default=[], metavar="NAME[:WAY]",
        help="a way to answer, the first is what others are compared with; WAY: a release, or settings as scenarios.home.temperature=0.5; by default as now",
    )  # fmt: skip
    parser.add_argument("--share", type=float, default=0.5, help="of the users outside the holdout and earlier experiments")
    parser.add_argument("--interleaved", action="store_true", help="draft every slate from both variants, which tells them apart with far fewer answers")
    parser.add_argument("--by", metavar="NAME", help="who says so instead of who is logged in")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError and ReleaseError for an experiment that cannot be, or is not there."""
    del terminal
    by = options.by or getpass.getuser()
    with Workspace.open(Path(options.config)) as workspace:
        if options.act == "start":
            begun = start(workspace, by, msgspec.convert(asked(options), Asked))
            return Answer(begun, f"{begun.name}: {100 * begun.share:g} % of users, in {len(begun.arms)} arms\nundo: vernal experiment stop {begun.name}")
        if options.act == "stop":
            return shown([stop(workspace, by, options.name)])
        return shown([result(workspace, options.name)] if options.name else read_comparisons(workspace.data))


def asked(options: argparse.Namespace) -> dict[str, object]:
    if not options.name:
        raise RequestError.invalid("name", "none", "a name for the experiment")
    pairs = [text.partition(":") for text in options.variant]
    if len(pairs) < 2:
        raise RequestError.invalid("--variant", len(pairs), "two or more", "for example --variant as-is --variant bold:scenarios.home.temperature=0.5")
    ways = [(name, parsed(way)) for name, _, way in pairs]
    variants = [Variant(name=name, release=release, settings=settings) for name, (release, settings) in ways]
    return {"name": options.name, "variants": variants, "share": options.share, "interleaved": options.interleaved}


def shown(found: list[Comparison]) -> Answer:
    texts = []
    for each in found:
        rows = [[arm.arm, f"{arm.users:,}", f"{arm.shown:,}", f"{arm.clicks:,}", f"{100 * arm.rate:.2f} %"] for arm in each.arms]
        parts = [f"{each.name} since {each.since}", table(["arm", "users", "shown", "clicks", "rate"], rows), each.sentence]
        texts.append("\n".join([*parts, *([f"left out: {each.left_out}"] if each.left_out else [])]))
    return Answer(msgspec.to_builtins(found), "\n\n".join(texts) or "nothing runs, and nothing was counted yet")
