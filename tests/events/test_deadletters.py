import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vernal.clock import ManualClock
from vernal.config import Events
from vernal.engines.sqlite import SqliteLog
from vernal.events.deadletters import DeadLetters
from vernal.events.fields import Rejection
from vernal.events.schema import Kind
from vernal.events.wire import decode_events


@pytest.fixture
def letters(tmp_path: Path, clock: ManualClock) -> DeadLetters:
    return DeadLetters(tmp_path / "letters.jsonl", clock)


def rejections(body: str, events: Events | None = None) -> list[Rejection]:
    return [found for found in decode_events(body.encode(), 10**15, events or Events()) if isinstance(found, Rejection)]


def decoder(events: Events) -> Any:
    return lambda letter: [(Kind.EVENTS, decode_events(json.dumps(letter.rejection.raw).encode(), 10**15, events)[0])]


def test_a_letter_keeps_what_was_sent_and_why_it_was_refused(letters: DeadLetters, clock: ManualClock) -> None:
    letters.put("POST /v1/events", Kind.EVENTS, rejections('[{"user":"a","time":"soon"}]'))
    (letter,) = letters.read()
    assert (letter.at, letter.source, letter.rejection.raw) == (clock.now(), "POST /v1/events", {"user": "a", "time": "soon"})
    assert letter.rejection.where == "$.events[0].time"


def test_letters_outlive_their_process(letters: DeadLetters, clock: ManualClock) -> None:
    letters.put("s", Kind.EVENTS, rejections('[{"user":""},{"user":null}]'))
    assert len(DeadLetters(letters.path, clock)) == 2


def test_a_replay_takes_what_is_good_now_and_keeps_the_rest(letters: DeadLetters, log: SqliteLog) -> None:
    letters.put("s", Kind.EVENTS, rejections('[{"user":"a","time":1500000000000},{"item":"no user"}]', Events(time_unit="s")))
    done = letters.replay(decoder(Events(time_unit="ms")), log)
    assert (done.taken, done.still_refused, log.end(), len(letters)) == (1, 1, 1, 1)


def test_a_replay_after_a_crash_doubles_nothing(letters: DeadLetters, log: SqliteLog) -> None:
    letters.put("s", Kind.EVENTS, rejections('[{"user":"a","time":1500000000000}]', Events(time_unit="s")))
    before = letters.path.read_bytes()
    letters.replay(decoder(Events()), log)
    letters.path.write_bytes(before)  # as if it had died before the letters were taken off
    letters.replay(decoder(Events()), log)
    assert (log.end(), len(letters)) == (1, 0)


def test_a_torn_last_line_is_passed_over(letters: DeadLetters) -> None:
    letters.put("s", Kind.EVENTS, rejections('[{"user":""}]'))
    with letters.path.open("ab") as file:
        file.write(b'{"at": 1, "sou')
    assert len(letters) == 1


@pytest.mark.parametrize("body", ['[{"user":"a","value":NaN}]', '[{"user":"\\ud800"}]', '[{"user":"a","n":1e999,"time":"x"}]'])
def test_what_json_cannot_hold_is_kept_all_the_same(letters: DeadLetters, body: str) -> None:
    letters.put("s", Kind.EVENTS, rejections(body))
    assert len(letters) == 1


def test_many_writers_share_the_file(letters: DeadLetters) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: letters.put(f"s{n}", Kind.EVENTS, rejections('[{"user":""}]')), range(40)))
    assert {letter.source for letter in letters.read()} == {f"s{n}" for n in range(40)}


def test_letters_can_be_thrown_away(letters: DeadLetters) -> None:
    letters.put("s", Kind.EVENTS, rejections('[{"user":""}]'))
    assert (letters.clear(), len(letters)) == (1, 0)
