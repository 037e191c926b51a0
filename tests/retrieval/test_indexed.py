"""Retrieval through the index and for items newer than the models: the same rules as for a small catalogue."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from grove import NOW_US, SETTINGS, LiveTable, catalogue_of, ring_of

from vernal import terms
from vernal.events.history import DESCRIBED
from vernal.retrieval.candidates import Query, retrieve, score_names
from vernal.retrieval.models import ItemModels, fit

NOW_S = NOW_US // 1_000_000
IALS = score_names().index("ials")


@pytest.fixture(scope="module")
def indexed(history, catalogue) -> ItemModels:
    found = fit(history, catalogue, msgspec.structs.replace(SETTINGS, retrieval=msgspec.structs.replace(SETTINGS.retrieval, exact_below=0)), NOW_US, 7)
    assert found.index is not None
    return found


def test_the_index_and_the_scan_propose_nearly_the_same(indexed, models, live, rings) -> None:
    bit, shares = 1 << terms.SOURCES.index("ials"), []
    for ring in rings[:20]:
        one, other = (retrieve(m, ring, live, Query(NOW_S, k=40), SETTINGS) for m in (indexed, models))
        listed = [set(found.item[(found.sources & bit) > 0].tolist()) for found in (one, other)]
        shares.append(len(listed[0] & listed[1]) / max(1, len(listed[1])))
    assert np.mean(shares) > 0.8


def test_a_filter_that_leaves_few_still_gets_its_items_through_the_index(indexed, live, rings) -> None:
    allowed = np.zeros(120, np.uint8)
    allowed[::7] = 1
    found = retrieve(indexed, rings[0], live, Query(NOW_S, allowed=allowed, repeats=True, k=18), SETTINGS)
    assert set(found.item.tolist()) <= set(range(0, 120, 7))
    assert len(found.item) == 18


def grown(live: LiveTable, groups: list[int]) -> LiveTable:
    """The live table after more items arrived."""
    n = 120 + len(groups)
    attributes, flags, first_seen = np.zeros((n + 50, 1, 4), np.int32), np.zeros(n + 50, np.uint8), np.zeros(n + 50, np.uint32)
    attributes[:120], flags[:120], first_seen[:120] = live.attributes, live.flags, live.first_seen
    attributes[120:n, 0, 0], flags[120:n], first_seen[120:n] = [group + 1 for group in groups], DESCRIBED, NOW_S
    return replace(live, n=n, attributes=attributes, flags=flags, first_seen=first_seen)


def test_new_items_are_proposed_to_those_who_like_their_kind(history, catalogue, live) -> None:
    models, later = fit(history, catalogue, SETTINGS, NOW_US, 7), grown(live, [0, 1, 2, 3])
    for user in range(20):
        found = retrieve(models, ring_of(history, user), later, Query(NOW_S, repeats=True), SETTINGS)
        scores = {int(item): score for item, score in zip(found.item, found.scores[:, IALS], strict=True) if item >= 120}
        assert max(scores, key=scores.__getitem__) == 120 + user % 4


def test_a_new_item_moves_when_its_description_changes(history, catalogue, live) -> None:
    models, later = fit(history, catalogue, SETTINGS, NOW_US, 7), grown(live, [0])
    before = models.delta.follow(later)[0].copy()
    later.attributes[120, 0, 0] = 3
    after = models.delta.follow(later)[0]
    assert before @ models.factors.vectors[0] > before @ models.factors.vectors[2]
    assert after @ models.factors.vectors[2] > after @ models.factors.vectors[0]


def test_an_undescribed_new_item_waits(history, catalogue, live) -> None:
    models, later = fit(history, catalogue, SETTINGS, NOW_US, 7), grown(live, [0])
    later.flags[120] = 0
    assert 120 not in retrieve(models, ring_of(history, 0), later, Query(NOW_S), SETTINGS).item


def test_similar_to_a_new_item_works(history, catalogue, live) -> None:
    models, later = fit(history, catalogue, SETTINGS, NOW_US, 7), grown(live, [2])
    found = retrieve(models, ring_of(history, 0), later, Query(NOW_S, like=120, repeats=True), SETTINGS)
    best = found.item[np.argsort(-found.scores[:, IALS], kind="stable")[:5]]
    assert np.mean(best % 4 == 2) >= 0.8


def test_many_new_items_grow_the_delta(history, live) -> None:
    models, later = fit(history, catalogue_of(), SETTINGS, NOW_US, 7), grown(live, [i % 4 for i in range(3_000)])
    assert models.delta.follow(later).shape == (3_000, 16)
    assert models.delta.follow(live).shape == (0, 16)
