"""Search by meaning over a small catalogue, made, saved, loaded and followed."""

import numpy as np
import pytest

from vernal.clock import ManualClock
from vernal.errors import EncoderError
from vernal.release import Lineage, ReleaseStore
from vernal.retrieval.encoders import Lsa
from vernal.retrieval.fusion import Fusion, fused
from vernal.retrieval.hits import Hits
from vernal.retrieval.semantic import Semantic

TOPICS = [[f"t{topic}w{word}" for word in range(12)] for topic in range(6)]
LINEAGE = Lineage(log_from=1, log_to=2, as_of=3, config="c", plan="p", code="v", seed=0)


def texts(n: int = 240) -> list[str]:
    """Item k is about topic k mod 6; every tenth has no text."""
    random = np.random.default_rng(0)
    return ["" if row % 10 == 9 else " ".join(random.choice(TOPICS[row % 6], 8)) for row in range(n)]


@pytest.fixture(scope="module")
def semantic() -> Semantic:
    return fitted()


def fitted(encoder=None, name: str = "lsa", fusion: Fusion | None = None) -> Semantic:
    return Semantic.fit(name, encoder or Lsa.fit(texts(), 12, 0, str.split), texts(), exact_below=1_000, seed=0, fusion=fusion)


def topics(hits: Hits) -> list[int]:
    return (hits.item % 6).tolist()


def test_a_query_finds_its_topic_and_no_item_without_text(semantic) -> None:
    hits = semantic.search(semantic.vector("t3w1 t3w2").vector, 20)
    assert topics(hits) == [3] * 20
    assert not (hits.item % 10 == 9).any()


def test_candidates_of_both_legs_have_both_scores(semantic) -> None:
    vector, lexical = semantic.vector("t2w1").vector, Hits(np.array([2, 7], np.int32), np.array([3.0, 1.0], np.float32))
    legs = semantic.legs(vector, lexical, 10)
    assert {2, 7} < set(legs.item.tolist())
    assert legs.semantic.tobytes() == semantic.scores(semantic.drawn(vector, lexical, semantic.fusion.pull), legs.item).tobytes()
    assert legs.lexical[legs.item == 2].tolist() == [3.0]
    best = legs.item[np.argsort(-fused(legs, Fusion(0.3)))]
    assert best[0] == 2


def test_a_query_of_unknown_words_is_drawn_to_what_words_found_all_the_same(semantic) -> None:
    vector = semantic.vector("tyop").vector
    legs = semantic.legs(vector, Hits(np.array([4, 10], np.int32), np.array([2.0, 2.0], np.float32)), 10)
    assert not vector.any()
    assert (legs.item % 6 == 4).all()
    assert len(legs.item) >= 10


def test_without_a_vector_words_stand_alone(semantic) -> None:
    lexical = Hits(np.array([4, 1], np.int32), np.array([2.0, 1.0], np.float32))
    for vector, found in ((None, lexical), (np.zeros(semantic.encoder.dim, np.float32), Hits.none())):
        legs = semantic.legs(vector, found, 10)
        assert legs.item.tolist() == sorted(found.item.tolist())
        assert not legs.semantic.any()


def test_what_is_put_is_found_by_the_next_search_and_what_is_deleted_by_none() -> None:
    semantic = fitted()
    vector = semantic.vector("t5w1 t5w2").vector
    semantic.put({1_000: "t5w1 t5w2", 5: "t0w1", 9: "t5w3"})
    found = semantic.search(vector, 32).item
    assert {1_000, 9} <= set(found.tolist())
    assert 5 not in found
    semantic.delete([1_000])
    assert 1_000 not in semantic.search(vector, 60).item


def test_a_release_carries_it_and_gives_the_same_scores(tmp_path) -> None:
    store, semantic = ReleaseStore(tmp_path, ManualClock()), fitted(fusion=Fusion(0.35, "rrf"))
    names = []
    for _ in range(2):
        semantic.save(draft := store.draft())
        names.append(store.commit(draft, LINEAGE, {}).name)
    assert names[0].split("-")[1] == names[1].split("-")[1]
    loaded = Semantic.load(store.open(names[0]), None)
    vector, items = semantic.vector("t1w1 t2w2").vector, np.arange(260, dtype=np.int32)
    assert loaded.vector("t1w1 t2w2").vector.tobytes() == vector.tobytes()
    assert loaded.search(vector, 30).item.tolist() == semantic.search(vector, 30).item.tolist()
    assert loaded.scores(vector, items).tobytes() == semantic.scores(vector, items).tobytes()
    assert loaded.fusion == Fusion(0.35, "rrf")


class Flat:
    """An engine whose vectors have as many dimensions as asked."""

    waits = False

    def __init__(self, dim: int, fingerprint: str = "flat") -> None:
        self.dim, self.fingerprint = dim, fingerprint

    def encode(self, texts):
        return np.full((len(texts), self.dim), self.dim**-0.5, np.float32)


def test_a_release_without_it_has_none_and_one_of_another_model_is_refused(tmp_path) -> None:
    store = ReleaseStore(tmp_path, ManualClock())
    assert Semantic.load(store.commit(store.draft(), LINEAGE, {}), None) is None
    fitted(Flat(4), "flat").save(draft := store.draft())
    release = store.commit(draft, LINEAGE, {})
    assert Semantic.load(release, {"flat": Flat(4)}.__getitem__).encoder.dim == 4
    with pytest.raises(EncoderError, match="expected flat"):
        Semantic.load(release, {"flat": Flat(4, "newer")}.__getitem__)


def test_vectors_of_a_wrong_dimension_cost_a_query_its_meaning_and_change_no_item() -> None:
    semantic = fitted(Flat(4), "flat")
    semantic.encoder.dim = 5
    answer = semantic.vector("sea")
    assert answer.vector is None
    assert "5 numbers" in answer.note
    with pytest.raises(EncoderError):
        semantic.put({1: "sea"})
    assert semantic.scores(np.full(4, 0.5, np.float32), np.array([1], np.int32)) > 0.9
