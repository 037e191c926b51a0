"""A log of slates and clicks in memory, and a counting of it."""

import numpy as np
from hypothesis import strategies as st

from vernal.config import Events, EventType, Items, Monitoring, Scenario, Settings
from vernal.events.schema import Batch, Erasure, Event, Kind, Slate
from vernal.rollout.counting import Counting
from vernal.terms import US_PER_S

SETTINGS = Settings(
    events=Events(types={"view": EventType(weight=0.0), "click": EventType(), "rated": EventType(min_value=4.0)}),
    items=Items(attributes=["kind"]),
    monitoring=Monitoring(mature_after="1h"),
    scenarios={"home": Scenario()},
)
ARMS = ["champion", "canary"]
CODES = np.array([1, 1, 2, 3, 3, 3], np.int32)
START = 1_700_000_000 * US_PER_S
HOUR = 3_600 * US_PER_S


def slate(rec_id, user, items=(0, 1, 2), arm="champion", **about):
    k = len(items)
    filled = {"time": START, "scenario": "home", "release": "r1", "rung": "full", "segment": "bread", "took_us": 900} | about
    ones = np.full(k, 0.5, np.float32).tobytes()
    numbers = np.array(items, np.uint32).tobytes()
    return Slate(
        rec_id=rec_id, user=user, arm=arm, request=b"{}", seed=1, user_offset=0, item_offset=0, hop=0, items=[f"i{item}" for item in items],
        item_numbers=numbers, propensities=filled.pop("propensities", ones), scores=np.zeros(k, np.float32).tobytes(), features=b"", **filled,
    )  # fmt: skip


def click(rec_id, item, kind="click", value=None):
    return Event(f"{rec_id}-{item}-{kind}-{value}", kind, "whoever", f"i{item}", START, value=value, rec_id=rec_id)


class Log:
    """Batches, numbered as a log would."""

    def __init__(self):
        self.batches, self.next = [], 1

    def put(self, records, at=START):
        records = records if isinstance(records, list) else [records]
        kind = {Slate: Kind.SLATES, Event: Kind.EVENTS, Erasure: Kind.ERASURES}[type(records[0])]
        self.batches.append(Batch(self.next, at, kind, records))
        self.next += len(records)
        return self


def counting():
    return Counting(ARMS, lambda slate: ARMS.index(slate.arm) if slate.arm in ARMS else -1, SETTINGS, 0, CODES)


happenings = st.lists(
    st.one_of(
        st.builds(lambda rec, user, arm: slate(f"r{rec}", f"u{user}", arm=arm), st.integers(0, 9), st.integers(0, 3), st.sampled_from([*ARMS, "holdout"])),
        st.builds(lambda rec, item: click(f"r{rec}", item), st.integers(0, 11), st.integers(0, 3)),
    ),
    max_size=40,
)


def grouped(records, pieces):
    """The records in batches of one kind, of at most so many each."""
    place, batch = 1, []
    for record, most in zip(records, pieces, strict=False):
        if batch and (type(batch[0]) is not type(record) or len(batch) >= most):
            yield Batch(place - len(batch), START, Kind.SLATES if isinstance(batch[0], Slate) else Kind.EVENTS, batch)
            batch = []
        batch = [*batch, record]
        place += 1
    if batch:
        yield Batch(place - len(batch), START, Kind.SLATES if isinstance(batch[0], Slate) else Kind.EVENTS, batch)
