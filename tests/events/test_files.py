import json
from pathlib import Path

import polars as pl
import pytest

from vernal.errors import EventError
from vernal.events.files import ROW, expand, read_table


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_text_in_a_csv_stays_text(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path / "f.csv", "id,n\n007,1\n08,\n")).frame
    assert frame.rows() == [(2, "007", "1"), (3, "08", None)]


def test_only_wanted_columns_are_read_and_all_are_named(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "f.csv", "a,b,c\n1,2,3\n"), ["c", "missing"])
    assert (table.frame.columns, table.columns) == ([ROW, "c"], ["a", "b", "c"])


def test_quotes_commas_and_line_breaks_inside_fields_are_kept(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "f.csv", 'a,b\n"x, ""y""\nz",1\n')).frame["a"].to_list() == ['x, "y"\nz']


def test_lines_longer_than_the_header_are_said(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "f.csv", "a,b\n1,2\n1,2,3\n"))
    assert (table.frame.height, "more fields than the header" in table.notes[0]) == (2, True)


def test_json_values_of_mixed_types_become_text(tmp_path: Path) -> None:
    rows = [{"id": 1, "tags": ["x"]}, {"id": "two", "tags": None}, {"id": 3.5, "tags": ["y", 2]}]
    frame = read_table(write(tmp_path / "f.jsonl", "\n".join(map(json.dumps, rows)))).frame
    assert (frame["id"].to_list(), frame["tags"].to_list()[2]) == (["1", "two", "3.5"], ["y", "2"])


def test_whole_numbers_beyond_64_bits_stay_whole(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "f.jsonl", f'{{"id": {2**70}}}')).frame["id"].to_list() == [str(2**70)]


def test_a_json_array_is_read_too(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "f.json", '[{"a": 1}, {"a": 2}]')).frame["a"].to_list() == [1, 2]


def test_rows_are_numbered_as_an_editor_shows_them(tmp_path: Path) -> None:
    pl.DataFrame({"a": [5, 6]}).write_parquet(tmp_path / "f.parquet")
    assert read_table(write(tmp_path / "f.jsonl", '\n{"a":1}\n\n{"a":2}')).frame[ROW].to_list() == [2, 4]
    assert read_table(tmp_path / "f.parquet").frame[ROW].to_list() == [1, 2]


def test_globs_are_expanded_in_a_stable_order_and_without_repeats(tmp_path: Path) -> None:
    for name in "cab":
        write(tmp_path / f"{name}.csv", "x")
    assert [path.name for path in expand(tmp_path, ["b.csv", "*.csv", str(tmp_path / "a.csv")], "events.files")] == ["b.csv", "a.csv", "c.csv"]


def test_a_missing_file_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(EventError, match=r"events\.files: got 'no\.csv'"):
        expand(tmp_path, ["no.csv"], "events.files")
