import contextlib
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.config import EventColumns, Events, Items, Users
from vernal.errors import RequestError
from vernal.events.fields import Rejection
from vernal.events.schema import Event
from vernal.events.wire import decode_events, decode_items, decode_users

NOW = 1_800_000_000_000_000
SECONDS = NOW // 1_000_000 - 100


def one(**fields: object) -> Event | Rejection:
    return decode_events(json.dumps({"user": "u", "item": "i", "type": "view", "time": SECONDS} | fields).encode(), NOW, Events())[0]


def refused(**fields: object) -> Rejection:
    found = one(**fields)
    assert isinstance(found, Rejection)
    return found


def taken(**fields: object) -> Event:
    found = one(**fields)
    assert isinstance(found, Event), found
    return found


def test_a_native_event_keeps_every_field() -> None:
    found = taken(event_id="e", value=2, session="s", rec_id="r", position=3, colour="red", properties={"a": 1})
    assert found == Event("e", "view", "u", "i", SECONDS * 1_000_000, 2.0, "s", "r", 3, {"a": 1, "colour": "red"})


@pytest.mark.parametrize(
    "body",
    [b'{"user":"u"}', b'[{"user":"u"}]', b'{"events":[{"user":"u"}]}', b'{"user":"u"}\n{"user":"v"}\n'],
    ids=["object", "array", "events", "lines"],
)
def test_a_body_has_one_of_four_forms(body: bytes) -> None:
    assert decode_events(body, NOW, Events())[0].user == "u"  # type: ignore[union-attr]


def test_one_bad_event_never_fails_its_batch() -> None:
    found = decode_events(b'{"events":[{"user":"a"},{"user":7.5},{"item":"x"},5,{"user":"b","value":NaN},{"user":"c"}]}', NOW, Events())
    assert [type(event).__name__ for event in found] == ["Event", "Rejection", "Rejection", "Rejection", "Rejection", "Event"]


def test_one_bad_line_never_fails_its_batch() -> None:
    found = decode_events(b'{"user":"a"}\n{"user":\n{"user":"c"}', NOW, Events())
    assert [type(event).__name__ for event in found] == ["Event", "Rejection", "Event"]


def test_a_rejection_says_what_where_got_expected_and_hint() -> None:
    body = json.dumps([{"user": "u"}, {"user": "u", "time": 1_732_150_000_000}]).encode()
    found = decode_events(body, NOW, Events(time_unit="s"))[1]
    assert isinstance(found, Rejection)
    assert (found.index, found.where, found.got) == (1, "$.events[1].time", "1732150000000")
    assert found.expected == "a time between 1970 and 2106"
    assert found.hint == 'this looks like milliseconds: set events.time_unit = "ms"'


@pytest.mark.parametrize(
    "time", [SECONDS, SECONDS * 1_000, SECONDS * 10**6, SECONDS * 10**9, float(SECONDS), str(SECONDS), "2027-01-15T07:58:20Z", "2027-01-15T08:58:20+01:00"]
)
def test_a_time_means_the_same_however_it_is_written(time: object) -> None:
    assert taken(time=time).time == SECONDS * 1_000_000


def test_a_time_without_a_zone_is_of_the_configured_one() -> None:
    found = decode_events(b'{"user":"u","time":"2026-07-01T12:00:00"}', NOW, Events(timezone="Europe/Berlin"))[0]
    assert found == decode_events(b'{"user":"u","time":"2026-07-01T10:00:00Z"}', NOW, Events(timezone="Europe/Berlin"))[0]


