"""`vernal serve`: API workers, the stream worker and the keeper, until Ctrl-C."""

import argparse
import sys
from pathlib import Path

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.serving.children import Role
from vernal.serving.supervisor import Supervisor


def arguments(parser: VerbParser) -> None:
    parser.add_argument("--host", help="address to listen on instead of serving.host; anything but loopback requires keys")
    parser.add_argument("--port", type=int, help="port instead of serving.port; 0 = any free one")
    parser.add_argument("--workers", type=int, help="API worker processes instead of serving.workers")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Serves until it is stopped, then drains.

    Raises
    ------
    StateError
        Another server runs on this data.
    EnvironmentProblem
        The port is in use.
    """
    file = Path(options.config).resolve()
    with Workspace.open(file) as workspace:
        return served(file, workspace, options, terminal)


def served(file: Path, workspace: Workspace, options: argparse.Namespace, terminal: Terminal) -> Answer:
    serving, _ = workspace.settings.serving, workspace.tracker  # a store that cannot be written to is said before anything starts
    supervisor = Supervisor(
        workspace,
        command=lambda role, index: child_command(file, role, index),
        host=options.host or serving.host,
        port=serving.port if options.port is None else options.port,
        workers=options.workers or serving.workers,
        say=terminal.say,
    )
    supervisor.run(lambda ready: terminal.say(f"{ready.address} answers; the try-it page is there too, Ctrl-C stops it"))
    return Answer({"address": supervisor.address, "stopped": True}, "")


def child_command(file: Path, role: Role, index: int) -> list[str]:
    """The command line of one child; who it is comes in its environment, the words after the file only name it in `ps`."""
    return [sys.executable, "-m", f"vernal.cli.{'child' if role in ('api', 'stream') else 'keeping'}", str(file), role, str(index)]
