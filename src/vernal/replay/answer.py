"""Any past answer again, byte for byte.

In: the rec_id of a logged slate. Out: the slate made anew from (release, state as of its offsets, request, seed), compared with the logged one field by
field. State is folded from the log by the stream worker that serving runs, so there is no second way to compute it.
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from vernal.clock import ManualClock
from vernal.config import changed
from vernal.errors import RequestError
from vernal.events.reading import read_slates
from vernal.events.schema import Slate
from vernal.features.fold import user_state
from vernal.features.ports import StateStore
from vernal.features.records import user_key
from vernal.features.stream import StreamWorker
from vernal.features.weights import hop
from vernal.ranking.ladder import Budget, Rung
from vernal.ranking.parts import Parts, finder_of
from vernal.ranking.recommender import Ranked, Recommender
from vernal.ranking.request import Request
from vernal.release import Release
from vernal.replay.past import PastLog
from vernal.replay.ports import ReplaySpace
from vernal.retrieval.lexical import Lexical
from vernal.retrieval.matching import TextFinder
from vernal.serving.answers import Making, slate_answer, slate_record
from vernal.serving.following import AT_ONCE, Meaning
from vernal.serving.interleaved import Interleaved
from vernal.serving.messages import SlateAnswer
from vernal.serving.texts import TextFold
from vernal.serving.traffic import HOLDOUT, INTERLEAVED
from vernal.terms import US_PER_S
from vernal.testing.memory import MemoryState

LONGEST_S = 3_600.0  # an index of millions of texts takes minutes
INDEXED = "a text index follows the catalogue a moment behind and counts deleted texts until it merges them, so a search soon after a change may differ"


class Replayed(NamedTuple):
    """An answer made again."""

    logged: Slate
    again: Slate
    answer: SlateAnswer  # what the caller got, and would get
    differences: tuple[str, ...]  # names of the fields that differ; none when the bytes are the same
    notes: tuple[str, ...]  # why they may differ

    @property
    def same(self) -> bool:
        return not self.differences


def replay(space: ReplaySpace, rec_id: str, release: str | None = None) -> Replayed:
    """The answer with this rec_id, made again.

    Parameters
    ----------
    release : another release than the one that answered: what would it have said at that moment?

    Raises
    ------
    RequestError
        No such slate in the log.
    ReleaseError
        The release is not kept any more, or damaged.

    Cost: the log up to the answer is folded again, about 10 us per event.
    """
    logged = found(space, rec_id)
    with tempfile.TemporaryDirectory() as folder:
        ranked = answered(space, logged, release, Path(folder))
    request = msgspec.json.decode(logged.request, type=Request)
    again = slate_record(ranked, request, rec_id, logged.time, logged.took_us, Making(logged.arm, logged.settings, logged.failed))
    answer = slate_answer(ranked, request, rec_id, logged.arm)
    return Replayed(logged, again, answer, differences(logged, again), notes(space, logged))


def found(space: ReplaySpace, rec_id: str) -> Slate:
    """The logged slate. Cost: the slates of the log are read until it turns up."""
    for _, slate in read_slates(space.log):
        if slate.rec_id == rec_id:
            return slate
    raise RequestError.invalid("rec_id", rec_id, "the rec_id of a slate in the log", "answers carry it; serving.log_slates must have been on")


def answered(space: ReplaySpace, slate: Slate, release: str | None, folder: Path) -> Ranked:
    """The ranked slate as of the logged offsets."""
    state = MemoryState()
    past = PastLog(space.log, min(slate.user_offset, slate.item_offset))
    worker = StreamWorker(past, state, folder, space.plan, space.settings, ManualClock(slate.hop * US_PER_S))
    try:
        run(worker)
        record = state.get(user_key(slate.user)) if slate.user else None
        record, offset = advanced(worker, past, state, slate, record)
        user = user_state(space.plan, record, hop(slate.time), offset)
        name = release or slate.release
        opened = space.releases.open(name) if name else None
        parts = Parts.of(opened, space.plan) if opened else Parts()
        request = msgspec.json.decode(slate.request, type=Request)
        found = finder(space, slate, past, opened, worker, folder) if slate.q else None
        recommender = of_arm(space, Recommender(parts, space.plan, space.settings, found), slate)
        return recommender.recommend(request, user, worker.items.live, slate.time, slate.seed, Budget(best=Rung(slate.rung)))
    finally:
        worker.close()


def of_arm(space: ReplaySpace, recommender: Recommender, slate: Slate) -> Recommender | Interleaved:
    """The recommender as it answers in the arm of a slate; each release of an interleaved one finds texts as the first does."""
    if slate.arm == HOLDOUT:
        return recommender.impersonal()
    other: dict[str, Any] = msgspec.json.decode(slate.settings) if slate.settings else {}
    if INTERLEAVED not in other:
        return recommender.under(changed(recommender.settings, other)) if other else recommender
    names = [way["release"] for way in other[INTERLEAVED]]
    parts = [Parts.of(space.releases.open(name), space.plan) if name else Parts() for name in names]
    settings = [changed(recommender.settings, way["settings"]) for way in other[INTERLEAVED]]
    one, two = (Recommender(part, space.plan, under, recommender.finder) for part, under in zip(parts, settings, strict=True))
    return Interleaved(one, two)


def finder(space: ReplaySpace, slate: Slate, past: PastLog, release: Release | None, worker: StreamWorker, folder: Path) -> TextFinder:
    """What would have found a text then: the index of words made from the catalogue of that moment, and the meaning of the release with what came after it."""
    live, place = worker.items.live, folder / "lexical"
    texts = TextFold(past, place, space.settings, live.number)
    texts.finish(slate.item_offset, LONGEST_S)
    texts.close()
    lexical = Lexical(place, space.settings)
    lexical.refresh()
    found = finder_of(release, lexical, space.encoder)
    if found.semantic and release:
        meaning = Meaning(found.semantic, past, live, space.plan.attributes, release.manifest.lineage.log_to)
        while meaning.step() >= AT_ONCE:
            pass
    return found


def run(worker: StreamWorker) -> None:
    """Folds everything that is seen."""
    while worker.step():
        pass


def advanced(worker: StreamWorker, past: PastLog, state: StateStore, slate: Slate, record: bytes | None) -> tuple[bytes | None, int]:
    """The user's record as of `user_offset`, after the item table has come to `item_offset`."""
    later = max(slate.user_offset, slate.item_offset)
    if past.until == later:
        return record, slate.user_offset
    past.until = later
    run(worker)
    if slate.user_offset == later:
        record = state.get(user_key(slate.user)) if slate.user else None
    return record, slate.user_offset


def differences(logged: Slate, again: Slate) -> tuple[str, ...]:
    return tuple(name for name in Slate.__struct_fields__ if getattr(logged, name) != getattr(again, name))


def notes(space: ReplaySpace, slate: Slate) -> tuple[str, ...]:
    """What has changed since and can change bytes."""
    changed = [INDEXED] if slate.q else []
    if not slate.release:
        return tuple(changed)
    lineage = space.releases.manifest(slate.release).lineage
    if lineage.plan != space.plan.fingerprint:
        changed.append("the feature plan is not the one the release was trained under")
    if lineage.config != space.settings.fingerprint():
        changed.append("settings that shape answers changed since the release was trained")
    return tuple(changed)
