"""`vernal recommend USER`: one slate, made here and now from the release in charge and the state as it stands."""

import argparse
import textwrap
from pathlib import Path
from typing import Any

import msgspec

from vernal.app import Workspace
from vernal.cli.standing import Standing
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import RequestError
from vernal.ranking.request import Request
from vernal.serving.answers import slate_answer


def arguments(parser: VerbParser) -> None:
    parser.add_argument("user", help="for whom; somebody unknown gets what is popular")
    parser.add_argument("--scenario", default="home", help="where the slate would appear")
    parser.add_argument("-n", "--n", type=int, help="how many items instead of the scenario's number")
    parser.add_argument("--filter", action="append", default=[], metavar="NAME=VALUE", help="only items with this attribute value; may be given several times")
    parser.add_argument("--exclude", action="append", default=[], metavar="ITEM", help="never this item; may be given several times")
    parser.add_argument("--similar", metavar="ITEM", help="items similar to this one instead")
    parser.add_argument("--seed", type=int, default=0, help="seed of exploration")
    parser.add_argument("--explain", action="store_true", help="say why, item by item")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError for an unknown scenario, attribute or value."""
    with Workspace.open(Path(options.config)) as workspace:
        value = answered(Standing(workspace, terminal), request_of(options), options.seed)
    rows = [[place, item["item"], item.get("title", ""), item["score"], " ".join(item["sources"])] for place, item in enumerate(value["items"], 1)]
    text = table(["", "item", "title", "score", "sources"], rows)
    if options.explain:
        text = "\n".join(f"{line}\n{reason(item)}" for line, item in zip(text.splitlines()[1:], value["items"], strict=True))
    foot = [f"release {value['release'] or 'none yet'}, rung {value['rung']}", *value["notes"]]
    return Answer(value, "\n".join([text, "", *foot]))


def wanted(filters: list[str]) -> dict[str, str | list[str]]:
    """The filter that the options say."""
    found: dict[str, str | list[str]] = {}
    for text in filters:
        name, is_pair, value = text.partition("=")
        if not is_pair:
            raise RequestError.invalid("--filter", text, "NAME=VALUE")
        found[name] = [*found.get(name, []), value]
    return found


def request_of(options: argparse.Namespace) -> Request:
    scenario = "similar" if options.similar and options.scenario == "home" else options.scenario
    return Request(
        user=options.user,
        scenario=scenario,
        n=options.n,
        filter=wanted(options.filter),
        exclude=options.exclude,
        item=options.similar or "",
        explain=options.explain,
    )


def answered(standing: Standing, request: Request, seed: int = 0) -> dict[str, Any]:
    """What `POST /v1/recommend` would answer now, as plain values; there is no deadline here, and nothing is logged."""
    now = standing.workspace.clock.now()
    ranked = standing.recommender.recommend(request, standing.user(request.user, now), standing.live, now, seed)
    answer: dict[str, Any] = msgspec.to_builtins(slate_answer(ranked, request, ""))
    return {"notes": [], **answer}


def reason(item: dict[str, Any]) -> str:
    return textwrap.fill(item["why"]["sentence"], 110, initial_indent="     ", subsequent_indent="     ") if "why" in item else ""
