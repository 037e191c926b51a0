"""Answers nobody sees: what a release on trial would have said to requests that were just answered, beside what the one in charge says to them now.

In: slates of the log as they come. Out: `Mirror`s, whole and by segment. It runs in the keeper's process, behind everything else, so no answer ever waits for
it; both releases answer from the same state at the same moment, so that their times and scores compare. Under load it takes the newest and leaves the rest.
"""

import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from vernal.errors import RequestError, StateError, VernalError
from vernal.events.schema import Kind, Slate
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.ports import StateStore
from vernal.features.records import user_key
from vernal.features.weights import hop
from vernal.ranking.ladder import PLACE
from vernal.ranking.parts import Parts, finder_of
from vernal.ranking.recommender import Ranked, Recommender
from vernal.ranking.request import Request
from vernal.retrieval.lexical import Lexical
from vernal.rollout.canary import Mirror
from vernal.rollout.counting import NEW
from vernal.rollout.ports import RolloutSpace
from vernal.serving.traffic import CHAMPION, Canary

QUEUE: Final = 64  # newest slates that wait; what is older is left out
LOOK_S: Final = 0.25  # most time of one look
MOST_TIMES: Final = 10  # the other's time that one answer's counts for: a pause of the machine is no release's fault
WARM: Final = 3  # first answers of both that count for nothing: code is compiled, pages are read


class MirrorSpace(RolloutSpace, Protocol):
    """A space in which somebody serves; `app.Workspace` is one."""

    @property
    def live_dir(self) -> Path: ...
    @property
    def texts_dir(self) -> Path: ...
    def state(self, *, readonly: bool = True) -> StateStore: ...


class Answered(NamedTuple):
    ranked: Ranked | None  # none where it threw
    took_us: float


class Mirroring:
    """Two releases that answer the same requests.

    Raises
    ------
    ReleaseError
        One of them cannot be opened.
    """

    def __init__(self, space: MirrorSpace, canary: Canary) -> None:
        self.space, self.against, self.after = space, canary.against, space.log.end()
        self.state, self.live = space.state(), LiveItems.attach(space.live_dir)
        self.lexical = Lexical(space.texts_dir, space.settings)
        self.theirs, self.ours = self.opened(canary.against), self.opened(canary.release)
        self.waiting: deque[Slate] = deque(maxlen=QUEUE)
        self.whole, self.segments, self.answered = Mirror(), dict[str, Mirror](), 0

    def opened(self, name: str) -> Recommender:
        release = self.space.releases.admit(name, again=False)
        parts = Parts.of(release, self.space.plan)
        return Recommender(parts, self.space.plan, self.space.settings, finder_of(release, self.lexical, self.space.encoder))

    def look(self) -> None:
        """Takes what came since, and answers some of it."""
        for batch in self.space.log.read(self.after, kinds=frozenset({Kind.SLATES})):
            self.waiting += [slate for slate in batch.records if (slate.arm, slate.release) == (CHAMPION, self.against)]
            self.after = batch.last
        self.after = self.after if self.waiting else max(self.after, self.space.log.end())
        with suppress(StateError):  # no index of words yet
            self.lexical.refresh()
        end = time.monotonic() + LOOK_S
        while self.waiting and time.monotonic() < end:
            self.compare(self.waiting.pop())

    def compare(self, slate: Slate) -> None:
        request, now = msgspec.json.decode(slate.request, type=Request), self.space.clock.now()
        first, second = (self.theirs, self.ours) if self.answered % 2 else (self.ours, self.theirs)
        try:
            found = {id(engine): self.answer(engine, request, now, slate.seed) for engine in (first, second)}
        except (RequestError, StateError):  # it names what is gone by now
            return
        self.answered += 1
        theirs, ours = found[id(self.theirs)], found[id(self.ours)]
        if self.answered <= WARM or theirs.ranked is None:
            return
        seen, name = mirrored(theirs.ranked, ours.ranked, theirs.took_us, ours.took_us), segment_of(self.space, slate)
        self.whole, self.segments[name] = plus(self.whole, seen), plus(self.segments.get(name, Mirror()), seen)

    def answer(self, engine: Recommender, request: Request, now: int, seed: int) -> Answered:
        record, offset = self.state.get_with_offset(user_key(request.user)) if request.user else (None, self.state.offset())
        user, began = user_state(self.space.plan, record, hop(now), offset), time.perf_counter()
        try:
            ranked = engine.recommend(request, user, self.live, now, seed)
        except VernalError:
            raise
        except Exception:  # what a broken release throws; it cannot answer, and that is what is counted
            ranked = None
        return Answered(ranked, 1e6 * (time.perf_counter() - began))

    def close(self) -> None:
        self.state.close()


def segment_of(space: RolloutSpace, slate: Slate) -> str:
    """As `counting` names them."""
    return f"{space.settings.items.attributes[0]} = {slate.segment}" if slate.segment else NEW


def mirrored(theirs: Ranked, ours: Ranked | None, their_us: float, our_us: float) -> Mirror:
    """One request's answers side by side."""
    if ours is None:
        return Mirror(n=1, took_us=our_us, took_us_against=their_us, fallen=1)
    k = max(1, len(theirs.numbers))
    shift = float(np.mean(ours.scores) - np.mean(theirs.scores)) if len(ours.scores) and len(theirs.scores) and ours.rung == theirs.rung else 0.0
    return Mirror(
        n=1,
        overlap=len(np.intersect1d(theirs.numbers, ours.numbers)) / k,
        shift=shift,
        took_us=min(our_us, MOST_TIMES * their_us),
        took_us_against=min(their_us, MOST_TIMES * our_us),
        fallen=int(PLACE[ours.rung] > PLACE[theirs.rung]),
    )


def plus(one: Mirror, other: Mirror) -> Mirror:
    return Mirror(**{name: getattr(one, name) + getattr(other, name) for name in Mirror.__struct_fields__})
