from dataclasses import replace

import numpy as np
import pytest
from grove import NOW_US, SETTINGS, catalogue_of, history_of, live_of, ring_of
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal import terms
from vernal.events.history import HIDDEN
from vernal.features.ports import Ring
from vernal.retrieval.candidates import HISTORY_HALF_LIFE_S, Candidates, Query, retrieve, score_names
from vernal.retrieval.positives import type_weights

NOW_S = NOW_US // 1_000_000
EMPTY = Ring(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.int32))
NAMES = score_names()


def column(found: Candidates, name: str) -> np.ndarray:
    return found.scores[:, NAMES.index(name)]


def oracle(models, ring: Ring, live, request: Query) -> dict[str, np.ndarray]:
    """Every score of every item, the slow and obvious way."""
    weights, scores = type_weights(SETTINGS.events), {name: np.zeros(live.n) for name in NAMES}
    query: dict[int, float] = {}
    for at in range(len(ring.time) - 1, -1, -1):
        age, item, weight = NOW_S - int(ring.time[at]), int(ring.item[at]), float(weights[ring.type[at]])
        scores["history"][item] += weight * 2 ** (-age / HISTORY_HALF_LIFE_S)
        scores["history_count"][item] += 1
        if len(ring.time) - at <= request.recent_events:
            query.setdefault(item, weight * 2 ** (-age / request.half_life))
    if request.like is not None:
        query = {request.like: 1.0}
    for name in ("covisitation", "ease", "content"):
        for at, (item, weight) in enumerate(query.items()):
            items, values = models.relations.row(name, item)
            scores[name][items] += weight * values
            if at == 0 and name != "content":
                scores[f"{name}_last"][items] = values
    if query:
        v, f = models.factors.vectors.astype(np.float64), models.factors
        items, c = np.array(list(query)), np.array(list(query.values()))
        known = v[items].any(1)
        items, c = items[known], c[known]
        left = f.gram + v[items].T @ (c[:, None] * v[items]) + f.reg * (c.sum() + f.unobserved) ** f.nu * np.eye(f.dim)
        scores["ials"] = v @ np.linalg.solve(left, v[items].T @ c)
        scores["ials_last"] = v @ v[next(iter(query))]
    for row in live.top[:-1]:
        for place, item in enumerate(row[row >= 0]):
            scores["trending"][item] += 10 / ((10 + place) * (len(live.top) - 1))
    scores["fresh"] = 2.0 ** (-(NOW_S - live.first_seen.astype(float)) / (7 * 86_400))
    return scores


@pytest.mark.parametrize("request_", [Query(NOW_S, repeats=True), Query(NOW_S, recent_events=3, half_life=86_400.0), Query(NOW_S, like=17)])
def test_scores_are_those_of_a_naive_computation(models, live, rings, request_) -> None:
    for ring in rings[:10]:
        found = retrieve(models, ring, live, request_, SETTINGS)
        expected = oracle(models, ring, live, request_)
        for name in NAMES:
            np.testing.assert_allclose(column(found, name), expected[name][found.item], rtol=2e-3, atol=1e-4, err_msg=name)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), k=st.integers(1, 150), repeats=st.booleans(), filtered=st.booleans(), like=st.none() | st.integers(0, 119))
def test_candidates_are_distinct_and_never_masked(models, history, seed: int, k: int, repeats: bool, filtered: bool, like: int | None) -> None:
    random, live = np.random.default_rng(seed), live_of(history, catalogue_of())
    live.flags[random.permutation(120)[:20]] |= HIDDEN
    live.flags[random.permutation(120)[:20]] &= HIDDEN
    allowed = (random.random(120) < 0.5).astype(np.uint8) if filtered else None
    exclude = random.permutation(120)[:10].astype(np.int32)
    ring = ring_of(history, int(random.integers(0, 60)))
    found = retrieve(models, ring, live, Query(NOW_S, exclude=exclude, allowed=allowed, repeats=repeats, like=like, k=k), SETTINGS)
    masked = set(exclude.tolist()) | set(np.flatnonzero(live.flags != 1).tolist()) | set(np.flatnonzero(allowed == 0).tolist() if filtered else [])
    masked |= set() if repeats else set(ring.item.tolist())
    masked |= {like} if like is not None else set()
    items = found.item.tolist()
    assert len(items) == len(set(items)) == min(k, 120 - len(masked))
    assert not masked & set(items)
    assert (found.sources > 0).all()
    assert np.isfinite(found.scores).all()


