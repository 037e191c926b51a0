import pytest

from vernal.config import Aggregate, Events, EventType, Items, Rate, Settings, View
from vernal.errors import ConfigError
from vernal.features.definition import compile_plan


def one(**view: object) -> Settings:
    return Settings(items=Items(attributes=["genre"]), features={"mine": View(**view)})  # type: ignore[arg-type]


def settings_of_two(event: str) -> Settings:
    types = {"view": EventType(), "buy": EventType()}
    return Settings(events=Events(types=types), features={"mine": View(entity="user", count=Aggregate(event=event))})


def test_names_follow_view_aggregate_and_reach() -> None:
    plan = compile_plan(one(entity="user", sum=Aggregate(event="view", window=["1h", "7d"], half_life="1d")))
    assert plan.names == ("mine.sum.1d", "mine.sum.window_1h", "mine.sum.window_7d")


def test_a_trend_is_named_by_its_shorter_half_lives() -> None:
    plan = compile_plan(one(entity="item", trend=Aggregate(event="view", half_life=["6h", "1d", "14d"])))
    assert plan.names == ("mine.trend.6h", "mine.trend.1d")


def test_the_join_lists_item_then_user_then_pair_values() -> None:
    plan = compile_plan(Settings())
    assert plan.names == plan.item_names + plan.user_names + plan.pair_names
    assert all(plan.item_names)
    assert all(plan.pair_names)


def test_equal_settings_give_equal_fingerprints_and_others_do_not() -> None:
    assert compile_plan(Settings()).fingerprint == compile_plan(Settings()).fingerprint
    views, purchases = (compile_plan(settings_of_two(event)) for event in ("view", "buy"))
    assert views.fingerprint != purchases.fingerprint
    changed = compile_plan(one(entity="user", count=Aggregate(window="1d")))
    assert changed.fingerprint != compile_plan(one(entity="user", count=Aggregate(window="2d"))).fingerprint


def test_default_views_cover_every_type_and_the_first_attributes() -> None:
    settings = Settings(events=Events(types={"view": EventType(), "buy": EventType()}), items=Items(attributes=["a", "b", "c", "d"]))
    names = compile_plan(settings).names
    assert {"item_view.count.6h", "item_buy.count.window_30d", "item_buy_rate.rate.7d", "user_c.count.30d"} <= set(names)
    assert not any(name.startswith("user_d.") for name in names)


@pytest.mark.parametrize(
    ("view", "part"),
    [
        ({"entity": "user"}, "exactly one aggregate"),
        ({"entity": "user", "count": Aggregate(), "sum": Aggregate()}, "exactly one aggregate"),
        ({"entity": "user", "count": Aggregate(event="veiw")}, "did you mean 'view'"),
        ({"entity": "cart", "count": Aggregate()}, '"user", "item"'),
        ({"entity": ["user", "item.gnere"], "count": Aggregate()}, "did you mean 'genre'"),
        ({"entity": "item", "min": Aggregate()}, "use entity user"),
        ({"entity": "item", "last": Aggregate()}, "use entity user"),
        ({"entity": ["user", "item"], "last": Aggregate()}, 'entity = "user"'),
        ({"entity": "user", "recency": Aggregate(window="1d")}, "looks at everything"),
        ({"entity": "user", "max": Aggregate(half_life="1d")}, "cannot decay"),
        ({"entity": "item", "trend": Aggregate(half_life=["1d"])}, "two half-lives or more"),
        ({"entity": "item", "trend": Aggregate(half_life=["1d", "7d"], window="7d")}, "no window"),
        ({"entity": "user", "count": Aggregate(window="90s")}, "multiple of its tile"),
        ({"entity": "user", "count": Aggregate(window="30h")}, "multiple of its tile"),
        ({"entity": "user", "count": Aggregate(window="400d")}, "state.horizon"),
        ({"entity": "user", "count": Aggregate(half_life="0d")}, "more than nothing"),
        ({"entity": "user", "rate": Rate(of="view", per="impression")}, "items only"),
    ],
)
def test_a_view_that_cannot_be_computed_is_refused_with_a_hint(view: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigError, match=r"features\.mine") as caught:
        compile_plan(one(**view))
    assert part in str(caught.value)
