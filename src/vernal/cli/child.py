"""What the supervisor of `vernal serve` starts: one API worker or the stream worker, with the routes of the console and the rollout among its own."""

import sys
from pathlib import Path

from vernal.app import Workspace
from vernal.console.routes import console_routes
from vernal.errors import VernalError
from vernal.rollout.routes import rollout_routes
from vernal.serving.worker import run_child


def main(file: str) -> int:
    """Does a child's work; an error of ours is a sentence on stderr, not a traceback."""
    try:
        with Workspace.open(Path(file)) as workspace:
            run_child(workspace, [*console_routes(), *rollout_routes(workspace)])
    except VernalError as error:
        print(f"{error.code} {error.sentence()}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
