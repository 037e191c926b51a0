"""What a newer version wrote is refused by name, whoever opens it."""

import json
from pathlib import Path

import lmdb
import pytest

from vernal.app import Workspace
from vernal.engines.lmdb import FORMAT_KEY, LmdbState
from vernal.errors import StateError
from vernal.testing.village import village_settings


def test_a_data_directory_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with Workspace(tmp_path, village_settings()) as opened:
        file = opened.data / "format.json"
    file.write_text(json.dumps({"format": 999}), encoding="utf-8")
    with pytest.raises(StateError, match="999"):
        Workspace(tmp_path, village_settings())


@pytest.mark.parametrize("readonly", [True, False])
def test_a_state_store_of_a_newer_version_is_refused_by_readers_and_writers(tmp_path: Path, readonly: bool) -> None:
    LmdbState(tmp_path / "state", readonly=False, map_bytes=1 << 20).close()
    with lmdb.open(str(tmp_path / "state"), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        transaction.put(FORMAT_KEY, b"999")
    for _ in range(2):
        with pytest.raises(StateError, match="999"):
            LmdbState(tmp_path / "state", readonly=readonly, map_bytes=1 << 20)
