"""Cases are split in time: known is before the moment, judged is from it on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.config import Events
from vernal.evaluation.splits import DAY_US, Moments, cases, positive_rows
from vernal.events.history import History
from vernal.testing.tiny import START_US, tiny_world


def brute(history: History, events: Events, begin: int, end: int, moments: Moments) -> dict[tuple[int, int], set[int]]:
    """(user, at) -> targets, by looping over events."""
    rows = [r for r in np.flatnonzero(positive_rows(history, events)) if history.received_at[r] < end]
    inside = [r for r in rows if history.received_at[r] >= begin]
    found: dict[tuple[int, int], set[int]] = {}
    opened: dict[tuple[int, int], int] = {}
    for r in inside:
        user, day = int(history.user[r]), int(history.received_at[r]) // DAY_US
        at = opened.setdefault((user, day), int(history.received_at[r])) if moments == "activity" else begin
        had = any(history.user[q] == user and history.item[q] == history.item[r] and history.received_at[q] < at for q in rows)
        if events.repeats or not had:
            found.setdefault((user, at), set()).add(int(history.item[r]))
    return found


@pytest.mark.parametrize("moments", ["activity", "window"])
@pytest.mark.parametrize("repeats", [False, True])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000), first=st.integers(0, 15), length=st.integers(1, 8))
def test_cases_are_those_of_a_loop_over_events(moments: Moments, repeats: bool, seed: int, first: int, length: int) -> None:
    config, history, _ = tiny_world(n_events=150, seed=seed)
    events = Events(types=config.events.types, repeats=repeats)
    begin, end = START_US + first * DAY_US, START_US + (first + length) * DAY_US
    asked = cases(history, events, begin, end, moments)
    found = {(int(asked.user[c]), int(asked.at[c])): set(asked.targets(c).tolist()) for c in range(len(asked))}
    assert found == brute(history, events, begin, end, moments)


def test_nothing_received_after_the_stretch_changes_its_cases() -> None:
    config, history, _ = tiny_world()
    begin, end = START_US + 5 * DAY_US, START_US + 9 * DAY_US
    whole, cut = cases(history, config.events, begin, end), cases(history.before(end), config.events, begin, end)
    assert whole.at.tolist() == cut.at.tolist()
    assert whole.target.tolist() == cut.target.tolist()


def test_every_moment_is_inside_the_stretch_and_in_order() -> None:
    config, history, _ = tiny_world()
    begin, end = START_US + 5 * DAY_US, START_US + 9 * DAY_US
    asked = cases(history, config.events, begin, end)
    assert len(asked)
    assert (asked.at >= begin).all()
    assert (asked.at < end).all()
    assert (np.diff(asked.at) >= 0).all()


def test_a_sample_keeps_order_and_outcomes() -> None:
    config, history, _ = tiny_world()
    asked = cases(history, config.events, START_US, START_US + 20 * DAY_US)
    some = asked.sample(10, seed=3)
    whole = {(int(asked.user[c]), int(asked.at[c])): asked.targets(c).tolist() for c in range(len(asked))}
    assert len(some) == 10
    assert (np.diff(some.at) >= 0).all()
    assert all(whole[int(some.user[c]), int(some.at[c])] == some.targets(c).tolist() for c in range(10))
