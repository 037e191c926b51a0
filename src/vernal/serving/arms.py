"""Who answers a request: the release in charge, or the arm that the user is in.

One thread looks every `LOOK_S` at the promotions and at the shares of the traffic; what it finds is opened, checked and warmed beside what answers, and then
one reference is replaced, so a request sees one state of affairs whole. An arm whose release cannot be opened is refused, named and not tried again until the
traffic changes; its users are answered by the release in charge, and whoever judges the arm misses them.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from vernal.config import Rollout, changed
from vernal.errors import VernalError
from vernal.ranking.recommender import Recommender
from vernal.serving.champion import Champion
from vernal.serving.interleaved import Interleaved
from vernal.serving.traffic import CANARY, CHAMPION, FILE, HOLDOUT, INTERLEAVED, Experiment, Split, Traffic, Variant, read_traffic, releases_of

LOOK_S: Final = 0.2
log = logging.getLogger("vernal.serving")


class Arm(NamedTuple):
    """One way to answer."""

    name: str
    engine: Recommender | Interleaved
    settings: str = ""  # what the slate log keeps of settings that are others


class Standing(NamedTuple):
    """What one request sees."""

    split: Split
    arms: Mapping[str, Arm]
    champion: Arm


class Arms:
    """Every arm of the traffic, ready to answer.

    Parameters
    ----------
    champion : what answers everybody else
    data : the directory that the shares of the traffic are kept in
    """

    def __init__(self, champion: Champion[Recommender], data: Path, rollout: Rollout) -> None:
        self.champion, self.data, self.rollout = champion, data, rollout
        self.closing = threading.Event()
        self.standing = Standing(Split(Traffic()), {}, Arm(CHAMPION, champion.current))
        self.stamp: tuple[int, int] | None = None
        self.traffic = Traffic(holdout=rollout.holdout)
        self.look()

    # hot: a request's arm
    def of(self, who: str) -> Arm:
        """The arm of a user, or of an anonymous request by its rec_id. Cost: 1 us, and 1 more for every experiment and canary."""
        split, arms, champion = self.standing
        return arms.get(split.arm(who), champion)

    def look(self) -> bool:
        """Follows promotions and shares; says whether anything changed."""
        swapped, file = self.champion.look(), self.data / FILE
        try:
            found = file.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            stamp = (0, 0)
        if stamp == self.stamp and not swapped:
            return False
        if stamp != self.stamp:
            self.stamp = stamp
            self.read()
        self.champion.wanted = {*releases_of(self.traffic)}
        self.champion.forget()
        arms = {arm.name: arm for arm in self.arms()}
        self.standing = Standing(Split(self.traffic), arms, Arm(CHAMPION, self.champion.current))
        return True

    def read(self) -> None:
        """Takes the shares as they are now; those before stand where the file is none."""
        try:
            self.traffic = read_traffic(self.data, self.rollout)
        except VernalError as error:
            self.champion.troubled(str(error))

    def arms(self) -> Iterator[Arm]:
        """Every arm that can answer; others are said in the log."""
        if self.traffic.holdout > 0:
            yield Arm(HOLDOUT, self.champion.current.impersonal())
        if self.traffic.canary is not None:
            yield from self.opened(CANARY, Variant(name=CANARY, release=self.traffic.canary.release))
        for experiment in self.traffic.experiments:
            if experiment.interleaved:
                yield from self.interleaved(experiment)
            else:
                for variant, name in zip(experiment.variants, experiment.arms, strict=True):
                    yield from self.opened(name, variant)

    def opened(self, name: str, variant: Variant) -> Iterator[Arm]:
        try:
            engine = self.champion.engine(variant.release) if variant.release else self.champion.current
            settings = msgspec.json.encode(variant.settings).decode() if variant.settings else ""
            yield Arm(name, engine.under(changed(engine.settings, variant.settings)) if settings else engine, settings)
        except VernalError as error:
            self.champion.troubled(f"arm {name}: {error}")

    def interleaved(self, experiment: Experiment) -> Iterator[Arm]:
        """One arm of two variants; what the log keeps names both releases, whichever was in charge."""
        teams = [arm.engine for variant in experiment.variants for arm in self.opened(experiment.name, variant)]
        if len(teams) == 2 and isinstance(teams[0], Recommender) and isinstance(teams[1], Recommender):
            ways = [{"release": team.parts.release, "settings": way.settings} for team, way in zip(teams, experiment.variants, strict=True)]
            yield Arm(experiment.arms[0], Interleaved(teams[0], teams[1]), msgspec.json.encode({INTERLEAVED: ways}).decode())

    def watch(self) -> threading.Thread:
        """Looks every `LOOK_S` on a thread of its own, until closed."""
        thread = threading.Thread(target=self.looking, name="arms", daemon=True)
        thread.start()
        return thread

    def looking(self) -> None:
        while not self.closing.wait(LOOK_S):
            try:
                self.look()
            except OSError as error:
                self.champion.troubled(f"releases or shares of the traffic cannot be read: {error}")

    def close(self) -> None:
        self.closing.set()
