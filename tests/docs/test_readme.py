"""README.md: short, and every command and call in it is one that works."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from vernal.cli import parser_of
from vernal.config import Events
from vernal.events.schema import Event
from vernal.events.wire import decode_events
from vernal.serving.recommending import decoded

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```", "", TEXT, flags=re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^vernal [^#\n]+", TEXT, re.MULTILINE)
BODIES = re.findall(r"(/v1/\w+)[^\n]*-d '([^']+)'", TEXT)


def test_it_is_shorter_than_700_words():
    assert len(PROSE.split()) < 700


@pytest.mark.parametrize("command", COMMANDS, ids=str.strip)
def test_every_command_is_one_that_vernal_takes(command):
    _, verb, *words = shlex.split(command)
    parser_of(verb).parse_args(words)


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_every_call_is_one_that_the_server_takes(path, body):
    if path == "/v1/events":
        assert isinstance(decode_events(body.encode(), 0, Events())[0], Event)
    else:
        assert decoded(body.encode()).user


def test_every_make_target_named_exists():
    named = set(re.findall(r"(?:^|`)make (\w+)", TEXT, re.MULTILINE))
    assert named
    for target in named:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_every_verb_named_exists():
    for verb in re.findall(r"`vernal (\w+)", TEXT):
        parser_of(verb)
