"""`vernal features USER [ITEM]`: every feature value as the ranker would see it now."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vernal.app import Workspace
from vernal.cli.standing import Standing
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import RequestError
from vernal.features.pairs import pair_values
from vernal.features.ports import Ring
from vernal.features.weights import hop


def arguments(parser: VerbParser) -> None:
    parser.add_argument("user", help="whose")
    parser.add_argument("item", nargs="?", help="also those of this item, and of the two together")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError for an item that neither the log nor the catalogue ever mentioned."""
    with Workspace.open(Path(options.config)) as workspace:
        return listed(Standing(workspace, terminal), options)


def listed(standing: Standing, options: argparse.Namespace) -> Answer:
    plan, now = standing.workspace.plan, standing.workspace.clock.now()
    user = standing.user(options.user, now)
    values = {"user": named(plan.user_names, user.values)}
    if options.item:
        values |= of_item(standing, options.item, user.ring, hop(now))
    rows = [[kind, name, "none" if number is None else number] for kind, numbers in values.items() for name, number in numbers.items()]
    return Answer({"events": len(user.ring.time), **values}, f"{len(user.ring.time):,} recent events\n\n{table(['of', 'feature', 'value'], rows)}")


def of_item(standing: Standing, item: str, ring: Ring, at: int) -> dict[str, dict[str, float | None]]:
    """The values of an item and of the pair."""
    number = standing.live.number(item)
    if number is None:
        raise RequestError.invalid("item", item, "an item the log or the catalogue has mentioned")
    plan, live = standing.workspace.plan, standing.live
    pair = np.empty((1, len(plan.pair_names)), np.float32)
    pair_values(plan, ring, at, np.array([number], np.int32), live.attributes, pair)
    return {"item": named(plan.item_names, live.values[number]), "pair": named(plan.pair_names, pair[0])}


def named(names: Sequence[str], values: NDArray[np.float32]) -> dict[str, float | None]:
    """Values by name; what is unknown (NaN) is none."""
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, values, strict=True)}
