import stat

import pytest

from vernal.clock import ManualClock
from vernal.errors import RequestError
from vernal.serving import keys as module
from vernal.serving.keys import Keys


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path / "keys.json", ManualClock())


def test_a_key_carries_exactly_the_scopes_it_was_made_with(keys):
    key = keys.add("shop", ["ingest", "serve"])
    assert keys.scopes(key) == {"ingest", "serve"}


def test_the_key_itself_is_not_on_disk(keys):
    key = keys.add("shop", ["serve"])
    assert key.encode() not in keys.path.read_bytes()
    assert key.split("_")[2].encode() not in keys.path.read_bytes()


def test_only_the_owner_may_read_the_file(keys):
    keys.add("shop", ["serve"])
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", ["", "vk", "vk__", "vk_00000000_", "\x00", "vk_00000000_" + "0" * 40, "é" * 50, "vk_a_b_c"])
def test_a_key_nobody_made_has_no_scope(keys, wrong):
    keys.add("shop", ["serve"])
    assert keys.scopes(wrong) == frozenset()


def test_a_key_with_one_changed_character_has_no_scope(keys):
    key = keys.add("shop", ["serve"])
    assert keys.scopes(key[:-1] + ("0" if key[-1] != "0" else "1")) == frozenset()


def test_a_revoked_key_has_no_scope(keys):
    key = keys.add("shop", ["serve"])
    keys.remove(key.split("_")[1])
    assert keys.scopes(key) == frozenset()


def test_another_process_knows_a_new_key_at_once(keys):
    other = Keys(keys.path, ManualClock())
    key = keys.add("shop", ["serve"])
    assert other.scopes(key) == {"serve"}


def test_another_process_forgets_a_revoked_key_at_its_next_look(keys, monkeypatch):
    key = keys.add("shop", ["serve"])
    other = Keys(keys.path, ManualClock())
    keys.remove(key.split("_")[1])
    monkeypatch.setattr(module, "RELOAD_S", 0.0)
    assert other.scopes(key) == frozenset()


def test_an_unknown_scope_is_answered_with_the_nearest_known_one(keys):
    with pytest.raises(RequestError, match="serve"):
        keys.add("shop", ["serv"])