def test_a_time_that_is_yet_to_come_is_moved_to_now() -> None:
    assert taken(time=NOW // 1_000_000 + 90).time == NOW


@pytest.mark.parametrize("time", ["yesterday", 5, -1, True, [], {}, 1e300, "9999-12-31T00:00:00Z", "1969-12-31T23:59:59Z"])
def test_what_is_no_time_is_refused(time: object) -> None:
    assert refused(time=time).where == "$.events[0].time"


@pytest.mark.parametrize("name", ["user", "item", "session", "rec_id", "event_id", "type"])
@pytest.mark.parametrize("bad", ["x" * 257, "é" * 200, "a\x00b", 1.5, True, ["a"], "\ud800"])
def test_ids_are_short_text_without_nul(name: str, bad: object) -> None:
    assert refused(**{name: bad}).where == f"$.events[0].{name}"


@pytest.mark.parametrize("name", ["😀", "e\u0301", "\u00e9", " ", "u" * 256, "‮abc", "7"])
def test_ids_are_kept_byte_for_byte(name: str) -> None:
    assert taken(user=name).user == name


def test_whole_numbers_are_ids_too() -> None:
    assert (taken(user=42).user, taken(item=0).item) == ("42", "0")


def test_a_huge_id_is_shown_shortened() -> None:
    found = refused(user="x" * 65_536)
    assert "65536 bytes" in found.message
    assert len(found.message) < 300


@pytest.mark.parametrize("value", ["12", True, [1], float("nan"), float("inf"), float("-inf")])
def test_a_value_is_a_finite_number(value: object) -> None:
    assert refused(value=value).where == "$.events[0].value"


def test_an_anonymous_visitor_is_a_user() -> None:
    found = decode_events(b'{"anonymous_id":"cookie-1","item":"i"}', NOW, Events())[0]
    assert isinstance(found, Event)
    assert found.user == "cookie-1"


def test_numbers_beyond_64_bits_in_properties_are_refused_not_fatal() -> None:
    assert refused(properties={"n": 2**70}).where == "$.events[0].properties"


def test_the_same_content_has_the_same_identity_and_other_content_another() -> None:
    assert taken().event_id == taken().event_id
    different = [taken(), taken(user="v"), taken(item="j"), taken(type="buy"), taken(value=1), taken(time=SECONDS + 1), taken(rec_id="r"), taken(extra=1)]
    assert len({found.event_id for found in different}) == len(different)


def test_a_cloudevents_envelope_is_opened() -> None:
    envelope = {
        "specversion": "1.0",
        "id": "7",
        "source": "/shop",
        "type": "com.shop.purchase",
        "time": "2026-07-01T10:00:00Z",
        "data": {"user": "u", "item": "i"},
    }
    found = decode_events(json.dumps(envelope).encode(), NOW, Events())[0]
    assert isinstance(found, Event)
    assert (found.event_id, found.type, found.time) == ("/shop#7", "purchase", 1_782_900_000_000_000)


@pytest.mark.parametrize("body", [b"", b"hello", b"{", b"\xff\xfe", b'{"user": "u"', b"[" * 100_000])
def test_what_is_no_json_is_refused_whole(body: bytes) -> None:
    with pytest.raises(RequestError):
        decode_events(body, NOW, Events())


def test_too_many_events_are_refused_whole() -> None:
    with pytest.raises(RequestError, match="at most 1000"):
        decode_events(b"[" + b",".join([b'{"user":"u"}'] * 1_001) + b"]", NOW, Events())


Json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
)
FIELDS = ["user", "item", "type", "time", "value", "session", "rec_id", "position", "event_id", "properties", "data", "specversion"]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), Json, max_size=4))
def test_any_json_gives_events_that_the_log_can_hold_or_rejections(fields: dict[str, object]) -> None:
    found = decode_events(json.dumps([{"user": "u"} | fields]).encode(), NOW, Events())
    assert len(found) == 1
    assert isinstance(found[0], Rejection) or msgspec.msgpack.encode(found)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_answered_with_records_or_one_error(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert all(isinstance(found, Event | Rejection) for found in decode_events(body, NOW, Events()))


def test_items_take_native_names_and_the_configured_columns() -> None:
    items = Items(id="product_id", title="name", text=["about"], attributes=["brand"])
    body = b'[{"item":"a","title":"A","attributes":{"brand":["x"]}},{"product_id":7,"name":"B","about":"long","brand":"y","price":3}]'
    first, second = decode_items(body, NOW, items)
    assert (first.item, first.title, first.attributes) == ("a", "A", {"brand": ["x"]})  # type: ignore[union-attr]
    assert (second.item, second.title, second.text, second.attributes, second.properties) == ("7", "B", "long", {"brand": ["y"]}, {"price": 3})  # type: ignore[union-attr]


def test_a_bad_item_never_fails_its_batch() -> None:
    found = decode_items(b'{"items":[{"item":"a"},{"title":"no id"},{"item":"b","hidden":"yes"},{"item":"c","attributes":[1]}]}', NOW, Items())
    assert [type(item).__name__ for item in found] == ["Item", "Rejection", "Rejection", "Rejection"]


def test_users_keep_attributes_and_the_rest_apart() -> None:
    found = decode_users(b'{"users":[{"user":"u","age":"30-39","city":"Bern"}]}', NOW, Users(attributes=["age"]))[0]
    assert (found.attributes, found.properties) == ({"age": ["30-39"]}, {"city": "Bern"})  # type: ignore[union-attr]


def test_file_columns_do_not_change_the_wire() -> None:
    found = decode_events(b'{"user":"u"}', NOW, Events(columns=EventColumns(user="household")))[0]
    assert isinstance(found, Event)
