"""`vernal explain USER ITEM`: where an item stands for a user, what moves its score, and why it is not shown if it is not."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from vernal.app import Workspace
from vernal.cli.recommend import answered
from vernal.cli.standing import Standing
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import RequestError
from vernal.events.history import HIDDEN
from vernal.ranking.request import Request
from vernal.terms import MAX_N


def arguments(parser: VerbParser) -> None:
    parser.add_argument("user", help="for whom")
    parser.add_argument("item", help="which item")
    parser.add_argument("--scenario", default="home", help="where the slate would appear")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError for an item that neither the log nor the catalogue ever mentioned."""
    with Workspace.open(Path(options.config)) as workspace:
        value = explained(Standing(workspace, terminal), options)
    return Answer(value, described(value))


def explained(standing: Standing, options: argparse.Namespace) -> dict[str, Any]:
    number = standing.live.number(options.item)
    if number is None:
        raise RequestError.invalid("item", options.item, "an item the log or the catalogue has mentioned")
    shown = answered(standing, Request(user=options.user, scenario=options.scenario, n=MAX_N, explain=True))
    places = {item["item"]: place for place, item in enumerate(shown["items"], 1)}
    place = places.get(options.item)
    found = shown["items"][place - 1] if place else pinned(standing, options)
    return {
        "user": options.user,
        "place": place,
        "of": len(places),
        "kept_out_by": None if place else kept_out(standing, options.user, number),
        **(found or {}),
    }


def pinned(standing: Standing, options: argparse.Namespace) -> dict[str, Any] | None:
    """The item scored all the same, by asking for it to be placed first; none when a rule forbids it."""
    asked = Request(user=options.user, scenario=options.scenario, n=1, pin=[options.item], explain=True)
    items: list[dict[str, Any]] = answered(standing, asked)["items"]
    return next((item for item in items if item["item"] == options.item), None)


def kept_out(standing: Standing, user: str, number: int) -> str:
    """What keeps an item out of a user's slates."""
    if standing.live.flags[number] & HIDDEN:
        return "it is hidden or deleted in the catalogue"
    ring = standing.user(user, standing.workspace.clock.now()).ring
    if not standing.workspace.settings.events.repeats and bool(np.any(ring.item == number)):
        return "the user had it already, and events.repeats is false"
    return "no source proposed it among the candidates"


def described(value: dict[str, Any]) -> str:
    head = f"{value.get('title', value.get('item', ''))}: place {value['place']} of {value['of']}" if value["place"] else f"not shown: {value['kept_out_by']}"
    why = value.get("why")
    if not why:
        return head
    rows = [[moved["feature"], "none" if moved["value"] is None else moved["value"], moved["contribution"]] for moved in why["features"]]
    return f"{head}\n{why['sentence']}\n\n{table(['feature', 'value', 'moved the score by'], rows)}"
