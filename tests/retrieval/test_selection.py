import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.retrieval.selection import N_BINS, Sieve, key_of, scores_of, shrink, unpack

SCORES = st.lists(st.floats(min_value=2.0**-100, max_value=2.0**100, width=32), min_size=1, max_size=300)


def selected(keys: np.ndarray, limit: int) -> np.ndarray:
    sieve = Sieve(keys, np.empty(len(keys), np.int64), np.empty(N_BINS, np.int32))
    items = np.empty(shrink(sieve, len(keys), limit), np.int32)
    unpack(sieve, len(items), items)
    return items


@settings(deadline=None)
@given(SCORES, st.integers(1, 40))
def test_the_best_are_those_of_a_full_sort(scores: list[float], limit: int) -> None:
    values = np.array(scores, np.float32)
    keys = np.array([key_of(score, item) for item, score in enumerate(values)], np.int64)
    items = selected(keys, limit)
    order = np.lexsort((np.arange(len(values)), -values))[:limit]
    assert items.tolist() == order.tolist()
    assert scores_of(keys[: len(items)]).tolist() == values[order].tolist()


def test_equal_scores_are_ordered_by_item_number() -> None:
    keys = np.array([key_of(np.float32(0.5), item) for item in (9, 2, 70_000_000, 5)], np.int64)
    assert selected(keys, 3).tolist() == [2, 5, 9]