def test_a_new_user_gets_popular_and_new_items(models, live) -> None:
    found = retrieve(models, EMPTY, live, Query(NOW_S, k=20), SETTINGS)
    trending, fresh = (1 << terms.SOURCES.index(name) for name in ("trending", "fresh"))
    assert found.item[0] == live.top[0, 0]
    assert set((found.sources & ~np.uint32(trending | fresh)).tolist()) == {0}


def test_a_users_own_group_comes_first(models, live, rings) -> None:
    shares = []
    for user, ring in enumerate(rings):
        found = retrieve(models, ring, live, Query(NOW_S, k=40, repeats=True), SETTINGS)
        ease = found.item[np.argsort(-column(found, "ials"), kind="stable")[:5]]
        shares.append(np.mean(ease % 4 == user % 4))
    assert np.mean(shares) > 0.8


def test_similar_items_share_the_group_of_the_example(models, live) -> None:
    found = retrieve(models, EMPTY, live, Query(NOW_S, like=8, k=60), SETTINGS)
    best = found.item[np.argsort(-column(found, "ease"), kind="stable")[:5]]
    assert np.mean(best % 4 == 0) >= 0.8
    assert 8 not in found.item


def test_a_bit_is_set_for_every_source_that_listed_the_item(models, live, rings) -> None:
    found = retrieve(models, rings[0], live, Query(NOW_S, repeats=True, k=120), SETTINGS)
    for bit, name in enumerate(terms.SOURCES[1:6], 1):
        listed = (found.sources & (1 << bit)) > 0
        assert listed.any()
        assert (column(found, name)[listed] > 0).all()


def test_an_earlier_request_leaves_no_trace(models, live, rings) -> None:
    first = retrieve(models, rings[0], live, Query(NOW_S), SETTINGS)
    for ring in rings[1:20]:
        retrieve(models, ring, live, Query(NOW_S, repeats=True, exclude=np.array([3, 5], np.int32)), SETTINGS)
    again = retrieve(models, rings[0], live, Query(NOW_S), SETTINGS)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))


def test_a_growing_catalogue_and_shorter_filters_are_safe(models, live) -> None:
    allowed = np.ones(50, np.uint8)
    found = retrieve(models, EMPTY, live, Query(NOW_S, allowed=allowed, k=100), SETTINGS)
    assert len(found.item) == 50
    assert found.item.max() < 50


def test_without_a_catalogue_undescribed_items_are_candidates(history, live) -> None:
    from vernal.retrieval.models import fit

    bare = catalogue_of()
    bare = replace(bare, flags=np.zeros(120, np.uint8))
    live.flags[:] = 0
    found = retrieve(fit(history, bare, SETTINGS, NOW_US, 0), EMPTY, live, Query(NOW_S), SETTINGS)
    assert len(found.item) == 120


def test_items_before_as_of_only_shape_the_models() -> None:
    from vernal.retrieval.models import fit

    whole, cut = history_of(2), NOW_US - 10 * 86_400_000_000
    early = fit(whole, catalogue_of(), SETTINGS, cut, 0)
    alone = fit(whole.before(cut), catalogue_of(), SETTINGS, cut, 0)
    assert all(early.parts[1][name].tobytes() == alone.parts[1][name].tobytes() for name in early.parts[1])


def test_what_matches_a_text_stands_alone_and_has_the_scores_it_has_anyway(models, live, rings) -> None:
    matches = np.array([5, 90, 17, 3, 44], np.int32)
    for ring in rings[:10]:
        request = Query(NOW_S, repeats=True, matches=matches, exclude=np.array([90], np.int32))
        found = retrieve(models, ring, live, request, SETTINGS)
        assert found.item.tolist() == [5, 17, 3, 44]
        expected = oracle(models, ring, live, request)
        for name in NAMES:
            np.testing.assert_allclose(column(found, name), expected[name][found.item], rtol=2e-3, atol=1e-4, err_msg=name)
