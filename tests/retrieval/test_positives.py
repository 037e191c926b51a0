import numpy as np

from vernal.config import parse
from vernal.retrieval.positives import Positives, compiled, pairs, type_weights


def positives_of(user: list[int], item: list[int], weight: list[float], time: list[int]) -> Positives:
    return Positives(np.array(user, np.int32), np.array(item, np.int32), np.array(weight, np.float32), np.array(time), 3, 4)


def test_the_heaviest_type_weighs_one_and_unknown_types_nothing() -> None:
    weights = type_weights(parse({"events": {"types": {"view": {"weight": 1}, "buy": {"weight": 4}}}}).events)
    assert weights[:5].tolist() == [0, 0, 0.25, 1, 0]


def test_values_below_the_least_are_no_positives(history) -> None:
    events = parse({"events": {"types": {"view": {"min_value": 7}, "buy": {}}}}).events
    assert set(history.type[history.type == 3]) == {3}
    assert len(Positives.of(history, events)) == int((history.type == 3).sum())


def test_a_pair_keeps_its_strongest_positive() -> None:
    matrix = pairs(positives_of([0, 0, 1], [2, 2, 2], [0.2, 0.9, 0.5], [1, 2, 3]), 1)
    assert matrix.lengths.tolist() == [1, 1, 0]
    np.testing.assert_allclose(matrix.value, [0.9, 0.5])


def test_rare_items_have_no_pairs() -> None:
    matrix = pairs(positives_of([0, 1, 2], [1, 1, 3], [1, 1, 1], [1, 2, 3]), 2)
    assert matrix.column.tolist() == [1, 1]


def test_only_the_newest_pairs_of_a_heavy_user_count() -> None:
    matrix = pairs(positives_of([0, 0, 0], [0, 1, 2], [1, 1, 1], [3, 1, 2]), 1, cap=2)
    assert matrix.column.tolist() == [0, 2]


def test_transposing_twice_changes_nothing() -> None:
    matrix = pairs(positives_of([0, 1, 1, 2], [3, 1, 2, 1], [1, 1, 1, 1], [1, 2, 3, 4]), 1)
    again = matrix.transposed().transposed()
    assert again.column.tolist() == matrix.column.tolist()
    assert again.start.tolist() == matrix.start.tolist()


def test_rules_are_compiled_once_per_settings() -> None:
    events = parse({}).events
    assert compiled(events)[0] is compiled(events)[0]
