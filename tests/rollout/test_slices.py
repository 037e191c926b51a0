"""Slices are what was known at each request: counted one by one here, all at once there."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from vernal.config import Users
from vernal.evaluation.splits import Cases, cases, positive_rows
from vernal.events.schema import Kind, User
from vernal.rollout.slices import FEW, LEAST, NEW_US, item_values, new_items, slices, user_slices, user_values
from vernal.training.snapshot import Snapshot


class Asked:
    """The requests of a village's last ten days."""

    def __init__(self, villages: Callable[..., Any]) -> None:
        self.space = villages(20, n_users=150, n_items=90)
        self.snapshot = Snapshot.of(self.space)
        end = self.snapshot.as_of
        self.cases: Cases = cases(self.snapshot.history, self.space.settings.events, end - 10 * 86_400_000_000, end)


@pytest.fixture(scope="module")
def asked(villages: Callable[..., Any]) -> Asked:
    return Asked(villages)


def choices(asked: Asked, case: int) -> int:
    """How many choices of its user were received before a request."""
    history = asked.snapshot.history
    positive = positive_rows(history, asked.space.settings.events)
    return int((positive & (history.user == asked.cases.user[case]) & (history.received_at < asked.cases.at[case])).sum())


def test_new_users_had_chosen_little_when_they_asked(asked: Asked) -> None:
    new = next(user_slices(asked.cases, asked.snapshot)).cases
    assert new.tolist() == [choices(asked, case) < FEW for case in range(len(asked.cases))]
    assert 0 < new.sum() < len(new)


def test_heavy_users_had_chosen_more_than_nine_tenths_of_the_others(asked: Asked) -> None:
    _, heavy = user_slices(asked.cases, asked.snapshot)
    counts = np.array([choices(asked, case) for case in range(len(asked.cases))])
    assert counts[heavy.cases].min() > counts[~heavy.cases].max()
    assert 0 < heavy.cases.mean() <= 0.1


def test_a_new_item_was_first_heard_of_within_a_week_before_the_request_or_later(asked: Asked) -> None:
    history, found = asked.snapshot.history, new_items(asked.cases, asked.snapshot).cases
    first = {int(item): int(history.received_at[history.item == item].min()) for item in np.unique(history.item)}
    assert found.tolist() == [any(first[int(item)] >= at - NEW_US for item in asked.cases.targets(case)) for case, at in enumerate(asked.cases.at)]


def test_values_of_item_attributes_are_those_of_what_was_chosen_next(asked: Asked) -> None:
    ids = asked.snapshot.catalogue.ids
    for found in item_values(asked.cases, asked.snapshot):
        kind = found.name.split(" = ")[1]
        assert found.cases.tolist() == [any(ids[item].startswith(kind) for item in asked.cases.targets(case)) for case in range(len(asked.cases))]


def test_values_of_user_attributes_are_those_the_log_gives(asked: Asked) -> None:
    users = asked.snapshot.history.users
    asked.space.log.append(Kind.USERS, [User(user, {"plan": ["gold" if number % 2 else "free"]}) for number, user in enumerate(users)])
    settings = msgspec.structs.replace(asked.space.settings, users=Users(attributes=["plan"]))
    snapshot = Snapshot(**{**{name: getattr(asked.snapshot, name) for name in Snapshot.__dataclass_fields__}, "settings": settings})
    named = {found.name: found.cases for found in user_values(asked.cases, snapshot, asked.space.log)}
    assert named["user plan = gold"].tolist() == (asked.cases.user % 2 == 1).tolist()
    assert (named["user plan = gold"] ^ named["user plan = free"]).all()


def test_a_slice_with_few_requests_or_with_all_of_them_is_left_out(asked: Asked) -> None:
    found = slices(asked.cases, asked.snapshot, asked.space.log)
    assert found
    assert all(LEAST <= each.cases.sum() < len(asked.cases) for each in found)
    few = asked.cases.rows(np.arange(LEAST - 1))
    assert slices(few, asked.snapshot, asked.space.log) == []
