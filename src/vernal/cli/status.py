"""`vernal status`: the release in charge and its age, the next training and its reason, staleness, holds, what was done last."""

import argparse
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.rollout.status import Status, status_of


def arguments(parser: VerbParser) -> None:
    del parser


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Reads what the keeper wrote down; a running server is not disturbed."""
    del terminal
    with Workspace.open(Path(options.config)) as workspace:
        status = status_of(workspace)
    parts = [table(["", ""], list(told(status).items())).split("\n", 1)[1]]
    if status.trainings:
        rows = [[t.at, t.outcome, t.release, f"{t.took_s:.0f} s" if t.took_s else "", t.reason, t.note] for t in status.trainings]
        parts.append(table(["training", "outcome", "release", "took", "why", "then"], rows))
    if status.decisions:
        parts.append(table(["decision", "act", "reason"], [[d.at, d.act, d.reason] for d in status.decisions]))
    return Answer(msgspec.to_builtins(status), "\n\n".join(parts))


def told(status: Status) -> dict[str, str]:
    """How it stands, by what it is about."""
    charge, stale, found = status.in_charge, status.staleness, {}
    found["in charge"] = f"{charge.name} since {charge.since}: {charge.reason}" if charge else "no release yet; run `vernal train`"
    if charge:
        found["age"] = f"{charge.age_s / 3_600:.1f} h: it knows everything until {charge.knows_until}" if charge.age_s else "nothing came that it does not know"
    if status.on_trial:
        found["on trial"] = f"{status.on_trial}; `vernal canary status` tells more"
    found["looked"] = status.looked or f"never; rollout.mode is {status.mode}, and looks are made while `vernal serve` runs"
    if status.next_training:
        found["next"] = f"a training at {status.next_training} if nothing happens: {status.next_reason}"
    if stale:
        regret = (
            f"{stale.predicted_regret:.1%} predicted regret, {stale.price:.2%} a unit of age"
            if stale.predicted_regret is not None and stale.price is not None
            else ""
        )
        found["stale"] = f"{regret or 'regret is not known yet'}; {stale.incidents} incidents; {stale.unknown_share:.1%} of events on items it never saw"
    return found | {f"hold {number}": sentence for number, sentence in enumerate(status.holds, 1)}
