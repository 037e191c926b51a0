"""`vernal doctor`: looks at the machine, the settings and everything on disk, and says what to do about what is wrong."""

import argparse
import os
import platform
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.errors import VernalError

LEAST_FREE_GIB = 1.0
ENVIRONMENT = 3


class Finding(NamedTuple):
    """What one look found."""

    what: str
    fine: bool
    found: str
    hint: str = ""


def arguments(parser: VerbParser) -> None:
    del parser


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises ConfigError when there is no usable vernal.toml: nothing else can be looked at then."""
    del terminal
    with Workspace.open(Path(options.config)) as workspace:
        findings = [look(name, check, workspace) for name, check in CHECKS.items()]
    text = "\n".join(f"{'ok  ' if f.fine else 'BAD '} {f.what:<9} {f.found}" + (f"\n               Hint: {f.hint}" if f.hint else "") for f in findings)
    return Answer([f._asdict() for f in findings], text, status=0 if all(f.fine for f in findings) else ENVIRONMENT)


def look(name: str, check: Callable[[Workspace], Finding], workspace: Workspace) -> Finding:
    """One check; an error of ours is its finding."""
    try:
        return check(workspace)
    except VernalError as error:
        return Finding(name, fine=False, found=error.sentence().split("\n", 1)[0], hint=error.hint)


def machine(_workspace: Workspace) -> Finding:
    return Finding("machine", True, f"Python {platform.python_version()}, {os.cpu_count()} cores")


def disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.data).free / 2**30
    fine = free >= LEAST_FREE_GIB
    return Finding("disk", fine, f"{free:.1f} GiB free at {workspace.data}", "" if fine else "free some space; without it nothing can be made durable")


def settings(workspace: Workspace) -> Finding:
    found = workspace.settings
    return Finding(
        "settings", True, f"event types {', '.join(found.events.types)}; {len(workspace.plan.names)} features; fingerprint {found.fingerprint()[:8]}"
    )


def log(workspace: Workspace) -> Finding:
    end = workspace.log.end()
    return Finding("log", True, f"{end:,} records, {len(workspace.log.items_after(0)):,} items", "" if end else "run `vernal import`")


def state(workspace: Workspace) -> Finding:
    """The state follows the log; how far behind it is when no server runs is no fault."""
    place = workspace.place("state", workspace.settings.data.state, "lmdb")
    if not place.exists():
        return Finding("state", True, "none yet; `vernal serve` derives it from the log")
    store = workspace.state()
    offset = store.offset()
    store.close()
    return Finding("state", True, f"reflects {offset:,} of {workspace.log.end():,} records")


def releases(workspace: Workspace) -> Finding:
    """Every byte of the release in charge against its manifest, and its certificate."""
    store = workspace.releases
    champion = store.champion()
    if champion is None:
        return Finding("releases", True, "none yet", "run `vernal train`; until then the server answers with trending items")
    made_with = store.admit(champion).manifest.lineage.plan
    fine = made_with == workspace.plan.fingerprint
    hint = "" if fine else "the feature views changed since; run `vernal train`"
    return Finding("releases", fine, f"{champion} in charge, {len(store.names())} kept, every file as its manifest says", hint)


def letters(workspace: Workspace) -> Finding:
    waiting = len(workspace.dead_letters)
    return Finding("letters", True, f"{waiting:,} dead letters", "`vernal deadletters` shows them with their reasons" if waiting else "")


def port(workspace: Workspace) -> Finding:
    serving = workspace.settings.serving
    with socket.socket() as probe:
        probe.settimeout(1.0)
        taken = probe.connect_ex((serving.host, serving.port)) == 0
    return Finding("port", True, f"{serving.host}:{serving.port} is {'answered by a server' if taken else 'free'}")


CHECKS: dict[str, Callable[[Workspace], Finding]] = {
    "machine": machine,
    "disk": disk,
    "settings": settings,
    "log": log,
    "state": state,
    "releases": releases,
    "letters": letters,
    "port": port,
}
