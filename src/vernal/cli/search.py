"""`vernal search TEXT`: one slate of what matches a text, made here and now from the release in charge and the state as it stands."""

import argparse
from pathlib import Path

from vernal.app import Workspace
from vernal.cli.recommend import answered, reason, wanted
from vernal.cli.standing import Standing
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.ranking.request import Request


def arguments(parser: VerbParser) -> None:
    parser.add_argument("text", help="what to look for; empty = a feed")
    parser.add_argument("-u", "--user", default="", help="for whom")
    parser.add_argument("--scenario", default="search", help="where the slate would appear")
    parser.add_argument("-n", "--n", type=int, help="how many items instead of the scenario's number")
    parser.add_argument("--filter", action="append", default=[], metavar="NAME=VALUE", help="only items with this attribute value; may be given several times")
    parser.add_argument("--seed", type=int, default=0, help="seed of exploration")
    parser.add_argument("--explain", action="store_true", help="say why, item by item")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError for an unknown scenario, attribute or value."""
    request = Request(user=options.user, q=options.text.strip(), scenario=options.scenario, n=options.n, filter=wanted(options.filter), explain=options.explain)
    with Workspace.open(Path(options.config)) as workspace:
        value = answered(Standing(workspace, terminal), request, options.seed)
    rows = [[place, item["item"], item.get("title", ""), *parts(item), item["score"]] for place, item in enumerate(value["items"], 1)]
    text = table(["", "item", "title", "lexical", "semantic", "relevance", "personal", "score"], rows)
    if options.explain:
        text = "\n".join(f"{line}\n{reason(item)}" for line, item in zip(text.splitlines()[1:], value["items"], strict=True))
    foot = [f"release {value['release'] or 'none yet'}, rung {value['rung']}", *value["notes"]]
    return Answer(value, "\n".join([text, "", *foot]))


def parts(item: dict[str, object]) -> list[object]:
    """The parts of a hit's score, as columns."""
    match = item.get("match")
    return [match[name] for name in ("lexical", "semantic", "relevance", "personal")] if isinstance(match, dict) else ["", "", "", ""]
