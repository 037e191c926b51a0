"""Search by meaning in a release: an encoder for the catalogue's texts, their vectors, and how their scores join those of words.

In: the snapshot, and the judgements that the settings name. Out: arrays `semantic.*` in the draft; nothing where no item says anything, or where the encoder
is away: search then goes on by words. Equal snapshots and judgements give equal bytes where the encoder does.
"""

import logging
import tempfile
from pathlib import Path

import msgspec

from vernal.errors import EncoderError
from vernal.evaluation.judgements import Judgements
from vernal.evaluation.search import DEPTH, indexed, judged, texts_of
from vernal.release import Draft
from vernal.retrieval.analysis import Analyser
from vernal.retrieval.encoders import Encoder, Lsa
from vernal.retrieval.fusion import Fusion, Tuned, tune
from vernal.retrieval.semantic import LSA, Semantic
from vernal.training.ports import TrainingSpace
from vernal.training.snapshot import Snapshot

log = logging.getLogger(__name__)


def put_semantic(draft: Draft, snapshot: Snapshot, space: TrainingSpace) -> None:
    """Fits search by meaning and puts it into the draft.

    Raises
    ------
    RequestError
        The judgements that the settings name cannot be read.

    Cost: LSA 2 CPU s per 10,000 items of 100 words; other encoders their own time per text; judgements 5 ms a query.
    """
    try:
        semantic = fitted(snapshot, space)
    except EncoderError as error:
        log.warning("this release searches by words alone: %s", error)
        return
    if semantic is not None:
        semantic.save(draft)


def fitted(snapshot: Snapshot, space: TrainingSpace) -> Semantic | None:
    """Search by meaning over the snapshot's catalogue; none where it says nothing."""
    settings, texts = snapshot.settings, texts_of(snapshot.catalogue)
    name, seed = settings.search.encoder, settings.training.seed
    if not name or not any(texts):
        return None
    encoder: Encoder = lsa_of(texts, snapshot) if name == LSA else space.encoder(name)
    if not encoder.dim:
        return None
    semantic = Semantic.fit(name, encoder, texts, settings.retrieval.exact_below, seed)
    semantic.language = settings.search.language
    semantic.fusion = fusion_of(semantic, snapshot, space.root)
    return semantic


def lsa_of(texts: list[str], snapshot: Snapshot) -> Lsa:
    search = snapshot.settings.search
    return Lsa.fit([text for text in texts if text], search.dim, snapshot.settings.training.seed, Analyser.of(search).stems)


def fusion_of(semantic: Semantic, snapshot: Snapshot, root: Path) -> Fusion:
    """The weight that the settings give, else what judgements choose, else the encoder's usual one."""
    search = snapshot.settings.search
    if search.semantic_share is not None:
        return msgspec.structs.replace(semantic.fusion, weight=search.semantic_share)
    if not search.judgements:
        return semantic.fusion
    tuned = tuned_by(Judgements.read(root / search.judgements), semantic, snapshot)
    log.info("search: %s by judgements: nDCG@10 %.4f, words alone %.4f (error %.4f)", tuned.fusion, *tuned[1:])
    return tuned.fusion


def tuned_by(judgements: Judgements, semantic: Semantic, snapshot: Snapshot) -> Tuned:
    """What judged queries choose."""
    with tempfile.TemporaryDirectory() as folder:
        lexical = indexed(snapshot.catalogue, snapshot.settings, Path(folder))
        queries = judged(judgements, lambda text: lexical.search(text, DEPTH), semantic, snapshot.catalogue.ids)
    return tune(queries, snapshot.settings.training.seed)
