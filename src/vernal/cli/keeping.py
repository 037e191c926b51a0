"""What the supervisor of `vernal serve` starts behind everything else, the keeper, and what that starts, a trainer."""

import sys
from pathlib import Path

from vernal.app import Workspace
from vernal.cli.serve import child_command
from vernal.errors import VernalError
from vernal.rollout.processes import keep, train_once
from vernal.serving.children import this_child


def main(file: Path) -> int:
    """Does the work of the child this is; an error of ours is a sentence on stderr, not a traceback."""
    try:
        child = this_child()
        with Workspace.open(file) as workspace:
            if child.role == "trainer":
                train_once(workspace, child)
            else:
                keep(workspace, child, child_command(file, "trainer", 0))
    except VernalError as error:
        print(f"{error.code} {error.sentence()}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
