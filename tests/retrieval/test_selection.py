import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vernal.retrieval.selection import N_BINS, key_of, shrink, unpack

SCORES = st.lists(st.floats(min_value=2.0**-100, max_value=2.0**100, width=32), min_size=1, max_size=300)


@given(SCORES, st.integers(1, 40))
def test_the_best_are_those_of_a_full_sort(scores: list[float], limit: int) -> None:
    values = np.array(scores, np.float32)
    keys = np.array([key_of(score, item) for item, score in enumerate(values)], np.int64)
    size = shrink(keys, np.empty(len(keys), np.int64), np.empty(N_BINS, np.int32), len(keys), limit)
    items, found = np.empty(size, np.int32), np.empty(size, np.float32)
    unpack(keys, size, items, found)
    order = np.lexsort((np.arange(len(values)), -values))[:limit]
    assert items.tolist() == order.tolist()
    assert found.tolist() == values[order].tolist()


def test_equal_scores_are_ordered_by_item_number() -> None:
    keys = np.array([key_of(np.float32(0.5), item) for item in (9, 2, 70_000_000, 5)], np.int64)
    size = shrink(keys, np.empty(4, np.int64), np.empty(N_BINS, np.int32), 4, 3)
    items = np.empty(size, np.int32)
    unpack(keys, size, items, np.empty(size, np.float32))
    assert items.tolist() == [2, 5, 9]
