"""A workspace as it stands: folded up to the end of the log, by the server if one runs, else by us, and ready to answer."""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property

from vernal.app import Workspace
from vernal.cli.terminal import Progress, Terminal
from vernal.errors import StateError
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.ports import StateStore, UserState
from vernal.features.records import user_key
from vernal.features.weights import hop
from vernal.ranking.parts import Parts, finder_of
from vernal.ranking.recommender import Recommender
from vernal.retrieval.lexical import Lexical
from vernal.serving.folding import Folding

WORTH_SAYING = 10_000  # records


def fold(workspace: Workspace, terminal: Terminal) -> int:
    """Folds what the log has and the state has not; returns how many records. A running server does that itself.

    Cost: about 2 us per event.
    """
    with ExitStack() as held:
        try:
            held.enter_context(workspace.exclusive("stream"))
        except StateError:  # a server holds it, and folds
            return 0
        return folded(workspace, terminal)


def folded(workspace: Workspace, terminal: Terminal) -> int:
    """Folds until nothing is left; says so when that was more than a moment's work."""
    with closing(Folding(workspace)) as folding:
        if workspace.log.end() - folding.state.offset() < WORTH_SAYING:
            return steps(workspace, folding, lambda *_: None)
        with terminal.stage("fold") as stage, terminal.progress() as progress:
            total = steps(workspace, folding, progress)
            stage.counts(f"{total:,} records")
        return total


def steps(workspace: Workspace, folding: Folding, progress: Progress) -> int:
    total, end = 0, workspace.log.end()
    while done := folding.step():
        total += done
        progress("fold", folding.state.offset(), end)
    folding.catch_up()
    return total


@dataclass
class Standing:
    """Everything an answer is made from, read-only."""

    workspace: Workspace
    terminal: Terminal

    def __post_init__(self) -> None:
        fold(self.workspace, self.terminal)

    @cached_property
    def state(self) -> StateStore:
        return self.workspace.state()

    @cached_property
    def live(self) -> LiveItems:
        return LiveItems.attach(self.workspace.live_dir)

    @cached_property
    def recommender(self) -> Recommender:
        """That of the release in charge; before the first one, of trending items."""
        store, plan = self.workspace.releases, self.workspace.plan
        name = store.champion()
        release = store.admit(name) if name else None
        parts = Parts.of(release, plan) if release else Parts()
        return Recommender(parts, plan, self.workspace.settings, finder_of(release, self.lexical, self.workspace.encoder))

    @cached_property
    def lexical(self) -> Lexical:
        """The index of words as it stands."""
        found = Lexical(self.workspace.texts_dir, self.workspace.settings)
        found.refresh()
        return found

    def user(self, user: str, now: int) -> UserState:
        """A user as of `now` (UTC us)."""
        record, offset = self.state.get_with_offset(user_key(user))
        return user_state(self.workspace.plan, record, hop(now), offset)
