"""References in releases: what was usual in the shop's events when a release was trained goes wherever the release goes.

In: the snapshot that is trained on. Out: one array of bytes in the draft, made from the snapshot and the settings alone, so equal logs give equal bytes.
"""

from typing import Final

import msgspec
import numpy as np

from vernal.config import duration_s
from vernal.events.reading import type_codes
from vernal.monitoring.keeping import Kept
from vernal.monitoring.reference import Drafted, Opened, Reference, Window
from vernal.monitoring.streams import Events, Items, Rows
from vernal.monitoring.usual import WEEK
from vernal.terms import US_PER_S
from vernal.training.snapshot import Snapshot

NAME: Final = "references"


def carry(draft: Drafted, snapshot: Snapshot) -> None:
    """Puts a reference per event type that the newest whole windows hold; nothing of types that did not occur.

    Cost: 0.5 us per event of the log, and 0.3 s per type.
    """
    monitoring, history = snapshot.settings.monitoring, snapshot.history
    length = duration_s(monitoring.window) * US_PER_S
    most, last = duration_s(monitoring.reference) * US_PER_S // length, snapshot.as_of // length
    numbers = range(max(last - most, int(history.received_at[0]) // length + 1), last)
    if len(numbers) < WEEK:
        return
    events = Events(type_codes(snapshot.settings), Items.of(snapshot.catalogue, history.n_items))
    starts = [history.available_before(number * length) for number in range(numbers.start, last + 1)]
    events.meet(history.rows(slice(0, starts[0])))
    windows = [events.rows(history.rows(slice(a, b)), n) for n, a, b in zip(numbers, starts[:-1], starts[1:], strict=True)]
    made: dict[str, bytes] = {}
    for name in windows[-1]:
        rows = [(number, window[name]) for number, window in zip(numbers, windows, strict=True)]
        if any(found.n for _, found in rows):
            kept = Kept()
            reference_of(events, name, rows).put(kept)
            made[name] = kept.to_bytes()
    draft.put_array(NAME, np.frombuffer(msgspec.msgpack.encode(made), np.uint8))


def reference_of(events: Events, name: str, rows: list[tuple[int, Rows]]) -> Reference:
    bins = events.bins([found for _, found in rows])
    return Reference.of(events.schema(name), bins, [Window(number, found.summary(bins)) for number, found in rows])


def carried(release: Opened) -> dict[str, Reference]:
    """The references in a release, per event type."""
    found = msgspec.msgpack.decode(release.array(NAME).tobytes(), type=dict[str, bytes])
    return {name: Reference.opened(Kept.from_bytes(raw)) for name, raw in found.items()}
