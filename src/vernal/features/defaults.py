"""The feature views a config without `[features]` gets, made from its event types and item attributes."""

from vernal.config import Aggregate, Rate, Settings, View

ITEM_HALF_LIVES = ["6h", "1d", "3d", "14d"]
ITEM_WINDOWS = ["1h", "1d", "7d", "30d"]
CROSSED_ATTRIBUTES = 3  # of how many item attributes a user's affinity is counted
RATE_PRIOR, RATE_PRIOR_MEAN = 20.0, 0.05
RATE_HALF_LIFE = "7d"
SHOWN_COLUMN = f"item_shown.count.{RATE_HALF_LIFE}"  # how often an item was in a slate
# A trend says whether an item rises, whatever its level. Chosen on five 14-day windows of a film log, lists frozen at their beginning, mean of the windows:
# NDCG@10 .125 without, .127 with; gain .0018 [.0008, .0029], with another seed of the ranker .0014 [.0003, .0025]. The intervals are over users;
# three windows of the five gain, two lose .002 to .003. It reads counts that are there anyway.


def default_views(settings: Settings) -> dict[str, View]:
    """Views by name; item activity per type, user activity, and what ties this user to this item."""
    return {**item_views(settings), **user_views(), **pair_views(settings)}


def item_views(settings: Settings) -> dict[str, View]:
    views = {f"item_{name}": View(entity="item", count=Aggregate(event=name, half_life=ITEM_HALF_LIVES, window=ITEM_WINDOWS)) for name in settings.events.types}
    views["item_shown"] = View(entity="item", count=Aggregate(event="impression", half_life=RATE_HALF_LIFE))
    views["item_recency"] = View(entity="item", recency=Aggregate())
    views["item_age"] = View(entity="item", first_seen=Aggregate())
    for name, kind in settings.events.types.items():
        if kind.weight > 0:
            views[f"item_{name}_trend"] = View(entity="item", trend=Aggregate(event=name, half_life=ITEM_HALF_LIVES))
            views[f"item_{name}_rate"] = View(entity="item", rate=rate_of(name))
    return views


def rate_of(name: str) -> Rate:
    return Rate(of=name, per="impression", half_life=RATE_HALF_LIFE, prior=RATE_PRIOR, prior_mean=RATE_PRIOR_MEAN)


def taken_column(name: str) -> str:
    """The item value that has the rate of an event type."""
    return f"item_{name}_rate.rate.{RATE_HALF_LIFE}"


def user_views() -> dict[str, View]:
    return {
        "user_activity": View(entity="user", count=Aggregate(window=["1d", "7d", "30d"], half_life="30d")),
        "user_distinct": View(entity="user", distinct=Aggregate()),
        "user_recency": View(entity="user", recency=Aggregate()),
    }


def pair_views(settings: Settings) -> dict[str, View]:
    views = {
        "pair_history": View(entity=["user", "item"], count=Aggregate(half_life=["7d", "60d"], window="30d")),
        "pair_recency": View(entity=["user", "item"], recency=Aggregate()),
    }
    for name in settings.items.attributes[:CROSSED_ATTRIBUTES]:
        views[f"user_{name}"] = View(entity=["user", f"item.{name}"], count=Aggregate(half_life="30d"))
    return views
