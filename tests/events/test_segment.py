"""The mapping against what the real `segment-analytics-python` client sends, and against hand-written messages for the rest."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from vernal.config import Events, EventType, Settings, Users
from vernal.errors import RequestError
from vernal.events.schema import Event
from vernal.events.segment import Mapped, map_segment, write_key
from vernal.terms import IMPRESSION

NOW = 1_800_000_000_000_000
SETTINGS = Settings(users=Users(attributes=["plan"]))


def track(event: str, properties: dict[str, Any] | None = None, **message: Any) -> Event:
    body = {"type": "track", "event": event, "userId": "u", "messageId": "m", "properties": properties or {}} | message
    found = map_segment(json.dumps(body).encode(), NOW, SETTINGS, "track")
    assert not found.rejections
    return found.events[0]


@pytest.fixture
def sent(listen: Any) -> tuple[Mapped, str]:
    """What the real client sends, mapped; and its write key."""
    client_of = pytest.importorskip("segment.analytics.client", reason="needs segment-analytics-python")
    with listen(lambda _: {"success": True}) as server:
        client = client_of.Client("the-key", host=server.url, max_retries=0)
        client.identify("u1", {"plan": "pro", "age": 33})
        client.track("u1", "Product Viewed", {"product_id": "p1", "price": 3.5})
        at = datetime(2026, 1, 1, tzinfo=UTC)
        products = [{"product_id": "p1", "price": 3.0, "quantity": 2}, {"product_id": "p2", "price": "4.50"}]
        client.track(anonymous_id="a1", event="Order Completed", properties={"order_id": "o1", "products": products}, timestamp=at)
        client.page("u1", "Shop", "Home", {"url": "https://shop.example/"})
        client.screen("u1", "App", "Start")
        client.group("u1", "g1")
        client.alias("a1", "u1")
        client.shutdown()
        bodies = [json.loads(call.body) for call in server.calls]
        key = write_key(server.calls[0].headers["authorization"])
        assert {call.path for call in server.calls} == {"/v1/batch"}
    whole = {"batch": [message for body in bodies for message in body["batch"]], "sentAt": bodies[0]["sentAt"]}
    return map_segment(json.dumps(whole).encode(), round(datetime.now(UTC).timestamp() * 1e6), SETTINGS), key


def test_the_real_client_is_understood_whole(sent: tuple[Mapped, str]) -> None:
    mapped, _ = sent
    assert (len(mapped.events), len(mapped.users), mapped.ignored, mapped.rejections) == (5, 1, 2, [])


def test_the_real_client_names_its_write_key(sent: tuple[Mapped, str]) -> None:
    assert sent[1] == "the-key"


def test_an_order_of_the_real_client_is_one_purchase_per_product(sent: tuple[Mapped, str]) -> None:
    orders = [event for event in sent[0].events if event.type == "purchase"]
    assert [(event.user, event.item, event.value, event.position) for event in orders] == [("a1", "p1", 6.0, 0), ("a1", "p2", 4.5, 1)]
    assert {event.time for event in orders} == {1_767_225_600_000_000}
    assert orders[0].event_id != orders[1].event_id
    assert orders[0].properties == {"order_id": "o1"}


def test_pages_of_the_real_client_are_events_about_no_item(sent: tuple[Mapped, str]) -> None:
    pages = [event for event in sent[0].events if event.type in ("page", "screen")]
    assert [(event.type, event.item, (event.properties or {}).get("name")) for event in pages] == [("page", "", "Home"), ("screen", "", "Start")]


def test_traits_of_the_real_client_are_attributes_and_properties(sent: tuple[Mapped, str]) -> None:
    user = sent[0].users[0]
    assert (user.user, user.attributes, user.properties) == ("u1", {"plan": ["pro"]}, {"age": 33})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Product Viewed", "view"),
        ("Product Clicked", "click"),
        ("Product Added", "add_to_cart"),
        ("Product Removed", "remove_from_cart"),
        ("Products Searched", "search"),
        ("product viewed", "view"),
        ("Video Playback Started", "video_playback_started"),
    ],
)
def test_ecommerce_names_are_ours_and_others_are_kept(name: str, kind: str) -> None:
    assert track(name).type == kind


def test_a_type_that_vernal_toml_names_stands_for_itself() -> None:
    settings = Settings(events=Events(types={"Product Viewed": EventType(), "order_completed": EventType()}))
    body = json.dumps({"batch": [{"type": "track", "userId": "u", "event": name} for name in ("Product Viewed", "Order Completed")]}).encode()
    assert [event.type for event in map_segment(body, NOW, settings).events] == ["Product Viewed", "order_completed"]


def test_a_product_list_is_impressions_in_order() -> None:
    body = {"event": "Product List Viewed", "userId": "u", "messageId": "m", "properties": {"products": [{"product_id": "a"}, {"sku": "b"}]}}
    found = map_segment(json.dumps(body).encode(), NOW, SETTINGS, "track").events
    assert [(event.type, event.item, event.position, event.event_id) for event in found] == [(IMPRESSION, "a", 0, "m#0"), (IMPRESSION, "b", 1, "m#1")]


def test_a_wrong_sender_clock_is_corrected_by_its_own_sent_at() -> None:
    two_days_ahead = "2027-01-17T08:00:00Z"
    message = {"type": "track", "event": "x", "userId": "u", "timestamp": "2027-01-17T07:59:00Z"}
    found = map_segment(json.dumps({"batch": [message], "sentAt": two_days_ahead}).encode(), NOW, SETTINGS)
    assert found.events[0].time == NOW - 60_000_000


def test_attribution_and_session_come_along() -> None:
    found = track("Product Clicked", {"product_id": "p", "rec_id": "r-1", "position": 4}, context={"sessionId": "s-1"})
    assert (found.rec_id, found.session, found.position, found.properties) == ("r-1", "s-1", 4, None)


@pytest.mark.parametrize(
    "bad",
    [{"event": "x"}, {"event": "x", "userId": "a\0b"}, {"userId": "u"}, {"type": "dance", "userId": "u"}, {"event": "x", "userId": "u", "properties": 3}, 7],
    ids=["no user", "NUL", "no event", "unknown type", "properties", "no object"],
)
def test_one_bad_message_never_fails_its_batch(bad: Any) -> None:
    message = {"type": "track"} | bad if isinstance(bad, dict) else bad
    found = map_segment(json.dumps({"batch": [message, {"type": "track", "event": "x", "userId": "u"}]}).encode(), NOW, SETTINGS)
    assert (len(found.events), [rejection.index for rejection in found.rejections]) == (1, [0])


def test_an_order_with_one_bad_product_is_refused_whole() -> None:
    body = {"event": "Order Completed", "userId": "u", "properties": {"products": [{"product_id": "a"}, {"product_id": "b", "price": "much"}]}}
    found = map_segment(json.dumps(body).encode(), NOW, SETTINGS, "track")
    assert (found.events, len(found.rejections)) == ([], 1)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"batch": 3}'])
def test_a_body_without_messages_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        map_segment(body, NOW, SETTINGS)


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Bearer abc"])
def test_a_call_without_a_write_key_has_an_empty_one(header: str) -> None:
    assert write_key(header) == ""
    assert write_key(header, b'{"writeKey": "in the body"}') in ("", "in the body")
