import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.retrieval.clicks import POSITIONS, QueryClicks, Searched, looked_at

DAY = 86_400


def search(words: str, items: list[int], chosen: list[int], at_s: int = 0, propensity: float = 1.0) -> Searched:
    marked = np.isin(items, chosen).astype(np.float32)
    return Searched(at_s, words.split(), np.array(items, np.int64), np.full(len(items), propensity, np.float32), marked)


def test_what_is_chosen_more_often_than_usual_for_a_query_is_lifted_and_only_there() -> None:
    logged = [search("red wine", [1, 2, 3], [3]), search("white wine", [1, 2, 3], [1])] * 30
    clicks = QueryClicks.fit(logged, as_of_s=0)
    red = clicks.of(["wine", "red"], np.array([1, 2, 3, 9], np.int32))
    assert red[2] > 1.0 > 0.0 > red[0]
    assert red[3] == 0.0  # was not shown for it
    assert clicks.of(["white", "wine"], np.array([1], np.int32))[0] > 0
    assert np.isnan(clicks.of(["bread"], np.array([1], np.int32))).all()


def test_a_choice_far_down_says_more_than_one_at_the_top() -> None:
    logged = [search("wine", [1, 2, 3, 4, 5, 6, 7, 8], [1])] * 20 + [search("wine", [1, 2, 3, 4, 5, 6, 7, 8], [8])] * 20
    top, bottom = QueryClicks.fit(logged, as_of_s=0).of(["wine"], np.array([1, 8], np.int32))
    assert bottom > top


def test_old_choices_count_for_less() -> None:
    now = 300 * DAY
    logged = [search("wine", [1, 2], [1], at_s=0)] * 50 + [search("wine", [1, 2], [2], at_s=now)] * 50
    before, lately = QueryClicks.fit(logged, as_of_s=now).of(["wine"], np.array([1, 2], np.int32))
    assert lately > before


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a b"]), st.permutations([1, 2, 3, 4]), st.integers(0, 4)), max_size=12), st.randoms())
def test_the_order_of_the_log_changes_nothing(told: list[tuple[str, list[int], int]], random) -> None:
    logged = [search(words, items, items[:n]) for words, items, n in told]
    shuffled = list(logged)
    random.shuffle(shuffled)
    one, other = (QueryClicks.fit(each, as_of_s=0) for each in (logged, shuffled))
    for part, again in zip(one, other, strict=True):
        np.testing.assert_allclose(part, again, rtol=1e-5)


def test_how_much_positions_are_looked_at_is_learned_from_drawn_places_whatever_stands_there() -> None:
    draw, truth = np.random.default_rng(1), np.array([1.0, 0.5, 0.25, 0.1])
    liked = np.array([0.9, 0.6, 0.2, 0.05])  # by item; better ones stand further up more often
    place, propensity, chosen = [], [], []
    for _ in range(20_000):
        left = [0, 1, 2, 3]
        for position in range(4):
            odds = liked[left] ** 0.5 / (liked[left] ** 0.5).sum()
            at = draw.choice(len(left), p=odds)
            if position == 0 or len(left) == 4 - position:
                place.append(position)
                propensity.append(odds[at])
                chosen.append(draw.random() < truth[position] * liked[left[at]])
            left.pop(at)
    found = looked_at(np.array(place), np.where(np.array(propensity) > 0.94, 1.0, propensity), np.array(chosen, float))
    assert np.all(np.diff(found[:POSITIONS]) <= 0)
    assert abs(found[1] - truth[1]) < 0.2
    assert abs(found[2] - truth[2]) < 0.15


def test_without_drawn_places_positions_are_looked_at_as_is_usual() -> None:
    found = looked_at(np.array([0, 1, 2]), np.ones(3), np.ones(3))
    np.testing.assert_allclose(found[:3], 1 / np.log2([2, 3, 4]))
