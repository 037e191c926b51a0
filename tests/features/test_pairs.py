import numpy as np
from oracle import Fact, Oracle, as_float32
from worlds import ATTRIBUTES, random_facts, same
from worlds import settings as world

from vernal.config import Aggregate, Settings, View
from vernal.features.definition import compile_plan
from vernal.features.fold import fold_user
from vernal.features.pairs import pair_values
from vernal.features.records import EMPTY_RING, read_ring

SETTINGS = world()
PLAN = compile_plan(SETTINGS)
TABLE = np.array(ATTRIBUTES, np.int32)
HOP = 1_700_000_100 + 11 * 86_400


def ring_of(facts: list[Fact]) -> bytes:
    mine = [fact for fact in facts if fact.user == 0 and fact.type > 1]
    columns = ([f.time // 1_000_000 for f in mine], [f.item for f in mine], [f.type for f in mine], [f.value for f in mine])
    return fold_user(PLAN, None, *(np.array(column, kind) for column, kind in zip(columns, (np.int64, np.int64, np.uint8, np.int32), strict=True)))


def test_candidates_get_the_values_of_the_definition() -> None:
    facts, out = random_facts(200, 1), np.empty((5, len(PLAN.pair_names)), np.float32)
    pair_values(PLAN, read_ring(ring_of(facts)), HOP, np.arange(5), TABLE, out)
    first = len(PLAN.item_names) + len(PLAN.user_names)
    rows = [Oracle(SETTINGS, ATTRIBUTES).row(facts, 0, item, HOP * 1_000_000 + 1)[first:] for item in range(5)]
    assert same(out, as_float32(rows))


def test_an_item_the_table_does_not_know_has_no_attributes() -> None:
    out = np.empty((2, len(PLAN.pair_names)), np.float32)
    pair_values(PLAN, read_ring(ring_of(random_facts(200, 1))), HOP, np.array([77, 1_000_000]), TABLE, out)
    empty = np.empty_like(out)
    pair_values(PLAN, EMPTY_RING, HOP, np.array([0, 1]), TABLE, empty)
    assert same(out, empty)


def test_a_plan_without_pairs_fills_nothing() -> None:
    plan = compile_plan(Settings(features={"one": View(entity="item", count=Aggregate())}))
    pair_values(plan, EMPTY_RING, HOP, np.arange(3), TABLE, np.empty((3, 0), np.float32))
