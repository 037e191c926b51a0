"""What another release, or other settings, would have earned on requests that were answered: logged slates, considered again by both.

In: the log, an `Alternative`, a stretch of the past. Out: an `Opinion` (evaluation/offpolicy.py). Each slate is made again by the release and the settings that
answered it, from users, items and catalogue as they were at its offsets, and comes out as it was logged. Where a setting was changed or a user erased since,
it may not; then it is left out and counted, so the chances used are those of what happened.

A release that has learned from the stretch looks better on it than it is: such an estimate can only speak against it.
"""

import heapq
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.config import changed, duration_s
from vernal.errors import ReleaseError
from vernal.evaluation.offpolicy import Opinion, Shown, opinion
from vernal.events.reading import batches
from vernal.events.schema import Event, Kind, Slate
from vernal.features.retold import Retold
from vernal.ranking.ladder import Budget, Rung
from vernal.ranking.parts import Parts
from vernal.ranking.recommender import Considered, Recommender
from vernal.ranking.request import Request
from vernal.release import ReleaseStore
from vernal.serving.traffic import HOLDOUT
from vernal.terms import US_PER_S
from vernal.training.ports import TrainingSpace, silent
from vernal.training.snapshot import Snapshot

RANKED: Final = frozenset({str(Rung.FULL), str(Rung.FAST)})
DRAWS: Final = 200  # slates from which the chances of a position are summed up
MOST: Final = 2_000  # slates considered
CLOSE: Final = 1e-4  # of a chance made again
WIDTH: Final = 6  # features of the model of rewards

Progress = Callable[[str, int, int], None]


class Alternative(NamedTuple):
    """Another way to answer."""

    release: str = ""  # none = whichever answered
    settings: Mapping[str, Any] = {}  # key of vernal.toml -> value instead

    @classmethod
    def of(cls, text: str, releases: ReleaseStore) -> "Alternative":
        """As it is written: the name of a release, settings as KEY=VALUE, or both, with spaces between.

        Raises
        ------
        ReleaseError
            No such release.
        """
        release, settings = "", {}
        for word in text.split():
            key, assigned, value = word.partition("=")
            if assigned:
                settings[key] = read(value)
            else:
                releases.manifest(word)
                release = word
        return cls(release, settings)


def read(value: str) -> Any:
    """A value as TOML has it, else text."""
    try:
        return tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return value


class Given(NamedTuple):
    """One logged slate and what it earned."""

    slate: Slate
    received_at: int  # UTC us
    offset: int
    rewards: NDArray[np.float64]  # (k,) 1 where its user chose the item within `monitoring.mature_after`


class Found(NamedTuple):
    """Logged slates to consider, and what is left out already."""

    given: list[Given]  # in order of the item tables that answered
    left_out: dict[str, int]

    @property
    def explored(self) -> bool:
        """Whether anything was left to chance."""
        return any((np.frombuffer(each.slate.propensities, np.float32) < 1).any() for each in self.given)


def logged(space: TrainingSpace, begin: int, end: int, most: int = MOST, after: int = 0) -> Found:
    """Slates received in [begin, end) (UTC us) whose rewards have had their time, `most` of them, drawn by their rec_id, and what they earned.

    Parameters
    ----------
    after : log offset up to which nothing is read

    Cost: one reading of the log's slates and events.
    """
    mature = duration_s(space.settings.monitoring.mature_after) * US_PER_S
    left: dict[str, int] = {}
    known: set[int] = set()

    def usable() -> Iterator[Given]:
        for batch in batches(space.log, frozenset({Kind.SLATES}), after):
            for offset, slate in enumerate(batch.records, batch.first):
                known.add(crc32(slate.rec_id.encode()))
                if begin <= batch.received_at < end - mature:
                    why = unusable(slate)
                    if why:
                        left[why] = left.get(why, 0) + len(slate.items)
                    else:
                        yield Given(slate, batch.received_at, offset, np.zeros(len(slate.items)))

    chosen = heapq.nsmallest(most, usable(), key=lambda each: crc32(each.slate.rec_id.encode()))
    rewarded(space, {each.slate.rec_id: each for each in chosen}, known, mature, left)
    return Found(sorted(chosen, key=lambda each: (each.slate.item_offset, each.slate.hop, each.offset)), left)


