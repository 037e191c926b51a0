"""`vernal drill`: something goes wrong in a temporary shop full of simulated people, and it is told what the server made of it."""

import argparse
import contextlib
import tempfile
import threading
from pathlib import Path

import msgspec

from vernal.cli.drilling import CLOCK, drill_command, drilled
from vernal.cli.shop import TOML as FILE
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.clock import SharedClock
from vernal.errors import EnvironmentProblem, VernalError
from vernal.replay import drills
from vernal.replay.drillpicture import picture
from vernal.replay.drills import CALM, DRILLS, Drilled, Shop, lived, toml_of, world_of
from vernal.replay.simulator import World
from vernal.serving.supervisor import Supervisor
from vernal.training.train import train

ALL = "all"
LOOPBACK = "127.0.0.1"
FAILED = 1
YARDSTICK = "Recovered: 90 % of the yardstick, which is before; of what lasts, a twin shop's on the last two days, in which it was always so."


def arguments(parser: VerbParser) -> None:
    parser.add_argument("name", choices=[*DRILLS, ALL], help="what goes wrong")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated people")
    parser.add_argument("--out", default="drills", metavar="FOLDER", help="where drills.json and drills.svg go")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Exit status 1 when something was not noticed, or nothing was, or CTR did not come back."""
    names = list(DRILLS) if options.name == ALL else [options.name]
    found = [whole(name, options.seed, terminal) for name in names]
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "drills.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    (out / "drills.svg").write_text(picture(found), encoding="utf-8")
    good = all(each.recovered and bool(each.noticed) == (each.name != CALM) for each in found)
    return Answer(msgspec.to_builtins(found), "\n".join([told(found), "", f"written: {out / 'drills.json'}, {out / 'drills.svg'}"]), 0 if good else FAILED)


def whole(name: str, seed: int, terminal: Terminal) -> Drilled:
    """One drill, and where it is about what lasts, its twin."""
    found = one(name, name, world_of(DRILLS[name], seed), terminal)
    if not DRILLS[name].lasts:
        return found
    return drills.beside(found, one(name, f"{name}, the twin", world_of(DRILLS[name], seed, always=True), terminal))


def one(name: str, label: str, world: World, terminal: Terminal) -> Drilled:
    """The days of a drill in a world, in a shop of its own that is gone afterwards."""
    made, failed = list[Drilled](), list[VernalError]()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stage:
        file = Path(folder) / FILE
        file.write_text(toml_of(DRILLS[name]), encoding="utf-8")
        with drilled(file, world.begin) as workspace:
            clock = SharedClock(file.with_name(CLOCK))
            lived(workspace, clock, world, DRILLS[name].course)
            train(workspace)
            counted = stage.enter_context(terminal.stage(label))

            def shopped(supervisor: Supervisor) -> None:
                try:
                    shop = Shop(supervisor.host, supervisor.port, clock, world)
                    made.append(drills.drilled(name, shop, workspace, lambda line: terminal.say(f"{label}: {line}")))
                except VernalError as error:
                    failed.append(error)
                except OSError as error:
                    failed.append(EnvironmentProblem("Server", where=name, got=str(error), expected="answers"))
                finally:
                    supervisor.stop()

            Supervisor(
                workspace,
                command=lambda role, index: drill_command(file, role, index),
                host=LOOPBACK,
                port=0,
                workers=workspace.settings.serving.workers,
                say=lambda line: None if line.startswith(("started", "stopped")) else terminal.say(line),
            ).run(lambda ready: threading.Thread(target=shopped, args=(ready,)).start())  # the supervisor goes on tending
            if failed:
                raise failed[0]
            counted.counts(f"{sum(day.requests for day in made[0].days):,} requests in {len(made[0].days)} simulated days")
    return made[0]


def told(found: list[Drilled]) -> str:
    """A table, and what was done each time."""
    headings = ["drill", "noticed after", "requests meanwhile", "before", "during", "after", "yardstick", "recovered", "training held"]
    rows = [
        [
            each.name,
            "never" if each.noticed_after_s is None else f"{each.noticed_after_s / 3_600:.1f} h",
            each.exposed,
            *(f"{100 * share:.0f} %" for share in (each.before, each.during, each.after, each.yardstick)),
            "yes" if each.recovered else "no",
            "yes" if each.held else "no",
        ]
        for each in found
    ]
    words = [line for each in found for line in (f"\n{each.name}: {each.about}.", f"  {each.noticed or 'Nobody noticed.'}", *(f"  {act}" for act in each.done))]
    return "\n".join([table(headings, rows), "Clicks as a share of what the best slates there are would have had.", YARDSTICK, *words])
