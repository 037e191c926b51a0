"""Clients that people have already: Segment's and Gorse's own Python packages, unchanged."""

import pytest
from gorse import Gorse, GorseException
from segment.analytics.client import Client as Segment
from shop import ids

WHEN = "2024-05-01T10:00:00Z"


@pytest.fixture
def segment(server, admin_key):
    failures = []
    made = Segment(admin_key, host=server.url, on_error=lambda error, batch: failures.append((error, batch)), max_retries=0, sync_mode=True)
    yield made
    assert not failures


@pytest.fixture
def gorse(server, admin_key):
    return Gorse(server.url, admin_key)


def user_events(client, user):
    return client.get(f"/v1/users/{user}").json()["events"]


def test_a_segment_track_becomes_an_event(segment, client):
    segment.track("segment-1", "Product Viewed", {"product_id": "i3", "price": 4.5})
    assert user_events(client, "segment-1") == 1


def test_a_segment_order_becomes_one_purchase_per_product(segment, client):
    segment.track("segment-2", "Order Completed", {"products": [{"product_id": "i1", "price": 2, "quantity": 3}, {"product_id": "i2"}]})
    assert user_events(client, "segment-2") == 2


def test_a_segment_identify_is_read_back_as_a_user(segment, client):
    segment.identify("segment-3", {"plan": "gold"})
    assert client.get("/v1/users/segment-3").json()["properties"]["plan"] == "gold"


def test_segment_batches_are_sent_from_its_own_thread_and_packed(server, admin_key, client):
    failures = []
    made = Segment(admin_key, host=server.url, gzip=True, on_error=lambda *problem: failures.append(problem), max_retries=0)
    for k in range(250):
        made.track("segment-4", "Product Viewed", {"product_id": f"i{k % 60}"})
    made.shutdown()
    assert (failures, user_events(client, "segment-4")) == ([], 250)


def test_what_segment_sends_shows_in_the_next_slate(segment, client):
    segment.track("segment-5", "Product Viewed", {"product_id": "i7"})
    slate = client.post("/v1/recommend", json={"user": "segment-5", "n": 20})
    assert "i7" not in ids(slate)
    assert not [note for note in slate.json()["notes"] if "no history" in note]


def test_gorse_feedback_is_counted_and_listed(gorse):
    rows = [{"FeedbackType": "view", "UserId": "gorse-1", "ItemId": f"i{k}", "Timestamp": WHEN} for k in range(3)]
    assert gorse.insert_feedbacks(rows)["RowAffected"] == 3
    assert gorse.insert_feedback("purchase", "gorse-1", "i9", WHEN, 2)["RowAffected"] == 1
    assert {row["ItemId"] for row in gorse.list_feedbacks("view", "gorse-1")} == {"i0", "i1", "i2"}


def test_gorse_recommends_what_the_user_has_not_seen(gorse):
    gorse.insert_feedback("view", "gorse-2", "i5", WHEN)
    scores = gorse.get_recommend("gorse-2", n=7)
    assert len(scores) == 7
    assert "i5" not in [score.id for score in scores]


def test_gorse_categories_filter(gorse, client):
    found = [score.id for score in gorse.get_recommend("gorse-3", category="c2", n=5)]
    assert found
    assert all(client.get(f"/v1/items/{item}").json()["attributes"]["category"] == ["c2"] for item in found)


def test_gorse_offset_pages_through_one_ranking(gorse):
    whole, rest = gorse.get_recommend("u1", n=10), gorse.get_recommend("u1", n=6, offset=4)
    assert [score.id for score in whole][4:] == [score.id for score in rest]


def test_gorse_session_and_neighbours(gorse):
    session = gorse.session_recommend([{"FeedbackType": "view", "UserId": "", "ItemId": "i1", "Timestamp": WHEN}], n=4)
    near = gorse.get_neighbors("i1", n=4)
    assert [len(session), len(near)] == [4, 4]
    assert all({"Id", "Score"} <= set(row) for row in session + near)


def test_a_gorse_item_is_read_back_as_it_was_sent(gorse):
    sent = {"ItemId": "gorse-item", "IsHidden": False, "Categories": ["c1"], "Labels": ["a", "b"], "Timestamp": WHEN, "Comment": "A pear"}
    assert gorse.insert_item(sent)["RowAffected"] == 1
    assert {name: gorse.get_item("gorse-item")[name] for name in sent} == sent


def test_a_hidden_gorse_item_is_in_no_slate(gorse):
    top = gorse.get_recommend("gorse-4", n=1)[0].id
    gorse.update_item(top, is_hidden=True)
    hidden = gorse.get_item(top)["IsHidden"], top in [score.id for score in gorse.get_recommend("gorse-4", n=50)]
    gorse.update_item(top, is_hidden=False)
    assert hidden == (True, False)


def test_a_deleted_gorse_item_is_gone(gorse):
    gorse.insert_item({"ItemId": "gorse-gone", "Comment": "x"})
    gorse.delete_item("gorse-gone")
    with pytest.raises(GorseException) as error:
        gorse.get_item("gorse-gone")
    assert error.value.status_code == 404


def test_gorse_users_are_written_read_and_erased(gorse):
    gorse.insert_users([{"UserId": "gorse-5", "Labels": ["x"]}, {"UserId": "gorse-6", "Labels": {"a": "b"}}])
    assert gorse.get_user("gorse-5")["Labels"] == ["x"]
    gorse.delete_user("gorse-6")
    with pytest.raises(GorseException):
        gorse.get_user("gorse-6")


def test_gorse_pages_end(gorse):
    seen, cursor = [], ""
    while True:
        rows, cursor = gorse.get_items(25, cursor)
        seen += [row["ItemId"] for row in rows]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) >= 80
    assert gorse.search_items("item 7", 3)
    assert len(gorse.get_feedbacks(5)[0]) == 5


def test_taking_one_feedback_back_is_refused_with_what_to_do(gorse):
    with pytest.raises(GorseException, match="erases"):
        gorse.delete_feedback("u1", "i1")
