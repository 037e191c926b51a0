"""The words users meet when something is wrong."""

import pytest

from vernal.errors import ConfigError, EventError, VernalError, nearest, shown


def every_error(kind: type[VernalError] = VernalError) -> list[type[VernalError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in every_error(child))]


def test_a_message_says_what_where_got_expected_and_a_hint():
    error = EventError.invalid("events.jsonl:17 $.time", 1732150000000, "RFC 3339 or seconds", 'set events.time_unit = "ms"')
    assert str(error) == 'EventError events.jsonl:17 $.time: got 1732150000000; expected RFC 3339 or seconds.\nHint: set events.time_unit = "ms".'


def test_every_error_class_has_a_code_of_its_own():
    codes = [kind.code for kind in every_error()]
    assert len(set(codes)) == len(codes)


def test_an_unknown_name_is_answered_with_the_nearest_known():
    assert "did you mean 'port'?" in str(ConfigError.unknown_key("serving.prot", "prot", ["port", "host"]))
    assert nearest("zzz", ["port"]) == ""


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_huge_value_is_shown_short(size: int):
    assert len(shown("x" * size)) < 160


def test_an_error_travels_as_plain_data():
    assert set(ConfigError.invalid("a", 1, "b").as_dict()) == {"code", "message", "where", "expected", "hint"}