def unusable(slate: Slate) -> str:
    """Why nothing can be learned from a slate of what another policy would have got; empty = it can."""
    if slate.q:
        return "items found by a search"
    if slate.arm == HOLDOUT:
        return "the holdout's list"
    if slate.teams:
        return "drafted from two rankings"
    if slate.rung not in RANKED:
        return "answered below the ranked rungs"
    if not len(slate.propensities) == 4 * len(slate.items) > 0:
        return "propensity missing"
    chance = np.frombuffer(slate.propensities, np.float32)
    if (chance > 1 + 1e-6).any():
        return "propensity above 1"
    return "" if (chance > 0).all() else "propensity not above 0"


def rewarded(space: TrainingSpace, chosen: Mapping[str, Given], known: set[int], mature: int, left: dict[str, int]) -> None:
    """Adds what came back to the slates it names, each item once; what fits none is counted."""
    weights = {name: kind.min_value for name, kind in space.settings.events.types.items() if kind.weight > 0}
    first = min((each.offset for each in chosen.values()), default=0)
    for batch in batches(space.log, frozenset({Kind.EVENTS}), after=first and first - 1):
        for event in batch.records:
            if not event.rec_id or not positive(event, weights):
                continue
            given, why = chosen.get(event.rec_id), ""
            if given is None:
                why = "" if crc32(event.rec_id.encode()) in known else "rewards of unknown slates"
            elif batch.received_at > given.received_at + mature:
                why = "rewards that came too late"
            elif event.item not in given.slate.items:
                why = "rewards of items not shown"
            else:
                given.rewards[given.slate.items.index(event.item)] = 1.0
            if why:
                left[why] = left.get(why, 0) + 1


def positive(event: Event, weights: Mapping[str, float | None]) -> bool:
    least = weights.get(event.type)
    return event.type in weights and (least is None or (event.value or 0.0) >= least)


class Considering:
    """Slates considered again, one after another."""

    def __init__(self, space: TrainingSpace, other: Alternative, snapshot: Snapshot) -> None:
        self.space, self.other, self.snapshot = space, other, snapshot
        self.walk = Retold(snapshot.plan, snapshot.settings, snapshot.history, space.log)
        self.erased = max((batch.last for batch in batches(space.log, frozenset({Kind.ERASURES}))), default=0)
        self.codes = {user: code for code, user in enumerate(snapshot.history.users) if user}
        self.parts: dict[str, Parts | None] = {}
        self.recommenders: dict[tuple[str, str, bool], Recommender | None] = {}

    def recommender(self, release: str, settings: str, *, other: bool) -> Recommender | None:
        """The release under the settings that answered, or those of the alternative on top; none when it is not kept, or made under another feature plan."""
        key = (release, settings, other)
        if key not in self.recommenders:
            changes = (msgspec.json.decode(settings) if settings else {}) | (dict(self.other.settings) if other else {})
            parts = self.parts_of(release)
            self.recommenders[key] = Recommender(parts, self.snapshot.plan, changed(self.space.settings, changes)) if parts else None
        return self.recommenders[key]

    def parts_of(self, release: str) -> Parts | None:
        if release not in self.parts:
            try:
                parts = Parts.of(self.space.releases.open(release), self.snapshot.plan)
                self.parts[release] = parts if parts.ranker else None
            except ReleaseError:
                self.parts[release] = None
        return self.parts[release]

    def rows(self, given: Given) -> Shown | str:
        """A slate as rows of the estimate, or why it is none."""
        slate = given.slate
        ours = self.recommender(slate.release, slate.settings, other=False)
        theirs = self.recommender(self.other.release or slate.release, slate.settings, other=True)
        if ours is None:
            return "answered by a release that is not kept"
        if theirs is None:
            raise ReleaseError.unservable(f"ranker of {self.other.release or slate.release}", "missing, or taught other features", "one of this feature plan")
        self.walk.through(slate.item_offset, slate.hop)
        request, user = msgspec.json.decode(slate.request, type=Request), self.codes.get(slate.user, -1)
        asked = (request, self.walk.user_through(user, slate.user_offset, slate.time), self.walk.live, slate.time, slate.seed)
        budget = Budget(best=Rung(slate.rung))
        again = ours.recommend(*asked, budget)
        placed = np.frombuffer(slate.item_numbers, np.uint32).astype(np.int64)
        chance = np.frombuffer(slate.propensities, np.float32)
        if not np.array_equal(again.numbers, placed) or not np.allclose(again.propensities, chance, atol=CLOSE):
            return self.changed_since(slate)
        return rows_of(
            ours.considered(*asked, DRAWS, budget),
            theirs.considered(*asked, DRAWS, budget),
            placed,
            chance,
            given.rewards,
            user if user >= 0 else -given.offset,
        )

    def changed_since(self, slate: Slate) -> str:
        """Why a slate was not made again as it was."""
        if self.space.releases.manifest(slate.release).lineage.config != self.space.settings.fingerprint():
            return "answered under settings that were changed since"
        return "answered before a user was erased" if slate.item_offset < self.erased else "not made again as they were"


