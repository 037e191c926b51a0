"""LSA of a small world of topics; and what happens to queries when an encoder is slow or away."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.clock import ManualClock
from vernal.errors import EncoderError
from vernal.retrieval.encoders import MOST_KEPT, REST_S, Lsa, Queries

TOPICS = [[f"t{topic}w{word}" for word in range(12)] for topic in range(6)]
TEXT = st.lists(st.sampled_from([word for topic in TOPICS for word in topic] + ["unheard", "of"]), max_size=20).map(" ".join)


def world(n: int, seed: int = 0) -> list[str]:
    """Texts of one topic each, n of them, topic by topic in turn."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(TOPICS[row % len(TOPICS)], 8)) for row in range(n)]


@pytest.fixture(scope="module")
def lsa() -> Lsa:
    return Lsa.fit(world(300), 8, 0, str.split)


def test_texts_of_one_topic_are_near_though_they_share_no_word(lsa) -> None:
    a, b, c = lsa.encode(["t0w0 t0w1 t0w2", "t0w7 t0w8 t0w9", "t1w0 t1w1 t1w2"])
    assert a @ b > 0.8 > 0.2 > abs(a @ c)


@settings(deadline=None, max_examples=40)
@given(st.lists(TEXT, min_size=1, max_size=6))
def test_rows_have_unit_norm_or_are_zero_where_nothing_is_known(lsa, texts: list[str]) -> None:
    norms = np.linalg.norm(lsa.encode(texts), axis=1)
    known = np.array([any(word in lsa.vocabulary for word in text.split()) for text in texts])
    assert np.allclose(norms, known, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.lists(TEXT, min_size=1, max_size=6))
def test_a_row_depends_on_its_own_text_alone(lsa, texts: list[str]) -> None:
    assert lsa.encode(texts).tobytes() == b"".join(lsa.encode([text]).tobytes() for text in texts)


@settings(deadline=None, max_examples=15)
@given(st.lists(TEXT, max_size=30), st.integers(0, 3))
def test_equal_texts_and_seed_give_equal_bytes_and_saving_changes_nothing(texts: list[str], seed: int) -> None:
    one, two = (Lsa.fit(texts, 8, seed, str.split) for _ in range(2))
    again = Lsa.opened(one.arrays(), str.split)
    assert one.fingerprint == two.fingerprint == again.fingerprint
    assert one.encode(texts).tobytes() == two.encode(texts).tobytes() == again.encode(texts).tobytes()


@pytest.mark.parametrize("texts", [[], [""], ["alone"], ["same", "same"], ["a b", "c d"]])
def test_too_little_text_gives_fewer_dimensions_and_no_failure(texts) -> None:
    lsa = Lsa.fit(texts, 8, 0, str.split)
    assert lsa.dim <= len(texts)
    assert lsa.encode(["a", ""]).shape == (2, lsa.dim)


def test_a_large_catalogue_is_learned_from_a_sample_and_still_tells_topics_apart(monkeypatch) -> None:
    monkeypatch.setattr("vernal.retrieval.encoders.FITTED_ON", 120)
    a, b, c = Lsa.fit(world(600), 8, 0, str.split).encode(["t0w0 t0w1", "t0w7 t0w8", "t1w0 t1w1"])
    assert a @ b > 0.7 > 0.3 > abs(a @ c)


class Lent:
    """An encoder that answers when it is let, or fails."""

    dim, fingerprint, waits = 2, "lent", True

    def __init__(self) -> None:
        self.may, self.error, self.asked = threading.Event(), None, []

    def encode(self, texts):
        self.asked += texts
        self.may.wait(10)
        if self.error:
            raise self.error
        return np.ones((len(texts), 2), np.float32)


def test_a_slow_encoder_costs_the_first_query_its_meaning_and_serves_the_next() -> None:
    queries = Queries(lent := Lent(), 2)
    assert queries.vector("sea", wait_s=0.0).vector is None
    assert "longer than" in queries.vector("sea", wait_s=0.0).note
    coming = queries.coming["sea"]
    lent.may.set()
    coming.result(10)
    assert queries.vector("sea", wait_s=0.0).vector.tolist() == [1, 1]
    assert lent.asked == ["sea"]


def test_an_encoder_that_failed_is_left_alone_for_a_while_and_asked_again() -> None:
    clock, lent = ManualClock(), Lent()
    lent.may.set()
    lent.error = EncoderError.away("http://model", "connection refused")
    queries = Queries(lent, 2, clock)
    assert "connection refused" in queries.vector("a").note
    assert "connection refused" in queries.vector("b").note
    assert lent.asked == ["a"]
    lent.error = None
    clock.advance(seconds=REST_S)
    assert queries.vector("b").vector is not None


def test_the_newest_queries_are_kept_and_no_more_than_their_number(lsa) -> None:
    queries = Queries(lsa, lsa.dim)
    for number in range(MOST_KEPT + 10):
        queries.vector(f"t0w1 {number}")
        queries.vector("first")
    assert len(queries.kept) == MOST_KEPT
    assert "first" in queries.kept
    assert "t0w1 0" not in queries.kept
