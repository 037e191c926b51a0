import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import random_facts
from worlds import settings as world

from vernal.features.definition import compile_plan
from vernal.features.fold import fold_user, fold_users, user_values
from vernal.features.records import TILES, read_ring

PLAN = compile_plan(world(history=16))


def events(n: int, seed: int) -> tuple[np.ndarray, ...]:
    """Columns of one user's events."""
    facts = random_facts(n, seed, spread=[600, 100_000, 20 * 86_400][seed % 3])
    columns = ([f.time // 1_000_000 for f in facts], [f.item for f in facts], [max(2, f.type) for f in facts], [f.value for f in facts])
    return tuple(np.array(column, kind) for column, kind in zip(columns, (np.int64, np.int64, np.uint8, np.int32), strict=True))


def folded(columns: tuple[np.ndarray, ...], parts: list[np.ndarray]) -> bytes | None:
    record = None
    for part in parts:
        record = fold_user(PLAN, record, *(column[part] for column in columns))
    return record


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 120), seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 119), max_size=6))
def test_the_record_is_the_same_bytes_in_any_order_and_grouping(n: int, seed: int, cuts: list[int]) -> None:
    columns = events(n, seed)
    shuffled = np.random.default_rng(seed).permutation(n)
    parts = [part for part in np.split(shuffled, sorted(c for c in cuts if c < n)) if len(part)]
    assert folded(columns, parts) == folded(columns, [np.arange(n)])


def test_a_record_up_to_the_cap_is_raw_events_only_and_has_tiles_beyond() -> None:
    columns = events(17, 1)
    at_cap, beyond = folded(columns, [np.arange(16)]), folded(columns, [np.arange(17)])
    assert not at_cap[1] & TILES
    assert beyond[1] & TILES
    assert len(read_ring(beyond).time) == 16


def test_the_ring_keeps_the_newest_events_in_order() -> None:
    columns = events(60, 2)
    ring = read_ring(folded(columns, [np.random.default_rng(0).permutation(60)]))
    expected = sorted(zip(*(column.tolist() for column in (columns[0], columns[2], columns[1] & 0xFFFFFFFF, columns[3])), strict=True))[-16:]
    assert list(zip(ring.time.tolist(), ring.type.tolist(), ring.item.tolist(), ring.value.tolist(), strict=True)) == expected


def test_many_users_fold_as_each_would_alone() -> None:
    columns = events(90, 3)
    starts = np.array([0, 1, 40, 40, 90])
    together = fold_users(PLAN, [None, None, b"", None], starts, *columns)
    alone = [fold_user(PLAN, None, *(column[a:b] for column in columns)) for a, b in itertools.pairwise(starts)]
    assert together == alone


def test_events_without_values_take_nine_bytes_each() -> None:
    times = np.arange(10) + 1_700_000_000
    assert len(fold_user(PLAN, None, times, np.arange(10), np.full(10, 2, np.uint8), np.zeros(10, np.int32))) == 4 + 9 * 10


def test_a_user_without_events_reads_as_zero_counts_and_unknown_times() -> None:
    values = dict(zip(PLAN.user_names, user_values(PLAN, None, 1_700_000_100).tolist(), strict=True))
    assert values["user_count.count.1d"] == 0
    assert np.isnan(values["user_recency.recency"])


def test_a_quiet_user_ages_without_new_events() -> None:
    record = fold_user(PLAN, None, np.array([1_700_000_000]), np.array([1]), np.array([2], np.uint8), np.zeros(1, np.int32))
    column = PLAN.user_names.index("user_count.count.1d")
    now, later = (user_values(PLAN, record, 1_700_000_100 + days * 86_400)[column] for days in (0, 2))
    assert 0 < later < now / 3