def rows_of(
    ours: Considered, theirs: Considered, placed: NDArray[np.int64], chance: NDArray[np.float32], rewards: NDArray[np.float64], user: int
) -> Shown:  # fmt: skip
    """What was shown, with its chances by both policies and what the model of rewards reads."""
    k = len(placed)
    items = np.union1d(ours.item, theirs.item).astype(np.int64)
    both, promised = zip(*(spread_out(side, items, k) for side in (ours, theirs)), strict=True)
    column = np.searchsorted(items, placed)
    logging = (DRAWS * both[0][np.arange(k), column] + chance) / (DRAWS + 1)  # the draw that was answered is one of them
    moved, look = both[1] - both[0], 1 / np.log2(2 + np.arange(k))
    means = [moved @ each for each in promised]  # (k,)
    return Shown(
        np.full(k, user), rewards, logging, both[1][np.arange(k), column], (both[1] * (both[0] <= 0)).sum(axis=1),
        np.column_stack([np.ones(k), look, *(each[column] for each in promised), *(look * each[column] for each in promised)]),
        np.column_stack([moved.sum(axis=1), look * moved.sum(axis=1), *means, *(look * each for each in means)]),
    )  # fmt: skip


def spread_out(side: Considered, items: NDArray[np.int64], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(k, n) chances of n items at the first k positions, and (n,) how likely a click its scores promise; of an item it did not think of, the least."""
    places, known = np.searchsorted(items, side.item), min(k, len(side.chance))
    chance, promised = np.zeros((k, len(items))), np.full(len(items), side.score.min(initial=0.0), np.float64)
    chance[:known, places] = side.chance[:known]
    promised[places] = side.score
    return chance, 1 / (1 + np.exp(-promised))


def considered(space: TrainingSpace, other: Alternative, found: Found, snapshot: Snapshot, progress: Progress = silent) -> Opinion:
    """The opinion on an alternative.

    Raises
    ------
    ConfigError
        A setting that does not exist, or a value it does not take.
    ReleaseError
        The alternative's release has no ranker for the present feature plan.

    Cost: one walk through the log up to the last slate, and 8 ms a slate of ten.
    """
    changed(space.settings, dict(other.settings))
    considering, parts, left = Considering(space, other, snapshot), list[Shown](), dict(found.left_out)
    for done, given in enumerate(found.given):
        rows = considering.rows(given)
        if isinstance(rows, str):
            left[rows] = left.get(rows, 0) + len(given.slate.items)
        else:
            parts.append(rows)
        progress("slates", done + 1, len(found.given))
    return opinion(joined(parts), left)


def joined(parts: Sequence[Shown]) -> Shown:
    if not parts:
        none = np.empty(0)
        return Shown(np.empty(0, np.int64), none, none, none, none, np.empty((0, WIDTH)), np.empty((0, WIDTH)))
    return Shown(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
