"""The processes of a drill's server: those of `vernal serve`, with the one difference that a file says what time it is."""

import os
import sys
from pathlib import Path
from typing import Final

from vernal import config
from vernal.app import Workspace
from vernal.cli.keeping import rehearse
from vernal.clock import SharedClock
from vernal.console.routes import console_routes
from vernal.errors import VernalError
from vernal.rollout.processes import keep, train_once
from vernal.rollout.routes import rollout_routes
from vernal.serving import slates
from vernal.serving.children import Role, this_child
from vernal.serving.worker import run_child

CLOCK: Final = "clock"  # beside vernal.toml, as is
SAID: Final = "server.log"  # what its processes say


def drilled(file: Path, at: int | None = None) -> Workspace:
    """The workspace of a drill, whose clock stands where the drill puts it."""
    return Workspace(file.resolve().parent, config.load(file), SharedClock(file.with_name(CLOCK), at))


def drill_command(file: Path, role: Role, index: int) -> list[str]:
    """The command line of one child."""
    return [sys.executable, "-m", "vernal.cli.drilling", str(file), role, str(index)]


def main(file: Path) -> int:
    """Does the work of the child this is; an error of ours is a sentence on stderr, not a traceback."""
    os.dup2(os.open(file.with_name(SAID), os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno())
    try:
        child = this_child()
        with drilled(file) as workspace:
            if child.role == "trainer":
                train_once(workspace, child, rehearse)
            elif child.role == "keeper":
                keep(workspace, child, drill_command(file, "trainer", 0))
            else:
                slates.EVERY_S = 0.0  # a quarter of a real second would be minutes here
                run_child(workspace, [*console_routes(), *rollout_routes(workspace)])
    except VernalError as error:
        print(f"{error.code} {error.sentence()}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
