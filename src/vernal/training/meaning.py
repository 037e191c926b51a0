"""Search by meaning in a release: an encoder for the catalogue's texts, their vectors, and how their scores join those of words.

In: the snapshot, and the judgements that the settings name, or what was chosen of past searches. Out: arrays `semantic.*` in the draft; nothing where no item
says anything, or where the encoder is away: search then goes on by words. Equal snapshots and judgements give equal bytes where the encoder does.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from vernal.config import Settings
from vernal.errors import EncoderError
from vernal.evaluation.judgements import Judgements
from vernal.evaluation.search import DEPTH, indexed, judged, texts_of
from vernal.events.history import Catalogue
from vernal.release import Draft
from vernal.retrieval.analysis import Analyser
from vernal.retrieval.clicks import Searched
from vernal.retrieval.encoders import Encoder, Lsa
from vernal.retrieval.fusion import WORDS_ALONE, Fusion, Tuned, tune
from vernal.retrieval.semantic import LSA, NAME, Semantic
from vernal.training.ports import TrainingSpace
from vernal.training.remembering import Remembering
from vernal.training.snapshot import Snapshot

LEAST_CHOSEN_OF = 100  # distinct queries

log = logging.getLogger(__name__)


def put_semantic(draft: Draft, snapshot: Snapshot, space: TrainingSpace, memory: Remembering, searches: Sequence[Searched] = ()) -> None:
    """Fits search by meaning and puts it into the draft.

    Parameters
    ----------
    memory : vectors of a catalogue that has not changed need not be made again
    searches : what was searched for and chosen so far

    Raises
    ------
    RequestError
        The judgements that the settings name cannot be read.

    Cost: LSA 2 CPU s per 10,000 items of 100 words; other encoders their own time per text; judgements 5 ms a query.
    """
    settings = snapshot.settings
    try:
        semantic = remembered(snapshot.catalogue, settings, space.encoder, memory)
    except EncoderError as error:
        log.warning("this release searches by words alone: %s", error)
        return
    if semantic is not None:
        semantic.fusion = fusion_of(semantic, snapshot, space, searches)
        semantic.save(draft)


def remembered(catalogue: Catalogue, settings: Settings, engine: Callable[[str], Encoder], memory: Remembering) -> Semantic | None:
    """`fitted`, or what an earlier training fitted on the same catalogue with the same encoder.

    Raises
    ------
    EncoderError
        The encoder is away.
    """
    name = settings.search.encoder
    key = memory.key_without_history(NAME, "" if name in ("", LSA) else engine(name).fingerprint)
    found = memory.recall(key, lambda kept: Semantic.load(kept, engine))
    if found is None:
        found = fitted(catalogue, settings, engine)
        if found is not None:
            memory.note(key, Semantic(found.name, found.encoder, found.index, found.fusion, found.language).save)  # before searches and judgements say theirs
    return found


def fitted(catalogue: Catalogue, settings: Settings, engine: Callable[[str], Encoder]) -> Semantic | None:
    """Search by meaning over a catalogue; none where it says nothing.

    Parameters
    ----------
    engine : encoders that are not learned from the catalogue, by name
    """
    texts, search, seed = texts_of(catalogue), settings.search, settings.training.seed
    said = [text for text in texts if text]
    if not search.encoder or not said:
        return None
    encoder = Lsa.fit(said, search.dim, seed, Analyser.of(search).stems) if search.encoder == LSA else engine(search.encoder)
    if not encoder.dim:
        return None
    return Semantic.fit(search.encoder, encoder, texts, settings.retrieval.exact_below, seed, language=search.language)


def fusion_of(semantic: Semantic, snapshot: Snapshot, space: TrainingSpace, searches: Sequence[Searched]) -> Fusion:
    """The weight that the settings give, else what judgements choose, else the encoder's usual one unless choices of users speak for another."""
    search, usual = snapshot.settings.search, semantic.fusion
    if search.semantic_share is not None:
        return msgspec.structs.replace(usual, weight=search.semantic_share)
    judgements = Judgements.read(space.root / search.judgements) if search.judgements else chosen(searches, snapshot.catalogue.ids)
    if judgements is None:
        return usual
    usual = WORDS_ALONE if search.judgements else usual
    tuned = tuned_by(judgements, semantic, snapshot.catalogue, snapshot.settings, usual)
    log.info("search: %s, nDCG@10 %.4f on %d queries, %.4f with %s (error %.4f)", *tuned[:2], len(judgements), tuned.usual, usual, tuned.error)
    return tuned.fusion


def chosen(searches: Sequence[Searched], ids: Sequence[str]) -> Judgements | None:
    """What was chosen of logged searches, as judgements; none while there are few. What an earlier fusion put before users is over-represented in them."""
    relevance: dict[str, dict[str, int]] = {}
    for each in searches:
        for number in each.item[each.chosen > 0].tolist():
            items = relevance.setdefault(each.q, {})
            items[ids[number]] = items.get(ids[number], 0) + 1
    return Judgements({q: q for q in relevance}, relevance) if len(relevance) >= LEAST_CHOSEN_OF else None


def tuned_by(judgements: Judgements, semantic: Semantic, catalogue: Catalogue, settings: Settings, usual: Fusion = WORDS_ALONE) -> Tuned:
    """What judged queries choose."""
    with tempfile.TemporaryDirectory() as folder:
        lexical = indexed(catalogue, settings, Path(folder))
        queries = judged(judgements, lambda text: lexical.search(text, DEPTH), semantic, catalogue.ids)
    return tune(queries, settings.training.seed, usual)
