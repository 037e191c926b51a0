import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vernal.retrieval.fusion import WORDS_ALONE, Fusion, Judged, Legs, dcg, fused, ranked, tune
from vernal.retrieval.hits import Hits

SCORE = st.floats(0.125, 50, width=32)
HITS = st.dictionaries(st.integers(0, 40), SCORE, max_size=15).map(
    lambda found: (
        Hits(
            *(
                np.array(part, kind)
                for part, kind in zip(zip(*sorted(found.items(), key=lambda pair: (-pair[1], pair[0])), strict=True), (np.int32, np.float32), strict=True)
            )
        )
        if found
        else Hits.none()
    )
)
FUSIONS = st.builds(Fusion, st.floats(0, 1), st.sampled_from(["weighted", "rrf"]))


@given(HITS, HITS)
def test_the_candidates_are_those_of_both_legs_once_each_with_their_scores(words: Hits, meaning: Hits) -> None:
    legs = Legs.of(words, meaning)
    assert legs.item.tolist() == sorted({*words.item.tolist(), *meaning.item.tolist()})
    for hits, column in ((words, legs.lexical), (meaning, legs.semantic)):
        known = dict(zip(hits.item.tolist(), hits.score.tolist(), strict=True))
        assert column.tolist() == [known.get(item, 0.0) for item in legs.item.tolist()]


@given(HITS, HITS, st.sampled_from(["weighted", "rrf"]))
def test_weight_nought_is_the_order_of_words_and_one_that_of_meaning(words: Hits, meaning: Hits, method: str) -> None:
    legs = Legs.of(words, meaning)
    if len(words.item):
        assert ranked(legs, Fusion(0.0, method), len(words.item)).item.tolist() == words.item.tolist()
    if len(meaning.item):
        assert ranked(legs, Fusion(1.0, method), len(meaning.item)).item.tolist() == meaning.item.tolist()


@given(HITS, FUSIONS)
def test_a_leg_that_found_nothing_leaves_the_order_to_the_other(hits: Hits, fusion: Fusion) -> None:
    for legs in (Legs.of(hits, Hits.none()), Legs.of(Hits.none(), hits)):
        assert ranked(legs, fusion, 100).item.tolist() == hits.item.tolist()


@given(HITS, HITS, FUSIONS)
def test_whoever_both_legs_put_before_another_comes_before_it(words: Hits, meaning: Hits, fusion: Fusion) -> None:
    legs = Legs.of(words, meaning)
    score = fused(legs, fusion)
    assert ((score >= 0) & (score <= 1 + 1e-6)).all()
    above = (legs.lexical[:, None] >= legs.lexical) & (legs.semantic[:, None] >= legs.semantic)
    assert (score[:, None] >= score - 1e-6)[above].all()


@given(HITS, HITS, FUSIONS, st.floats(0.5, 4))
def test_the_unit_of_the_scores_of_words_does_not_matter(words: Hits, meaning: Hits, fusion: Fusion, unit: float) -> None:
    one, other = Legs.of(words, meaning), Legs.of(words._replace(score=words.score * np.float32(unit)), meaning)
    assert np.allclose(fused(one, fusion), fused(other, fusion), atol=1e-5)


def judged(n: int, seed: int, told: float) -> list[Judged]:
    """Queries with one right answer of thirty: words know something of it, meaning knows `told` times as much and errs otherwise."""
    random, made = np.random.default_rng(seed), []
    for _ in range(n):
        gain = np.zeros(30, np.float32)
        gain[random.integers(30)] = 1
        words, meaning = random.random(30) + 0.5 * gain, random.random(30) + 0.5 * told * gain
        legs = Legs(np.arange(30, dtype=np.int32), words.astype(np.float32), meaning.astype(np.float32))
        made.append(Judged({0.0: legs}, {int(gain.argmax()): 1.0}, dcg(np.ones(1))))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_meaning_that_knows_something_else_gets_weight_and_noise_gets_none(seed: int) -> None:
    good, noise = tune(judged(200, seed, 1.0)), tune(judged(200, seed, 0.0))
    assert good.fusion.weight > 0.2
    assert good.ndcg_10 > good.usual + good.error
    assert noise.fusion == WORDS_ALONE


def test_a_usual_fusion_stays_unless_queries_it_was_not_chosen_on_gain() -> None:
    usual = Fusion(0.5)
    assert tune(judged(200, 1, 1.0), usual=usual).fusion == usual
    assert tune(judged(200, 1, 0.0), usual=Fusion(1.0)).fusion.weight < 0.5


def test_too_few_queries_are_no_evidence() -> None:
    assert tune(judged(5, 0, 3.0)).fusion == WORDS_ALONE
    assert tune([]).fusion == WORDS_ALONE


def test_the_same_judgements_and_seed_give_the_same_choice() -> None:
    queries = judged(60, 1, 0.6)
    assert tune(queries, 3) == tune(queries, 3)
