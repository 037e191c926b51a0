"""The release in charge, swapped between two requests.

A look at the promotions opens and warms a new release beside the old one, and then replaces one reference; a request
reads that reference once, so it sees one release whole. The one before stays open, so a rollback is as quick. A release that
cannot be opened is refused and named, and the old one goes on answering.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, TypeVar

from vernal.errors import ReleaseError
from vernal.release import Release, ReleaseStore
from vernal.serving.children import LAST
from vernal.serving.meters import Meters

KEPT = 2
log = logging.getLogger("vernal.serving")
Engine = TypeVar("Engine")


def stand_behind() -> None:
    """Lets every other thread go before this one, where the system knows priorities of threads."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LAST)


class Champion(Generic[Engine]):
    """What answers now.

    Parameters
    ----------
    releases : the store, whose last promotion names the release in charge
    build : release -> engine, ready and warmed; None builds the engine that answers without any release
    """

    def __init__(self, releases: ReleaseStore, build: Callable[[Release | None], Engine], meters: Meters) -> None:
        self.releases, self.build, self.meters = releases, build, meters
        self.engines: dict[str, Engine] = {}
        self.verified: set[str] = set()
        self.needed: set[str | None] = set()  # the release in charge and the one before
        self.wanted: set[str] = set()  # releases that arms answer from
        self.problem = ""
        self.refused: int | None = None  # number of the promotion that could not be followed
        self.followed = 0
        self.name = ""
        self.loaded_at = time.time()
        self.current: Engine = self.first()

    def first(self) -> Engine:
        """The engine to begin with; a damaged champion falls back to the one before it, then to none."""
        last = self.releases.last_promotion()
        for name in (last.release, last.previous) if last else ():
            if name is None:
                continue
            try:
                engine = self.engine(name)
            except ReleaseError as error:
                self.troubled(str(error))
                continue
            self.name, self.followed, self.needed = name, last.number if last else 0, {name}
            return engine
        return self.build(None)

    def engine(self, name: str) -> Engine:
        """The engine of a release: one that is still open, or a new one; every file is checked the first time, its certificate every time."""
        if name not in self.engines:
            with ThreadPoolExecutor(1, initializer=stand_behind) as opening:  # gigabytes are hashed and mapped while others are answered
                release = opening.submit(self.releases.admit, name, verify=name not in self.verified, again=False).result()
                opening.submit(release.touch).result()
            self.engines[name] = self.build(release)
            self.verified.add(name)
        return self.engines[name]

    def look(self) -> bool:
        """Follows the newest promotion; says whether the engine changed."""
        last = self.releases.last_promotion()
        if last is None or last.number in (self.followed, self.refused):
            return False
        try:
            engine = self.engine(last.release)
        except ReleaseError as error:
            self.refused = last.number
            self.troubled(str(error))
            return False
        self.current, self.name, self.followed, self.problem, self.loaded_at = engine, last.release, last.number, "", time.time()
        self.needed = {last.release, last.previous}
        self.forget()
        self.meters.count("vernal_release_swaps_total")
        return True

    def forget(self) -> None:
        """Closes engines beyond the newest two and those that are wanted."""
        spare = [name for name in self.engines if name not in self.needed and name not in self.wanted]
        for name in spare[: max(0, len(self.engines) - len(self.wanted & self.engines.keys()) - KEPT)]:
            del self.engines[name]

    def troubled(self, problem: str) -> None:
        self.problem = problem
        self.meters.count("vernal_release_failures_total")
        log.error("release not followed: %s", problem)
