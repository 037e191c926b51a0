"""Search over HTTP: the pipeline of recommendations with a text, following the catalogue, and never down because of a text or its index."""

import time

import pytest
from shop import Server, event, ids

from vernal.app import Workspace
from vernal.events.reading import read_slates

NASTY = {
    "10,000 characters": "item " * 2_000,
    "a word of 10,000 characters": "x" * 10_000,
    "control characters": "item\x00\x07\x1b[31m",
    "right to left": "שלום פריט",
    "unbalanced quotes": '"item 7',
    "query syntax": 'title:item AND (NOT body:thing) OR "a"~2 +item -thing item^9 [a TO b] *:*',
    "a regular expression": "it.*m|(.*)",
    "only punctuation": "?!()[]{}\"'*~^:",
    "only stop words": "the of and",
    "half a character": "item \ud800",
}
SOON_S = 20.0  # far above the second that bench/search_freshness holds: a loaded machine is no failure


def search(client, **asked):
    return client.post("/v1/search", json=asked)


def until(condition, timeout_s=SOON_S):
    """Asks again until it holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came"


def put(client, item, **record):
    answer = client.put("/v1/items", json=[{"item": item, **record}])
    assert answer.json()["accepted"] == 1, answer.text


def test_a_search_answers_what_matches_and_says_how(client):
    answer = search(client, q="thing 3", user="u1", n=20, explain=True).json()
    assert answer["scenario"] == "search"
    assert answer["rung"] == "full"
    first = answer["items"][0]
    assert first["sources"][0] == "lexical"
    assert first["match"]["lexical"] > 0
    assert 0 < first["match"]["relevance"] <= 1
    assert "your words" in first["why"]["sentence"]


def test_nothing_that_matches_is_an_empty_answer_that_says_so(client):
    answer = search(client, q="zzzzqqqq").json()
    assert answer["items"] == []
    assert any("nothing matches" in note for note in answer["notes"])


def test_an_empty_text_is_a_feed_and_an_item_a_query_by_example(client):
    feed = search(client, q="  ", user="u1", n=5).json()
    assert [item["item"] for item in feed["items"]] == ids(client.post("/v1/recommend", json={"user": "u1", "scenario": "search", "n": 5}))
    assert "match" not in feed["items"][0]
    assert ids(search(client, item="i5", n=5)) == ids(client.post("/v1/similar", json={"item": "i5", "scenario": "search", "n": 5}))


def test_filters_exclusions_and_pins_hold_for_searches(client):
    found = ids(search(client, q="item", filter={"category": "c2"}, exclude=["i7"], n=30))
    assert found
    assert all(int(item[1:]) % 5 == 2 for item in found)
    assert "i7" not in found
    assert ids(search(client, q="item", pin=["i9"], n=3))[0] == "i9"


def test_a_filter_or_a_facet_on_an_unknown_attribute_is_refused_by_name(client):
    for asked in ({"filter": {"colour": "red"}}, {"facets": ["colour"]}):
        answer = search(client, q="item", **asked)
        assert answer.status_code == 400
        assert "colour" in answer.text


def test_what_somebody_had_is_found_again(client):
    client.post("/v1/events", json=[event("finder", "i13", "purchase")])
    assert "i13" in ids(search(client, q="item 13", user="finder", n=5))


@pytest.mark.parametrize("what", NASTY)
def test_any_text_is_only_a_text(client, what):
    answer = client.post("/v1/search", content=b'{"q": ' + ascii_json(NASTY[what]) + b', "n": 5, "highlight": true}')
    assert answer.status_code == (400 if "ud800" in repr(NASTY[what]) else 200), answer.text
    assert client.get("/v1/suggest", params={"q": NASTY[what].encode("utf-8", "replace")[:2_000]}).status_code == 200


def ascii_json(text):
    return ('"' + "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text) + '"').encode()


def test_facets_count_what_matches(client):
    counts = search(client, q="thing", facets=["category", "brand"], filter={"brand": "b3"}).json()["facets"]
    assert set(counts) == {"category", "brand"}
    assert counts["category"]["c1"] > 0
    assert list(counts["brand"]) == ["b3"]  # what the filter leaves


def test_highlights_mark_what_was_asked_for(client):
    item = search(client, q="thing", highlight=True, n=1).json()["items"][0]
    assert ["thing", True] in item["highlight"]["text"]
    assert "".join(piece for piece, _ in item["highlight"]["title"]) == item["title"]


def test_suggestions_go_on_as_the_text_begins(client):
    found = client.get("/v1/suggest", params={"q": "ite", "n": 5}).json()["suggestions"]
    assert len(found) == 5
    assert all(each["title"].startswith("Item") for each in found)
    assert client.get("/v1/suggest", params={"q": "item 1"}).json()["suggestions"][0]["title"].startswith("Item 1")
    assert client.get("/v1/suggest", params={"q": "", "n": 5}).json()["suggestions"] == []


def test_an_item_is_found_soon_after_it_was_put_or_changed_and_gone_at_once_when_deleted(client):
    put(client, "new-1", title="Quixotic gramophone", attributes={"category": ["c1"]})
    until(lambda: ids(search(client, q="gramophone"))[:1] == ["new-1"])
    put(client, "new-1", title="Quixotic telescope", attributes={"category": ["c1"]})
    until(lambda: ids(search(client, q="telescope"))[:1] == ["new-1"] and not ids(search(client, q="gramophone")))
    assert client.delete("/v1/items/new-1").status_code == 200
    assert "new-1" not in ids(search(client, q="telescope", n=50))
    assert client.get("/v1/suggest", params={"q": "quixotic"}).json()["suggestions"] == []


def test_a_search_is_in_the_log_with_its_text_and_propensities(shop_folder, client):
    rec_id = search(client, q="thing 4", user="u9", n=6).json()["rec_id"]

    def logged():
        workspace = Workspace.open(shop_folder / "vernal.toml")
        found = [slate for _, slate in read_slates(workspace.log) if slate.rec_id == rec_id]
        workspace.close()
        return found

    until(logged)
    (slate,) = logged()
    assert (slate.q, slate.scenario, slate.rung) == ("thing 4", "search", "full")
    assert len(slate.propensities) == 4 * len(slate.items) == 24


def test_searches_are_counted_by_whether_anything_matched(client):
    search(client, q="nosuchword")
    text = client.get("/metrics").text
    assert 'vernal_searches_total{result="nothing"}' in text
    assert float(next(line.split()[1] for line in text.splitlines() if line.startswith('vernal_searches_total{result="nothing"}'))) >= 1


def test_one_flipped_byte_of_the_index_stops_no_answer_and_is_made_good(own_shop):
    with Server(own_shop, workers=1) as server, server.client() as client:
        until(lambda: ids(search(client, q="item 7", n=3)))
    folder = own_shop / "data" / "lexical"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in (".term", ".idx", ".fast"))
    damaged = bytearray(files[0].read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    files[0].write_bytes(bytes(damaged))
    with Server(own_shop, workers=1) as server, server.client() as client:
        assert search(client, q="item 7", user="u1").status_code == 200
        assert len(ids(client.post("/v1/recommend", json={"user": "u1", "n": 5}))) == 5
        until(lambda: "i7" in ids(search(client, q="item 7", n=3)))
