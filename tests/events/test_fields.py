import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vernal.errors import EventError
from vernal.events.fields import attribute_values, content_id, identifier, number, position, storable


@given(st.text(min_size=1, max_size=64).filter(lambda text: "\0" not in text))
def test_an_id_is_kept_or_refused_never_changed(text: str) -> None:
    try:
        assert identifier(text, "$") == text
    except EventError:
        with pytest.raises(UnicodeEncodeError):
            text.encode()


@given(st.floats())
def test_a_number_is_finite(value: float) -> None:
    if value - value == 0:
        assert number(value, "$") == value
    else:
        with pytest.raises(EventError):
            number(value, "$")


@pytest.mark.parametrize("bad", [-1, 1.5, True, "1", 2**31])
def test_a_position_counts_from_zero(bad: object) -> None:
    with pytest.raises(EventError):
        position(bad, "$")


def test_attribute_values_are_distinct_texts() -> None:
    assert attribute_values(["a", "a", None, 3.0, True, "", float("nan"), 2.5], "$") == ["a", "3", "true", "2.5"]


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_content_has_one_identity(one: tuple[str, str], other: tuple[str, str]) -> None:
    try:
        assert (content_id(one) == content_id(other)) == (one == other)
    except UnicodeEncodeError:
        with pytest.raises(EventError):
            storable([one, other], "$")


def test_what_the_log_cannot_hold_is_refused() -> None:
    for value in ({"n": 2**64}, {"t": "\ud800"}):
        with pytest.raises(EventError):
            storable(value, "$")
    assert msgspec.msgpack.encode(storable({"n": 2**64 - 1}, "$"))
