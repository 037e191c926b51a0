"""What one worker holds while it serves: the places it reads and writes, and the release in charge."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vernal.clock import Clock
from vernal.config import Settings
from vernal.events.deadletters import DeadLetters
from vernal.events.groupcommit import GroupCommit
from vernal.events.ports import EventLog
from vernal.features.definition import Plan
from vernal.features.live import LiveItems
from vernal.features.ports import StateStore
from vernal.ranking.recommender import Recommender
from vernal.release import ReleaseStore
from vernal.retrieval.lexical import Lexical
from vernal.serving.applied import Applied
from vernal.serving.arms import Arms
from vernal.serving.champion import Champion
from vernal.serving.following import Following
from vernal.serving.meters import Meters
from vernal.serving.records import Records
from vernal.serving.slates import SlateLog, Tickets

if TYPE_CHECKING:
    from vernal.serving.routes import Table


SAMPLED = 16


@dataclass
class Service:
    """Everything a route may use."""

    settings: Settings
    data: Path  # the directory of everything Vernal keeps
    clock: Clock
    log: EventLog
    appends: GroupCommit
    state: StateStore
    live: LiveItems
    records: Records
    plan: Plan
    releases: ReleaseStore
    champion: Champion[Recommender]
    arms: Arms
    slates: SlateLog
    tickets: Tickets
    applied: Applied  # to the state that slates are made from
    recorded: Applied  # to that and to the records that are read back
    lexical: Lexical
    following: Following
    dead_letters: DeadLetters
    meters: Meters
    table: "Table | None" = None
    draining: bool = False
    answers: int = 0
    unknown_since: dict[str, int] = field(default_factory=dict)  # release -> arrival of the first event it does not know, UTC us

    def sampled(self) -> bool:
        """Whether this answer's stages are timed: one in `SAMPLED`."""
        self.answers += 1
        return self.answers % SAMPLED == 1
