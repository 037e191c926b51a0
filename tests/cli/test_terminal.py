"""What goes to stdout, what to stderr, and how it looks."""

import io
import json

import pytest

from vernal.cli.terminal import Terminal, table
from vernal.errors import ConfigError


def terminal(**how: bool) -> Terminal:
    return Terminal(io.StringIO(), io.StringIO(), **how)


def said(screen: Terminal) -> str:
    assert isinstance(screen.err, io.StringIO)
    return screen.err.getvalue()


def test_a_stage_says_verb_counts_and_seconds_in_one_line_on_stderr():
    screen = terminal()
    with screen.stage("import") as stage:
        stage.counts("3 events")
    assert said(screen).startswith("import     3 events  ")
    assert said(screen).endswith(" s\n")
    assert screen.out.getvalue() == ""


def test_a_stage_that_fails_says_nothing():
    screen = terminal()
    with pytest.raises(ValueError, match="no"), screen.stage("train"):
        raise ValueError("no")
    assert said(screen) == ""


def test_colour_is_written_only_where_it_was_asked_for():
    plain, painted = terminal(), terminal(colour=True)
    for screen in (plain, painted):
        screen.fail(ConfigError.invalid("serving.port", 0, "a port"))
    assert "\x1b[" not in said(plain)
    assert "\x1b[" in said(painted)


def test_no_color_and_a_pipe_both_turn_colour_off():
    assert not Terminal.standard({"NO_COLOR": "1"}).colour
    assert not Terminal.standard({}).colour  # pytest's stderr is no terminal


def test_an_error_as_json_carries_its_code_and_hint():
    screen = terminal()
    screen.fail(ConfigError.invalid("serving.port", 0, "a port"), as_json=True)
    assert json.loads(said(screen))["error"]["code"] == "V100"


def test_a_bar_is_drawn_for_a_person_and_for_nobody_else():
    watched, piped = terminal(bars=True), terminal()
    for screen in (watched, piped):
        with screen.progress() as progress:
            progress("reading", 1, 10)
            progress("folding", 5, 10)
    assert "reading" in said(watched)
    assert "folding" in said(watched)
    assert said(piped) == ""


def test_numbers_stand_to_the_right_and_text_to_the_left():
    assert table(["a", "b"], [["x", 1_000], ["yyy", 2]]).splitlines() == ["a        b", "x    1,000", "yyy      2"]
