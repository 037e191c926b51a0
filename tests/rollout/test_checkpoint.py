"""What was counted outlives its process; a file that cannot be trusted is as good as none."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from happened import ARMS, Log, click, counting, grouped, happenings, slate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vernal.events.schema import Batch, Erasure, Kind
from vernal.rollout.checkpoint import keep, restored
from vernal.rollout.counting import Counting
from vernal.terms import US_PER_S


def everything(found: Counting) -> list[object]:
    columns = [getattr(found, name)[: found.n].tolist() for name in ("sums", "arms", "segment", "seen")]
    given = [msgspec.to_builtins(each) | {"key": key} for key, each in found.given.items()]
    return [found.offset, found.left_out, found.users, found.erased, *columns, found.newest.tolist(), found.segments, given, found.early]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happened=happenings, pieces=st.lists(st.integers(1, 5), min_size=40, max_size=40), cut=st.integers(0, 40), gone=st.integers(0, 40))
def test_a_counting_killed_between_any_two_batches_goes_on_as_if_it_had_not_been(tmp_path: Path, happened, pieces, cut, gone) -> None:
    unique = list({(type(each).__name__, getattr(each, "event_id", each.rec_id)): each for each in happened}.values())
    batches = list(grouped(unique, pieces))
    erasure = Batch(len(unique) + 1, batches[-1].received_at if batches else 0, Kind.ERASURES, [Erasure("u1", 0)])
    batches.insert(min(gone, len(batches)), erasure)
    whole, killed = counting(), counting()
    for batch in batches:
        whole.fold(batch)
    for batch in batches[:cut]:
        killed.fold(batch)
    keep(tmp_path / "kept", killed, "of", 5)
    again = counting()
    assert restored(tmp_path / "kept", again, "of", 10**6) == 5
    assert everything(again) == everything(killed)
    for batch in batches[cut:]:
        again.fold(batch)
    assert everything(again) == everything(whole)
    assert [again.evidence(arm) for arm in ARMS] == [whole.evidence(arm) for arm in ARMS]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    found = counting()
    for batch in Log().put([slate("a", "ann"), slate("b", "bob", items=tuple(range(300)))]).put([click("a", 1), click("b", 299), click("c", 0)]).batches:
        found.fold(batch)
    keep(tmp_path / "kept", found, "of", 5 * US_PER_S)
    return tmp_path / "kept"


def test_long_slates_and_those_who_wait_are_kept(kept: Path) -> None:
    again = counting()
    restored(kept, again, "of", 5)
    again.fold(Log().put([slate("c", "cy")]).batches[0])
    assert again.evidence("champion").reward.clicks == 3
    again.fold(Log().put([click("b", 299, "rated", 5.0)]).batches[0])
    assert again.left_out.repeated == 1


@pytest.mark.parametrize("place", [0, 15, 16, 40, -1])
def test_one_flipped_byte_is_a_file_that_is_not_there(kept: Path, place: int) -> None:
    content = bytearray(kept.read_bytes())
    content[place] ^= 1
    kept.write_bytes(content)
    fresh = counting()
    assert restored(kept, fresh, "of", 5) is None
    assert everything(fresh) == everything(counting())


def test_a_file_torn_of_something_else_or_of_a_longer_log_is_not_taken(kept: Path) -> None:
    assert restored(kept, counting(), "of", 5) == 5 * US_PER_S
    assert restored(kept, counting(), "other", 5) is None
    assert restored(kept, counting(), "of", 4) is None
    kept.write_bytes(kept.read_bytes()[:-7])
    assert restored(kept, counting(), "of", 5) is None
    assert restored(kept.with_name("none"), counting(), "of", 5) is None


def test_no_name_of_a_user_or_slate_stands_in_it(kept: Path) -> None:
    assert not any(word in kept.read_bytes() for word in (b"ann", b"bob"))
    assert np.frombuffer(kept.read_bytes(), np.uint8).size < 4_000
