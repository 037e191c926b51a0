"""`vernal demo`: a grocery shop from its log to live recommendations, in one command, left running with a page to try it."""

import argparse
import contextlib
import socket
from pathlib import Path
from typing import Any, Final

from vernal import clock
from vernal.app import Workspace
from vernal.cli.import_ import imported
from vernal.cli.serve import child_command
from vernal.cli.shop import TOML, write_shop
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.cli.tour import Shopper, tour
from vernal.cli.train import trained
from vernal.serving.supervisor import Supervisor

LOOPBACK: Final = "127.0.0.1"


def arguments(parser: VerbParser) -> None:
    parser.add_argument("folder", nargs="?", default="demo", help="where to put the shop; delete it to start over")
    parser.add_argument("--households", type=int, metavar="N", help="only so many of the 2,469, for a quick look")
    parser.add_argument("--port", type=int, help="port of the server instead of serving.port, or of any free one when that is taken")
    parser.add_argument("--stop", action="store_true", help="stop the server after the tour instead of leaving it running")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Stages that were done before are not done again: the shop, the import and the first release are kept."""
    file = Path(options.folder).resolve() / TOML
    opened(file, options.households, terminal)
    with Workspace.open(file) as workspace:
        imported(workspace, terminal)
        if workspace.releases.champion() is None:
            (terminal.say if options.json else terminal.write)(trained(workspace, terminal).text)
        return served(file, workspace, options, terminal)


def opened(file: Path, households: int | None, terminal: Terminal) -> None:
    """Writes the shop unless it is there."""
    if file.exists():
        return
    with terminal.stage("write") as stage:
        shop = write_shop(file.parent, clock.SystemClock().now(), households)
        stage.counts(f"{shop.purchases:,} purchases of {shop.households:,} households, {shop.products:,} products, moved {shop.days_moved:,} days to end today")


def served(file: Path, workspace: Workspace, options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Runs the server, and the tour once it is ready."""
    found: dict[str, Any] = {}

    def on_ready(supervisor: Supervisor) -> None:
        stage.close()
        with contextlib.closing(Shopper(supervisor.host, supervisor.port)) as shopper:
            found.update(tour(shopper, terminal.say if options.json else terminal.write))
        if options.stop:
            supervisor.stop()
        else:
            terminal.say(f"\nTry it yourself: {supervisor.address}    (Ctrl-C stops the server; `make demo` starts it again)")
            terminal.say("What it does when things go wrong: `vernal drill outage`, or any other of `vernal drill --help`")

    with contextlib.ExitStack() as stage:
        started = stage.enter_context(terminal.stage("serve"))
        started.counts(f"{workspace.settings.serving.workers} API workers and the stream worker are ready")
        supervisor = Supervisor(
            workspace,
            command=lambda role, index: child_command(file, role, index),
            host=LOOPBACK,
            port=free_port(workspace.settings.serving.port) if options.port is None else options.port,
            workers=workspace.settings.serving.workers,
            say=lambda line: None if line.startswith(("started", "stopped")) else terminal.say(line),
        )
        supervisor.run(on_ready)
    return Answer({"address": supervisor.address, **found}, "")


def free_port(wanted: int) -> int:
    """The port, or 0 (any) when something listens there."""
    with socket.socket() as probe:
        return 0 if probe.connect_ex((LOOPBACK, wanted)) == 0 else wanted
