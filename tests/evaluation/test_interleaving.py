"""Two rankings in one slate: fair, whole, and with the chances of every place."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.evaluation.interleaving import drafted

rankings = st.lists(st.integers(0, 30), max_size=12, unique=True).map(lambda items: np.array(items, np.int32))
seeds = st.integers(0, 2**63 - 1)


def items(first, second, draft):
    return [int((first, second)[team][place]) for team, place in zip(draft.team, draft.place, strict=True)]


@settings(deadline=None)
@given(first=rankings, second=rankings, n=st.integers(1, 20), seed=seeds)
def test_no_item_comes_twice_and_every_place_is_filled_while_there_are_items(first, second, n, seed):
    found = items(first, second, drafted(first, second, n, seed))
    assert len(found) == len(set(found)) == min(n, len({*first.tolist(), *second.tolist()}))


@settings(deadline=None)
@given(first=rankings, second=rankings, seed=seeds)
def test_each_team_keeps_its_own_order_and_no_team_is_more_than_one_pick_ahead_while_both_can_pick(first, second, seed):
    draft = drafted(first, second, 12, seed)
    for team in (0, 1):
        assert (np.diff(draft.place[draft.team == team]) > 0).all()
    whole = {*first.tolist()} == {*second.tolist()}
    lead = np.cumsum(np.where(draft.team == 0, 1, -1))
    assert not whole or (np.abs(lead) <= 1).all()


@settings(deadline=None)
@given(ranking=rankings, n=st.integers(1, 12), seed=seeds)
def test_a_ranking_with_itself_is_itself(ranking, n, seed):
    draft = drafted(ranking, ranking, n, seed)
    assert items(ranking, ranking, draft) == ranking[:n].tolist()
    assert (draft.chance == 1.0).all()


def test_chances_are_the_shares_of_seeds_by_count():
    first, second = np.array([1, 2, 3], np.int32), np.array([4, 1, 5], np.int32)
    tops = [items(first, second, drafted(first, second, 2, seed * 7_919)) for seed in range(4_000)]
    assert abs(np.mean([top[0] == 1 for top in tops]) - 0.5) < 0.03
    draft = drafted(first, second, 3, 1)
    assert draft.chance.tolist() == [0.5, 1.0, 0.5]


def test_the_same_seed_gives_the_same_slate():
    first, second = np.arange(10, dtype=np.int32), np.arange(9, -1, -1, dtype=np.int32)
    one, other = drafted(first, second, 10, 42), drafted(first, second, 10, 42)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
