"""The pipeline as a whole: its laws, its rungs by damaging real parts, its words about itself."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import small_shop as world
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from vernal.clock import ManualClock
from vernal.config import Scenario, Settings
from vernal.errors import ConfigError, RequestError
from vernal.events.history import DESCRIBED, HIDDEN
from vernal.events.schema import Item
from vernal.features.definition import compile_plan
from vernal.features.items import ItemState
from vernal.features.table import SEQUENCE
from vernal.ranking.explain import sources_of
from vernal.ranking.features import feature_names
from vernal.ranking.ladder import ORDER, Budget, Laps, Rung
from vernal.ranking.parts import Parts, save_static
from vernal.ranking.recommender import NO_RING, Ranked, Recommender
from vernal.ranking.request import Request
from vernal.release import Lineage, Release, ReleaseStore

LINEAGE = Lineage(log_from=0, log_to=0, as_of=0, config="", plan="", code="", seed=0)
SETTINGS = world.settings(
    scenarios={
        "capped": {"caps": {"genre": 2}},
        "explore": {"temperature": 1.0, "explore_share": 0.2, "diversity": 0.3},
        "horror": {"filter": {"genre": "horror"}},
        "again": {"repeats": True},
    }
)
PLAN = compile_plan(SETTINGS)
LIVE = world.walk(SETTINGS).live


@pytest.fixture(scope="module")
def parts() -> Parts:
    return world.parts(SETTINGS)


@pytest.fixture(scope="module")
def ask(parts: Parts) -> Callable[..., Ranked]:
    recommender, live, state = Recommender(parts, PLAN, SETTINGS), LIVE, world.state(SETTINGS)

    def answer(seed: int = 1, **fields: Any) -> Ranked:
        return recommender.recommend(Request(**{"user": "user0"} | fields), state, live, world.NOW_US, seed)

    return answer


def test_the_holdout_gets_the_best_list_whoever_asks_and_by_the_same_rules(parts: Parts) -> None:
    impersonal = Recommender(dataclasses.replace(parts, best_list="3d"), PLAN, SETTINGS).impersonal()
    row = PLAN.trending.index("3d")
    for user in (None, world.state(SETTINGS)):
        answer = impersonal.recommend(Request(user="user0", scenario="again"), user, LIVE, world.NOW_US, 1)
        assert (answer.numbers.tolist(), answer.rung) == (LIVE.top[row][:10].tolist(), Rung.TRENDING)
    horror = impersonal.recommend(Request(user="user0", scenario="horror"), world.state(SETTINGS), LIVE, world.NOW_US, 1)
    assert {int(LIVE.attributes[number, 0, 0]) for number in horror.numbers} == {LIVE.code(0, "horror")}


def test_a_segment_is_the_value_chosen_most_in_every_arm(parts: Parts) -> None:
    recommender = Recommender(parts, PLAN, SETTINGS)
    known, new = world.state(SETTINGS), world.state(SETTINGS)._replace(ring=NO_RING)
    arms = [recommender, recommender.impersonal()]
    assert {arm.recommend(Request(user="user0"), known, LIVE, world.NOW_US, 1).segment for arm in arms} == {"drama"}
    assert {arm.recommend(Request(user="user0"), new, LIVE, world.NOW_US, 1).segment for arm in arms} == {""}


def content(answer: Ranked) -> bytes:
    return msgspec.json.encode([part.tobytes().hex() if isinstance(part, np.ndarray) else part for part in answer])


def genre(number: int) -> int:
    return 1 + number % 3


requests = st.fixed_dictionaries(
    {
        "scenario": st.sampled_from(["home", "capped", "explore", "horror", "again"]),
        "n": st.integers(1, 40),
        "filter": st.sampled_from([{}, {"genre": "drama"}, {"genre": ["drama", "horror"], "studio": "north"}]),
        "exclude": st.lists(st.integers(0, 130).map("film{}".format), max_size=20),
        "boost": st.dictionaries(st.sampled_from(["film3", "film999", "genre=comedy", "studio=south"]), st.floats(0.01, 100), max_size=3),
        "pin": st.lists(st.integers(0, 125).map("film{}".format), max_size=3),
        "diversity": st.sampled_from([None, 0, 0.5, 1]),
        "session": st.lists(st.integers(0, 119).map("film{}".format), max_size=3),
    }
)


@trials(max_examples=150, deadline=None)
@given(fields=requests, seed=st.integers(0, 2**64 - 1))
def test_every_answer_is_free_of_duplicates_and_obeys_every_rule(ask: Callable[..., Ranked], fields: dict[str, Any], seed: int) -> None:
    answer = ask(seed, **fields)
    placed = answer.numbers.tolist()
    names = {"drama": 1, "comedy": 2, "horror": 3}
    wanted = {names[g] for g in np.atleast_1d(fields["filter"].get("genre", list(names)))}
    assert len(set(placed)) == len(placed) <= fields["n"]
    assert not set(answer.ids) & set(fields["exclude"])
    assert all(genre(i) in wanted for i in placed)
    assert fields["scenario"] != "horror" or all(genre(i) == 3 for i in placed)
    assert fields["scenario"] != "capped" or max(np.bincount([genre(i) for i in placed], minlength=1)) <= 2
    assert fields["scenario"] == "again" or not set(placed) & set(world.state(SETTINGS).ring.item.tolist())
    assert ((answer.propensities > 0) & (answer.propensities <= 1)).all()


@trials(max_examples=40, deadline=None)
@given(fields=requests, seed=st.integers(0, 2**64 - 1))
def test_the_same_arguments_give_the_same_bytes_whatever_was_asked_before(ask: Callable[..., Ranked], fields: dict[str, Any], seed: int) -> None:
    first = content(ask(seed, **fields, explain=True))
    ask(seed + 1 & 2**64 - 1, scenario="again", n=30)
    assert content(ask(seed, **fields, explain=True)) == first


def test_another_process_loading_the_release_gives_the_same_bytes(parts: Parts, tmp_path: Path) -> None:
    loaded = Recommender(Parts.of(release_of(parts, tmp_path), PLAN), PLAN, SETTINGS)
    both = [
        content(r.recommend(Request(user="user0", scenario="explore"), world.state(SETTINGS), LIVE, world.NOW_US, 9)._replace(release=""))
        for r in (Recommender(parts, PLAN, SETTINGS), loaded)
    ]
    assert both[0] == both[1]


def release_of(parts: Parts, folder: Path, leave_out: tuple[str, ...] = ()) -> Release:
    store = ReleaseStore(folder, ManualClock())
    draft = store.draft()
    if parts.models and "models" not in leave_out:
        parts.models.save(draft)
    if parts.ranker and "ranker" not in leave_out:
        parts.ranker.save(draft)
    if "static" not in leave_out:
        save_static(draft, parts.static)
    return store.commit(draft, LINEAGE, {})


def answered(parts: Parts, **changed: Any) -> Ranked:
    arguments = {"request": Request(user="user0"), "user": world.state(SETTINGS), "live": LIVE, "budget": Budget()} | changed
    request, user, live, budget = (arguments[name] for name in ("request", "user", "live", "budget"))
    return Recommender(parts, PLAN, SETTINGS).recommend(request, user, live, world.NOW_US, 1, budget)


def test_with_every_part_the_rung_is_full(parts: Parts) -> None:
    answer = answered(parts)
    assert answer.rung is Rung.FULL
    assert answer.features.shape == (10, len(feature_names(PLAN)))
    assert parts.ranker is not None
    np.testing.assert_array_equal(parts.ranker.score(answer.features), answer.scores)


def test_an_unreadable_user_state_leaves_the_ranker_without_slow_features(parts: Parts) -> None:
    answer = answered(parts, user=None)
    slow = [name in (*PLAN.user_names, *PLAN.pair_names) for name in feature_names(PLAN)]
    assert answer.rung is Rung.FAST
    assert np.isnan(answer.features[:, slow]).all()


def test_a_state_of_another_plan_leaves_the_ranker_without_slow_features(parts: Parts) -> None:
    assert answered(parts, user=world.state(SETTINGS)._replace(values=np.zeros(3, np.float32))).rung is Rung.FAST


def test_a_release_without_ranker_answers_in_retrieval_order(parts: Parts, tmp_path: Path) -> None:
    without = Parts.of(release_of(parts, tmp_path, leave_out=("ranker",)), PLAN)
    answer = answered(without)
    assert answer.rung is Rung.RETRIEVAL
    assert (np.diff(answer.scores) < 0).all()


def test_a_damaged_ranker_file_lowers_the_rung_and_is_named(parts: Parts, tmp_path: Path) -> None:
    release = release_of(parts, tmp_path)
    (release.path / "ranker_border.npy").write_bytes(b"\x93NUMPY broken")
    answer = answered(Parts.of(release, PLAN))
    assert answer.rung is Rung.RETRIEVAL
    assert any("ranker" in note for note in answer.notes)


def test_a_ranker_of_another_plan_is_not_used(parts: Parts, tmp_path: Path) -> None:
    assert parts.ranker is not None
    other = dataclasses.replace(parts, ranker=dataclasses.replace(parts.ranker, names=("else", *parts.ranker.names[1:])))
    answer = answered(Parts.of(release_of(other, tmp_path), PLAN))
    assert answer.rung is Rung.RETRIEVAL
    assert any("else" in note for note in answer.notes)


def test_a_release_without_models_answers_with_trending_in_the_users_segment(parts: Parts, tmp_path: Path) -> None:
    answer = answered(Parts.of(release_of(parts, tmp_path, leave_out=("models",)), PLAN))
    assert answer.rung is Rung.SEGMENT
    assert {genre(i) for i in answer.numbers.tolist()} == {1}  # user0 keeps to the first genre
    assert any("models" in note for note in answer.notes)


def test_damaged_models_answer_a_new_user_with_trending(parts: Parts, tmp_path: Path) -> None:
    release = release_of(parts, tmp_path)
    (release.path / "retrieval.vectors.npy").unlink()
    live = world.live_with_top(SETTINGS, [[5, 9, 2], [9, 5, 7], [9]])
    answer = answered(Parts.of(release, PLAN), live=live, request=Request(user="nobody", n=4), user=world.state(SETTINGS, None))
    assert (answer.rung, answer.ids) == (Rung.TRENDING, ["film9", "film5", "film2", "film7"])


def test_no_release_at_all_answers_with_trending() -> None:
    assert answered(Parts(), user=world.state(SETTINGS, None)).rung is Rung.TRENDING


def test_an_empty_live_table_answers_with_the_standing_list(parts: Parts) -> None:
    answer = answered(parts, live=ItemState(PLAN).live)
    seen = set(world.state(SETTINGS).ring.item.tolist())
    assert answer.rung is Rung.STATIC
    assert answer.ids == [item for item, number in parts.static if number not in seen][:10]


def test_no_live_table_obeys_exclusions_and_shows_nothing_where_it_cannot_filter(parts: Parts) -> None:
    assert "film1" not in answered(parts, live=None, request=Request(exclude=["film1"])).ids
    filtered = answered(parts, live=None, request=Request(filter={"genre": "drama"}))
    assert filtered.ids == []
    assert any("filters" in note for note in filtered.notes)


def test_no_release_and_no_live_table_is_an_empty_slate_not_an_error() -> None:
    answer = answered(Parts(), live=None, user=None)
    assert (answer.rung, answer.ids) == (Rung.STATIC, [])


def test_popularity_lists_without_anything_fall_to_the_standing_list(parts: Parts) -> None:
    answer = answered(dataclasses.replace(parts, models=None), live=world.live_with_top(SETTINGS, []))
    assert answer.rung is Rung.STATIC
    assert len(answer.ids) == 10


def test_a_live_table_whose_writer_died_falls_to_the_standing_list(parts: Parts) -> None:
    items = world.walk(SETTINGS).items
    items.table.header[SEQUENCE] |= 1  # a publication that was never finished
    assert answered(parts, live=items.live).rung is Rung.STATIC


def test_a_live_table_of_another_plan_is_not_ranked_on(parts: Parts) -> None:
    other = world.settings(features={"only": {"entity": "item", "count": {"window": "7d"}}})
    assert answered(parts, live=world.walk(other).live).rung is Rung.RETRIEVAL


@pytest.mark.parametrize("rung", ORDER)
def test_replay_may_ask_for_any_rung(parts: Parts, rung: Rung) -> None:
    assert answered(parts, budget=Budget(best=rung)).rung is rung


def test_a_shrinking_budget_steps_down_the_ladder(parts: Parts) -> None:
    reached = {answered(parts, budget=Budget(left_us=lambda left=left: left)).rung for left in (1_000.0, 160.0, 110.0, 0.0)}
    between: Iterator[float] = iter([1_000.0, 500.0, 500.0, 500.0])
    assert reached == {Rung.FULL, Rung.SEGMENT, Rung.TRENDING, Rung.STATIC}
    assert answered(parts, budget=Budget(left_us=lambda: next(between))).rung is Rung.FAST


def test_hidden_and_undescribed_items_are_never_shown_on_any_rung(parts: Parts) -> None:
    items = world.walk(SETTINGS).items
    items.table.flags[: world.N_ITEMS : 2] = DESCRIBED | HIDDEN
    items.table.flags[1 : world.N_ITEMS : 6] = 0
    live = items.live
    for rung in ORDER:
        answer = answered(parts, live=live, budget=Budget(best=rung), request=Request(user="user0", n=50, pin=["film0"], boost={"film1": 5.0}))
        assert (live.flags[answer.numbers] == DESCRIBED).all()


def test_a_filter_is_filled_from_the_whole_catalogue(ask: Callable[..., Ranked]) -> None:
    assert len(ask(filter={"genre": "horror", "studio": "north"}, n=15).ids) == 15


def test_changed_attributes_are_filtered_on_at_once(parts: Parts) -> None:
    recommender, shop = Recommender(parts, PLAN, SETTINGS), world.walk(SETTINGS)
    request = Request(filter={"genre": "horror"}, n=5)
    before = recommender.recommend(request, world.state(SETTINGS), shop.live, world.NOW_US, 1)
    shop.items.state.upsert(int(before.numbers[0]), Item(before.ids[0], attributes={"genre": ["drama"]}))
    shop.items.state.publish(offset=world.N_EVENTS + 1)
    after = recommender.recommend(request, world.state(SETTINGS), shop.live, world.NOW_US, 1)
    assert before.numbers[0] not in after.numbers


def test_a_filter_asked_of_one_live_table_says_nothing_of_another(parts: Parts) -> None:
    recommender, first, second = Recommender(parts, PLAN, SETTINGS), world.walk(SETTINGS), world.walk(SETTINGS)
    second.items.table.attributes[:, 0, 0] = 1
    request = Request(filter={"genre": "horror"})
    answers = [recommender.recommend(request, world.state(SETTINGS), shop.live, world.NOW_US, 1) for shop in (first, second)]
    assert [len(answer.ids) for answer in answers] == [10, 0]


def test_a_boosted_value_moves_its_items_up(ask: Callable[..., Ranked]) -> None:
    plain, boosted = (ask(n=10, boost=boost).numbers % 3 for boost in ({}, {"genre=horror": 1000.0}))
    assert (boosted == 2).sum() > (plain == 2).sum()


def test_a_pinned_item_stands_first_with_propensity_one(ask: Callable[..., Ranked]) -> None:
    unseen = next(i for i in range(119, 0, -1) if i not in world.state(SETTINGS).ring.item)
    answer = ask(scenario="explore", pin=[f"film{unseen}"], explain=True)
    assert (answer.ids[0], answer.propensities[0]) == (f"film{unseen}", 1)
    assert answer.reasons[0].sentence.startswith("Placed first: it is")


def test_similar_items_start_from_the_item_and_leave_it_out(ask: Callable[..., Ranked]) -> None:
    answer = ask(scenario="similar", item="film4", user="", explain=True)
    assert "film4" not in answer.ids
    assert any("Film number 4" in reason.sentence for reason in answer.reasons)


def test_a_sessions_items_count_as_recent_choices(ask: Callable[..., Ranked]) -> None:
    assert ask(user="", session=["film2", "film5"]).numbers.tolist() != ask(user="").numbers.tolist()
    assert not {"film2", "film5"} & set(ask(user="", session=["film2", "film5"], n=50).ids)


def test_reasons_are_exact_and_name_only_true_sources(ask: Callable[..., Ranked], parts: Parts) -> None:
    answer = ask(explain=True)
    assert parts.ranker is not None
    contributions = parts.ranker.contributions(answer.features)
    for place, reason in enumerate(answer.reasons):
        assert reason.sources == sources_of(int(answer.sources[place]))
        for moved in reason.features:
            column = feature_names(PLAN).index(moved.feature)
            assert moved.contribution == pytest.approx(contributions[place, column], abs=1e-6)
            assert moved.value == pytest.approx(answer.features[place, column], nan_ok=True)


def test_an_unknown_user_gets_an_answer_that_says_so(parts: Parts) -> None:
    answer = answered(parts, request=Request(user="nobody"), user=world.state(SETTINGS, None))
    assert len(answer.ids) == 10
    assert any("no history of 'nobody'" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n": 0}, "got 0; expected 1 to 500"),
        ({"n": 1_000_000}, "got 1000000; expected 1 to 500"),
        ({"scenario": "hme"}, "did you mean 'home'"),
        ({"filter": {"gnre": "drama"}}, "did you mean 'genre'"),
        ({"filter": {"genre": "drma"}}, "did you mean 'drama'"),
        ({"filter": {"genre": ["drama", "x"]}}, "got 'x'"),
        ({"filter": {"genre": []}}, "at least one value"),
        ({"boost": {"film1": 0.0}}, "above 0"),
        ({"boost": {"film1": float("nan")}}, "above 0"),
        ({"diversity": float("nan")}, "0 to 1"),
        ({"diversity": 1.5}, "0 to 1"),
        ({"item": "film9999"}, "got 'film9999'"),
    ],
)
def test_a_request_for_what_does_not_exist_is_refused_with_the_rule(ask: Callable[..., Ranked], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        ask(**fields)


def test_unknown_items_are_ignored_and_reported(ask: Callable[..., Ranked]) -> None:
    answer = ask(exclude=["film1", "ghost"], boost={"phantom": 2.0, "genre=none": 2.0}, pin=["spectre"], session=["shade"])
    assert len(answer.ids) == 10
    assert all(any(name in note for note in answer.notes) for name in ("ghost", "phantom", "genre=none", "spectre", "shade"))


def test_a_short_slate_says_why(ask: Callable[..., Ranked]) -> None:
    answer = ask(n=200)
    assert len(answer.ids) < 200
    assert any("of 200 items" in note for note in answer.notes)


def test_a_scenario_on_an_unknown_attribute_is_refused_at_the_start(parts: Parts) -> None:
    wrong = msgspec.structs.replace(SETTINGS, scenarios={"x": Scenario(caps={"gnre": 1})})
    with pytest.raises(ConfigError, match="did you mean 'genre'"):
        Recommender(parts, PLAN, wrong)


def test_the_stages_are_timed_when_asked(parts: Parts) -> None:
    laps = Laps(keep=True)
    answered(parts, budget=Budget(laps=laps))
    assert list(laps.taken_us) == ["resolve", "rules", "retrieve", "features", "rank", "slate", "answer"]


def test_a_wire_request_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="sceanrio"):
        msgspec.json.decode(b'{"sceanrio": "home"}', type=Request)


def test_settings_of_the_world_are_settings() -> None:
    assert isinstance(SETTINGS, Settings)
