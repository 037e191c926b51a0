"""The mapping against what the real `PyGorse` client sends and expects back."""

import asyncio
import json
from typing import Any

import pytest

from vernal.config import Settings
from vernal.errors import RequestError
from vernal.events.fields import Rejection
from vernal.events.gorse import (
    as_gorse_feedback,
    as_gorse_item,
    as_gorse_user,
    map_feedback,
    map_items,
    map_users,
    page,
    patched,
    ranked,
    row_affected,
    session_feedback,
)
from vernal.events.schema import Event, Item, User

NOW = 1_800_000_000_000_000
ITEM = {
    "ItemId": "i1", "IsHidden": True, "Categories": ["films", "old"], "Timestamp": "2020-02-02T02:02:02Z",
    "Labels": {"genre": ["noir"], "language": "en", "embedding": [0.1, 0.2]}, "Comment": "The Third Man",
}  # fmt: skip


@pytest.fixture
def gorse() -> Any:
    return pytest.importorskip("gorse", reason="needs PyGorse")


class Small:
    """As much of a Gorse server as the client needs: the mappings with a dictionary behind them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.items: dict[str, Item] = {}
        self.users: dict[str, User] = {}

    def __call__(self, call: Any) -> Any:
        path, _, _ = call.path.partition("?")
        parts = path.strip("/").split("/")[1:]
        return getattr(self, f"{call.method.lower()}_{parts[0]}")(parts[1:], call)

    def post_feedback(self, _: list[str], call: Any) -> Any:
        taken = [event for event in map_feedback(call.body, NOW, Settings()) if isinstance(event, Event)]
        self.events += taken
        return row_affected(len(taken))

    def get_feedback(self, _: list[str], _call: Any) -> Any:
        return page("Feedback", [as_gorse_feedback(event) for event in self.events], "next")

    def post_item(self, _: list[str], call: Any) -> Any:
        self.items |= {item.item: item for item in map_items(call.body, NOW) if isinstance(item, Item)}
        return row_affected(1)

    def get_item(self, parts: list[str], _call: Any) -> Any:
        return ranked(["n1", "n2"], [2.0, 1.0], "2") if parts[-1] == "neighbors" else as_gorse_item(self.items[parts[0]])

    def get_items(self, _: list[str], _call: Any) -> Any:
        return page("Items", [as_gorse_item(item) for item in self.items.values()])

    def patch_item(self, parts: list[str], call: Any) -> Any:
        self.items[parts[0]] = patched(self.items.get(parts[0]), parts[0], json.loads(call.body), NOW)
        return row_affected(1)

    def post_user(self, _: list[str], call: Any) -> Any:
        self.users |= {user.user: user for user in map_users(call.body, NOW) if isinstance(user, User)}
        return row_affected(len(self.users))

    post_users = post_user

    def get_user(self, parts: list[str], _call: Any) -> Any:
        return as_gorse_user(self.users[parts[0]])

    def get_recommend(self, _: list[str], call: Any) -> Any:
        return ranked(["i1", "i2"], [1.0, 0.5], call.headers.get("x-api-version", ""))

    def post_session(self, _: list[str], call: Any) -> Any:
        return ranked([event.item for event in session_feedback(call.body, NOW, Settings())], [1.0, 1.0], "2")


@pytest.fixture
def pair(gorse: Any, listen: Any) -> Any:
    """The real client and the small server it talks to."""
    small = Small()
    with listen(small) as server:
        yield gorse.Gorse(server.url, "the-key"), small


def test_feedback_of_the_real_client_is_events(pair: Any) -> None:
    client, small = pair
    assert client.insert_feedback("read", "u", "i1", "2022-02-24T01:02:03Z", 2.5) == {"RowAffected": 1}
    client.insert_feedbacks([{"FeedbackType": "star", "UserId": "u", "ItemId": "i2", "Timestamp": "2022-02-25"}])
    assert [(event.type, event.user, event.item, event.time, event.value) for event in small.events] == [
        ("read", "u", "i1", 1_645_664_523_000_000, 2.5),
        ("star", "u", "i2", 1_645_747_200_000_000, None),
    ]


def test_the_real_async_client_is_understood_too(gorse: Any, listen: Any) -> None:
    small = Small()
    with listen(small) as server:
        assert asyncio.run(gorse.AsyncGorse(server.url, "k").insert_feedback("read", "u", "i", "2022-02-24")) == {"RowAffected": 1}
    assert [event.item for event in small.events] == ["i"]


def test_the_real_client_reads_back_what_it_wrote(pair: Any) -> None:
    client, _ = pair
    client.insert_item(ITEM)
    client.insert_user({"UserId": "u", "Labels": ["a", "b"], "Comment": "first"})
    client.insert_feedback("read", "u", "i1", "2022-02-24T01:02:03Z", 2)
    assert client.get_item("i1") == ITEM
    assert client.get_user("u") == {"UserId": "u", "Labels": ["a", "b"], "Comment": "first", "Subscribe": []}
    assert client.get_items(10) == ([ITEM], "")
    feedback = {"FeedbackType": "read", "UserId": "u", "ItemId": "i1", "Value": 2.0, "Timestamp": "2022-02-24T01:02:03Z", "Comment": ""}
    assert client.get_feedbacks(10) == ([feedback], "next")


def test_rankings_have_the_shape_the_real_client_reads(pair: Any) -> None:
    client, _ = pair
    assert [(score.id, score.score) for score in client.get_recommend("u", n=2)] == [("i1", 1.0), ("i2", 0.5)]
    assert client.get_neighbors("i1") == [{"Id": "n1", "Score": 2.0}, {"Id": "n2", "Score": 1.0}]
    assert ranked(["a"], [1.0]) == ["a"]


def test_a_session_of_the_real_client_needs_no_user(pair: Any) -> None:
    client, _ = pair
    feedback = [{"FeedbackType": "read", "UserId": "", "ItemId": item, "Timestamp": "2022-02-24"} for item in ("x", "y")]
    assert [one["Id"] for one in client.session_recommend(feedback)] == ["x", "y"]


def test_a_patch_of_the_real_client_changes_only_what_it_names(pair: Any) -> None:
    client, small = pair
    client.insert_item(ITEM)
    client.update_item("i1", is_hidden=False, categories=["new"])
    assert (small.items["i1"].hidden, small.items["i1"].attributes["categories"], small.items["i1"].title) == (False, ["new"], "The Third Man")
    assert small.items["i1"].attributes["genre"] == ["noir"]


def test_labels_and_categories_are_attributes() -> None:
    item = map_items(json.dumps(ITEM).encode(), NOW)[0]
    assert isinstance(item, Item)
    assert item.attributes == {"categories": ["films", "old"], "genre": ["noir"], "language": ["en"]}
    assert (item.title, item.hidden, item.time) == ("The Third Man", True, 1_580_608_922_000_000)


def test_an_item_that_came_another_way_is_answered_in_gorse_words() -> None:
    found = as_gorse_item(Item("i", "A title", attributes={"categories": ["c"], "brand": ["b"]}, time=NOW))
    assert (found["Comment"], found["Categories"], found["Labels"]) == ("A title", ["c"], {"brand": ["b"]})


def test_the_same_feedback_twice_is_one_event() -> None:
    body = json.dumps([{"FeedbackType": "read", "UserId": "u", "ItemId": "i", "Timestamp": "2022-02-24"}] * 2).encode()
    first, second = map_feedback(body, NOW, Settings())
    assert first == second


def test_one_bad_feedback_never_fails_its_call() -> None:
    body = json.dumps([{"FeedbackType": "read", "UserId": "u"}, {"FeedbackType": "read", "UserId": "u", "ItemId": "i"}, 3]).encode()
    assert [type(one) for one in map_feedback(body, NOW, Settings())] == [Rejection, Event, Rejection]


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        map_feedback(body, NOW, Settings())
