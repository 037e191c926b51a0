from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vernal.errors import ConfigError, EventError
from vernal.events.times import LAST_US, column_to_us, to_us, written

AT = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z


def column(values: list[object], unit: str = "auto", timezone: str = "UTC") -> list[int | None]:
    return column_to_us(pl.Series("t", values, strict=False), unit, timezone, "f.csv column 't'").to_list()


@pytest.mark.parametrize(("factor", "unit"), [(1, "s"), (10**3, "ms"), (10**6, "us"), (10**9, "ns")])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "recognised"])
def test_numbers_are_times_in_their_unit(factor: int, unit: str, declared: bool) -> None:
    assert column([1_700_000_000 * factor, None], unit if declared else "auto") == [AT, None]
    assert column([str(1_700_000_000 * factor), None], unit if declared else "auto") == [AT, None]


@pytest.mark.parametrize(
    "text",
    ["2023-11-14T22:13:20Z", "2023-11-14 22:13:20", "2023-11-14T22:13:20.000+00:00", "2023-11-14T23:13:20+01:00", "2023-11-14 22:13:20 UTC", "1700000000"],
)
def test_text_in_a_file_and_on_the_wire_is_the_same_time(text: str) -> None:
    assert column([text]) == [AT]
    assert "UTC" in text or to_us(text, "auto", "UTC", "$") == AT


@given(st.integers(0, LAST_US))
def test_a_time_written_is_the_same_time_when_read(at: int) -> None:
    assert to_us(written(at), "auto", "UTC", "$") == at
    assert column([written(at)]) == [at]


def test_times_without_a_zone_are_local() -> None:
    berlin = column([datetime(2026, 7, 1, 12), datetime(2026, 12, 1, 12)], timezone="Europe/Berlin")
    assert berlin == column(["2026-07-01T12:00:00", "2026-12-01T12:00:00"], timezone="Europe/Berlin")
    assert berlin == column(["2026-07-01T10:00:00Z", "2026-12-01T11:00:00Z"])


def test_an_hour_that_the_clock_skipped_is_no_time_and_one_it_repeated_is_the_first() -> None:
    skipped, repeated = column(["2026-03-29T02:30:00", "2026-10-25T02:30:00"], timezone="Europe/Berlin")
    assert (skipped, repeated) == (None, to_us("2026-10-25T00:30:00Z", "auto", "UTC", "$"))


def test_dates_are_midnight() -> None:
    assert column([date(2023, 11, 14)]) == column(["2023-11-14"]) == [1_699_920_000_000_000]


def test_milliseconds_declared_as_seconds_are_refused_with_the_remedy() -> None:
    with pytest.raises(EventError, match=r'this looks like milliseconds: set events\.time_unit = "ms"'):
        column([1_700_000_000_000] * 3, "s")


@pytest.mark.parametrize("values", [[1, 2, 3], [1_700_000_000, 1_700_000_000_000], [20231114, 20231115]])
def test_numbers_of_no_certain_unit_are_refused(values: list[object]) -> None:
    with pytest.raises(EventError, match="numbers in one unit"):
        column(values)


def test_day_first_dates_are_not_guessed() -> None:
    with pytest.raises(EventError, match="are not guessed"):
        column(["03/04/2023 10:00", "13/04/2023 10:00"])


def test_a_few_unreadable_times_are_only_missing() -> None:
    assert column(["2023-11-14T22:13:20Z", "soon", None, "2023-11-14T22:13:20Z"]) == [AT, None, None, AT]


def test_an_unknown_zone_is_a_setting_to_fix() -> None:
    with pytest.raises(ConfigError, match=r"events\.timezone"):
        column(["2023-11-14T22:13:20"], timezone="Mars/Olympus")
