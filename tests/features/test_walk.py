import numpy as np
from worlds import catalogue, history_of, random_facts, same
from worlds import settings as world

from vernal.features.definition import compile_plan
from vernal.features.join import point_in_time
from vernal.features.pairs import pair_values
from vernal.features.walk import Walk
from vernal.features.weights import hop

SETTINGS = world()
PLAN = compile_plan(SETTINGS)


def test_every_stop_shows_what_the_join_gives_for_that_moment() -> None:
    history = history_of(random_facts(400, 1))
    walk = Walk(PLAN, SETTINGS, history, catalogue())
    for at in np.quantile(history.received_at, [0.1, 0.4, 0.41, 0.9, 1.0]).astype(np.int64).tolist():
        walk.to(at)
        state, pair = walk.user(1, at), np.empty((5, len(PLAN.pair_names)), np.float32)
        pair_values(PLAN, state.ring, hop(at), np.arange(5), walk.live.attributes, pair)
        walk.live.read_out(np.arange(5, dtype=np.int32))
        seen = np.concatenate([walk.live.values[:5], np.tile(state.values, (5, 1)), pair], axis=1)
        assert same(seen, point_in_time(PLAN, history, catalogue(), np.full(5, 1), np.arange(5), np.full(5, at)))
        assert walk.live.offset == state.offset == history.available_before(at)


def test_an_item_is_new_from_its_first_event_on() -> None:
    history = history_of(random_facts(100, 2))
    walk = Walk(PLAN, SETTINGS, history, catalogue())
    walk.to(int(history.received_at[0]))
    assert walk.live.first_seen[: walk.live.n].tolist() == [0] * 5
    assert walk.live.top[-1, 0] == -1
    walk.to(int(history.received_at[-1]) + 1)
    assert (walk.live.first_seen[:5] > 0).all()


def test_ids_titles_and_attributes_are_the_catalogues() -> None:
    walk = Walk(PLAN, SETTINGS, history_of([]), catalogue())
    walk.to(1_700_000_000_000_000)
    assert (walk.live.number("i3"), walk.live.titles(3), walk.live.code(1, "z")) == (3, "i3", 3)
    assert (walk.live.attributes[:5] == catalogue().attributes).all()
