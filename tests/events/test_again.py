"""Letters are read again as what they were: each dialect by its own rules, a file's row by those of an import."""

import json
from pathlib import Path
from typing import Any

import pytest

from vernal.clock import ManualClock
from vernal.config import Events, EventType, Settings
from vernal.engines.sqlite import SqliteLog
from vernal.events.again import decoder
from vernal.events.deadletters import DeadLetters
from vernal.events.fields import Rejection
from vernal.events.gorse import map_feedback, map_items
from vernal.events.schema import Kind
from vernal.events.segment import map_segment
from vernal.terms import DAY_S, US_PER_S

NOW = 1_700_000_000_000_000


@pytest.fixture
def letters(tmp_path: Path, clock: ManualClock) -> DeadLetters:
    return DeadLetters(tmp_path / "letters.jsonl", clock)


def mend(letters: DeadLetters, **fields: Any) -> None:
    """Puts right what was sent, as somebody would in the file."""
    text = [json.loads(line) for line in letters.path.read_text().splitlines()]
    for letter in text:
        letter["rejection"]["raw"] |= fields
    letters.path.write_text("".join(json.dumps(letter) + "\n" for letter in text))


def test_a_segment_message_is_taken_in_once_it_is_right(letters: DeadLetters, log: SqliteLog) -> None:
    sent = {"type": "track", "event": "Order Completed", "messageId": "m1", "properties": {"products": [{"product_id": "i1"}, {"product_id": "i2"}]}}
    refused = map_segment(json.dumps({"batch": [sent]}).encode(), NOW, Settings()).rejections
    letters.put("POST /v1/batch", Kind.EVENTS, refused)
    assert letters.replay(decoder(Settings(), NOW), log).still_refused == 1
    assert "user" in next(letters.read()).rejection.message
    mend(letters, userId="ada")
    assert (letters.replay(decoder(Settings(), NOW), log).taken, log.end()) == (1, 2)


def test_an_identify_that_was_refused_becomes_a_user(letters: DeadLetters, log: SqliteLog) -> None:
    refused = map_segment(b'{"traits": {"plan": "gold"}}', NOW, Settings(), "identify").rejections
    letters.put("POST /v1/identify", Kind.EVENTS, refused)
    mend(letters, userId="ada")
    assert letters.replay(decoder(Settings(), NOW), log).taken == 1
    assert [entry.kind for entry in log.read(0, 10)] == [Kind.USERS]


@pytest.mark.parametrize(("source", "kind", "make", "sent", "right"), [
    ("POST /api/feedback", Kind.EVENTS, lambda body: map_feedback(body, NOW, Settings()), {"FeedbackType": "view", "ItemId": "i1"}, {"UserId": "ada"}),
    ("POST /api/item", Kind.ITEMS, lambda body: map_items(body, NOW), {"Categories": ["a"]}, {"ItemId": "i1"}),
])  # fmt: skip
def test_a_gorse_record_is_taken_in_once_it_is_right(
    letters: DeadLetters, log: SqliteLog, source: str, kind: Kind, make: Any, sent: dict[str, Any], right: dict[str, Any]
) -> None:
    letters.put(source, kind, [found for found in make(json.dumps([sent]).encode()) if isinstance(found, Rejection)])
    assert letters.replay(decoder(Settings(), NOW), log).still_refused == 1
    mend(letters, **right)
    assert (letters.replay(decoder(Settings(), NOW), log).taken, log.end()) == (1, 1)


ROWS = {
    "a future time": {"user": "ada", "item": "i1", "type": "view", "time": NOW // US_PER_S + 40 * DAY_S},
    "no time": {"user": "ada", "item": "i1", "type": "view"},
    "a cancellation": {"user": "ada", "item": "i1", "type": "buy", "time": NOW // US_PER_S - DAY_S, "value": -3.0},
}


@pytest.mark.parametrize("row", list(ROWS.values()), ids=list(ROWS))
def test_a_row_that_an_import_refused_is_refused_again_while_nothing_was_put_right(letters: DeadLetters, log: SqliteLog, row: dict[str, Any]) -> None:
    letters.put("events.csv", Kind.EVENTS, [Rejection(1, "V200", "m", "events.csv:1", "g", "a good row", "", row)])
    done = letters.replay(decoder(Settings(), NOW), log)
    assert (done.taken, done.still_refused, log.end()) == (0, 1, 0)


def test_a_row_is_taken_once_the_settings_know_its_values(letters: DeadLetters, log: SqliteLog) -> None:
    letters.put("events.csv", Kind.EVENTS, [Rejection(1, "V200", "m", "events.csv:1", "g", "a good row", "", ROWS["a cancellation"])])
    known = Settings(events=Events(types={"buy": EventType(min_value=-5.0)}))
    assert letters.replay(decoder(known, NOW), log).taken == 1


@pytest.mark.parametrize(("line", "taken"), [('{"user": "ada", "item": "i1", "type": "view", "time": 1600000000}', 1), ('{"user": "ada"}', 0), ("{", 0)])
def test_a_line_that_was_no_json_is_read_as_the_row_it_has_become(letters: DeadLetters, log: SqliteLog, line: str, taken: int) -> None:
    letters.put("events.jsonl", Kind.EVENTS, [Rejection(1, "V200", "m", "events.jsonl:1", "g", "JSON", "", line)])
    assert letters.replay(decoder(Settings(), NOW), log).taken == taken
