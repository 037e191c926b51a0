"""What the supervisor of `vernal serve` starts behind everything else, the keeper, and what that starts, a trainer."""

import sys
import tempfile
from pathlib import Path

from vernal.app import Workspace
from vernal.cli.serve import child_command
from vernal.errors import VernalError
from vernal.events.schema import Kind
from vernal.rollout.processes import keep, train_once, trained
from vernal.serving.children import this_child
from vernal.testing.village import START_US, village_events, village_items, village_settings


def main(file: Path) -> int:
    """Does the work of the child this is; an error of ours is a sentence on stderr, not a traceback."""
    try:
        child = this_child()
        with Workspace.open(file) as workspace:
            if child.role == "trainer":
                train_once(workspace, child, rehearse)
            else:
                keep(workspace, child, child_command(file, "trainer", 0))
    except VernalError as error:
        print(f"{error.code} {error.sentence()}", file=sys.stderr)
        return error.exit_status
    return 0


def rehearse() -> None:
    """A training of a small village: what a training needs is loaded when it is over."""
    with tempfile.TemporaryDirectory() as folder, Workspace(Path(folder), village_settings()) as village:
        events = village_events(items := village_items(), days=20)
        village.log.append(Kind.ITEMS, items, [START_US] * len(items))
        village.log.append(Kind.EVENTS, events, [event.time for event in events])
        trained(village, judged=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
