"""References travel in releases: the same as the watchman's own, and the same bytes for the same log."""

from pathlib import Path

import numpy as np
from test_watchman import EVENTS, ITEMS, Village, day

from vernal.events.reading import read_catalogue, read_history, type_codes
from vernal.monitoring.carrying import NAME, carried, carry
from vernal.monitoring.coordinates import Statistic
from vernal.monitoring.keeping import Kept
from vernal.monitoring.reference import Window
from vernal.monitoring.watch import Watch
from vernal.training.snapshot import Snapshot


def snapshot_of(village: Village) -> Snapshot:
    until = len(ITEMS) + next(k for k, event in enumerate(EVENTS) if event.time >= day(30))
    history = read_history(village.log, None, type_codes(village.settings), until)
    return Snapshot(village.plan, village.settings, history, read_catalogue(village.log, village.settings.items, until), until, day(30))


def test_what_a_release_carries_is_what_the_watchman_would_begin_with(tmp_path: Path) -> None:
    village, kept = Village(tmp_path, EVENTS), Kept()
    carry(kept, snapshot_of(village))
    watchman, found = village.watchman(), carried(kept)
    watchman.step(day(30))
    assert set(found) == set(watchman.watches) == {"view", "buy"}
    for name, reference in found.items():
        own = watchman.watches[name].reference
        for part, array in reference.arrays().items():
            assert np.array_equal(array, own.arrays()[part], equal_nan=True)


def test_a_carried_reference_judges_windows_on_its_own(tmp_path: Path) -> None:
    kept = Kept()
    carry(kept, snapshot_of(Village(tmp_path, EVENTS)))
    reference = carried(kept)["buy"]
    nothing, watch = reference.total - reference.total, Watch(reference)
    alarms = [alarm for k in range(1, 7) for alarm in watch.judge(Window(reference.last + k, nothing)).alarms]
    assert [(alarm.statistic, alarm.blocks_training) for alarm in alarms] == [(Statistic.VOLUME, True)]


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = Kept(), Kept()
    for name, kept in (("one", one), ("other", other)):
        carry(kept, snapshot_of(Village(tmp_path / name, EVENTS)))
    assert one.to_bytes() == other.to_bytes()
    assert one.array(NAME).nbytes > 1_000


def test_a_log_of_some_days_carries_nothing(tmp_path: Path) -> None:
    kept = Kept()
    village = Village(tmp_path, [event for event in EVENTS if event.time < day(5)])
    history = read_history(village.log, None, type_codes(village.settings))
    carry(kept, Snapshot(village.plan, village.settings, history, read_catalogue(village.log, village.settings.items), village.log.end(), day(5)))
    assert kept.arrays == {}
