"""A release is immutable, checked before it is opened, and the one in charge is a matter of record."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vernal.clock import ManualClock
from vernal.errors import ReleaseError
from vernal.release import Lineage, Release, ReleaseStore

LINEAGE = Lineage(log_from=1, log_to=9, as_of=5, config="c", plan="p", code="0", seed=0)


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases", ManualClock())


def made(store: ReleaseStore, value: float = 1.0) -> Release:
    draft = store.draft()
    draft.put_array("vectors", np.full((3, 2), value, np.float32))
    draft.put_json("words", {"ä": [1, None]})
    return store.commit(draft, LINEAGE, {"ndcg": 0.1})


def test_what_was_saved_is_what_is_loaded(store: ReleaseStore):
    release = store.open(made(store).name)
    assert release.json("words") == {"ä": [1, None]}
    vectors = release.array("vectors")
    assert np.array_equal(vectors, np.ones((3, 2), np.float32))
    assert not vectors.flags.writeable


def test_one_flipped_bit_in_any_file_is_found(store: ReleaseStore):
    release = made(store)
    for file in sorted(release.path.glob("[vw]*")):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(ReleaseError, match=file.name):
            store.open(release.name)
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    store.open(release.name)


def test_a_missing_file_and_a_broken_manifest_are_found(store: ReleaseStore):
    first, second = made(store), made(store, 2.0)
    (first.path / "vectors.npy").unlink()
    with pytest.raises(ReleaseError, match="missing"):
        store.open(first.name)
    (second.path / "manifest.json").write_text("{")
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        store.open(second.name)


def test_a_release_of_a_newer_version_is_refused_by_name(store: ReleaseStore):
    release = made(store)
    manifest = release.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(ReleaseError, match="upgrade vernal"):
        store.open(release.name)


def test_an_unknown_name_or_a_path_is_refused(store: ReleaseStore):
    name = made(store).name
    with pytest.raises(ReleaseError, match=name):
        store.open(name[:-1])
    with pytest.raises(ReleaseError):
        store.open("../elsewhere")


def test_promote_then_roll_back_is_the_identity(store: ReleaseStore):
    first, second = made(store), made(store, 2.0)
    store.promote(first.name, "first")
    store.promote(second.name, "better")
    assert store.champion() == second.name
    store.roll_back("regret")
    assert store.champion() == first.name
    assert [p.reason for p in store.promotions()] == ["first", "better", "regret"]


def test_rolling_back_with_nothing_before_is_refused(store: ReleaseStore):
    with pytest.raises(ReleaseError):
        store.roll_back("x")
    store.promote(made(store).name, "first")
    with pytest.raises(ReleaseError):
        store.roll_back("x")


def test_promoters_at_once_leave_one_chain_of_records(store: ReleaseStore):
    names = [made(store, float(i)).name for i in range(4)]
    threads = [threading.Thread(target=store.promote, args=(name, name)) for name in names * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    chain = list(store.promotions())
    assert [p.number for p in chain] == list(range(1, 21))
    assert [p.previous for p in chain[1:]] == [p.release for p in chain[:-1]]


def test_a_promotion_that_is_to_follow_another_than_the_last_is_not_made(store: ReleaseStore):
    first, second = made(store), made(store, 2.0)
    store.promote(first.name, "first", after=0)
    with pytest.raises(ReleaseError, match="meanwhile"):
        store.promote(second.name, "late", after=0)
    assert store.champion() == first.name


def test_an_abandoned_draft_is_no_release(store: ReleaseStore):
    draft = store.draft()
    draft.put_json("words", 1)
    assert store.names() == []
    store.discard(draft)


def test_pruning_keeps_the_newest_the_champion_and_its_predecessor(store: ReleaseStore):
    names = [made(store, float(i)).name for i in range(6)]
    store.promote(names[0], "a")
    store.promote(names[1], "b")
    assert store.prune(keep=2) == names[2:4]
    assert store.names() == [*names[:2], *names[4:]]


@pytest.fixture
def later(tmp_path: Path) -> ReleaseStore:
    """A store whose clock has left behind whatever is written now."""
    return ReleaseStore(tmp_path / "releases", ManualClock(time.time_ns() // 1_000 + 60_000_000))


def contents(release: Release) -> tuple[str, dict[str, str]]:
    return release.name, release.manifest.files


def test_what_one_process_found_right_the_next_one_need_not_read(later: ReleaseStore):
    given, other = contents(made(later)), ReleaseStore(later.root, later.clock)
    assert later.check(*given, again=False) == ["vectors.npy", "words.json"]
    assert other.check(*given, again=False) == []
    assert other.check(*given, again=True) == ["vectors.npy", "words.json"]


def test_a_byte_flipped_after_a_file_was_found_right_is_found(later: ReleaseStore):
    release = made(later)
    later.check(*contents(release), again=False)
    file = release.path / "vectors.npy"
    content, before = bytearray(file.read_bytes()), file.stat()
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if nothing had happened
    with pytest.raises(ReleaseError, match="sha256"):
        later.open(release.name, again=False)


def test_files_are_trusted_for_a_day_and_only_once_they_have_settled(later: ReleaseStore, store: ReleaseStore):
    given = contents(made(later))
    assert store.check(*given, again=False) == store.check(*given, again=False) == ["vectors.npy", "words.json"]  # its clock is before they were written
    later.check(*given, again=False)
    later.clock.advance(seconds=86_400)
    assert later.check(*given, again=False) == ["vectors.npy", "words.json"]


def test_stamps_that_cannot_be_read_are_written_anew(later: ReleaseStore):
    given = contents(made(later))
    later.check(*given, again=False)
    (later.root / "checked" / f"{given[0]}.json").write_bytes(b'{"vectors.npy": {"sha')
    assert later.check(*given, again=False) == ["vectors.npy", "words.json"]
    assert later.check(*given, again=False) == []


def test_processes_that_check_at_once_read_every_file_once(later: ReleaseStore):
    given, read = contents(made(later)), []
    threads = [threading.Thread(target=lambda: read.extend(later.check(*given, again=False))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read) == ["vectors.npy", "words.json"]


def test_arrays_of_any_shape_are_mapped_once_whole(later: ReleaseStore):
    draft = later.draft()
    shapes = ((), (0,), (0, 3), (5, 4_096), (2, 3, 1_000))
    for number, shape in enumerate(shapes):
        draft.put_array(f"a{number}", np.ones(shape))
    release = later.open(later.commit(draft, LINEAGE, {}).name)
    release.touch()
    assert sorted(release.maps) == ["a0", "a1", "a2", "a3", "a4"]
    assert all(release.array(f"a{number}").shape == shape for number, shape in enumerate(shapes) if shape)
