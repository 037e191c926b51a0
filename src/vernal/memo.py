"""What was computed before, kept under the hash of everything it was computed from.

In: a key and what writes arrays and texts, as a release is written. Out: the same bytes, or nothing: what is damaged, cut short or gone is computed again, so
a memo saves work and decides nothing. An entry is a directory with a manifest, like a release's; nothing is ever unpickled.
"""

import fcntl
import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.release import DRAFT, FORMAT, MANIFEST, Draft, Lineage, Manifest, Release, sha256

Save = Callable[[Draft], object]
LOCK = ".lock"


class Memo:
    """Entries in one folder.

    Parameters
    ----------
    folder : none = nothing is kept
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def recall(self, key: str) -> Release | None:
        """The entry, every file compared with its hash; none where it is not there as it was written. Cost: 1 s per GB."""
        if self.folder is None:
            return None
        path = self.folder / key
        try:
            manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
            whole = manifest.name == key and manifest.metrics == {"files": digest(manifest.files)}
            whole = whole and all(sha256(path / file) == found for file, found in manifest.files.items())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return Release(path, manifest) if whole else None

    def keep(self, entries: Mapping[str, Save | None], lineage: Lineage, still: Callable[[], bool] = lambda: True) -> None:
        """Keeps these entries and no others.

        Parameters
        ----------
        entries : by key; none = it is there already
        lineage : of the release they were made for, for people to read
        still : asked when nobody can empty the memo any more; false = nothing is written after all

        A disk that is full, or not to be written to, keeps less, and that is all.
        """
        if self.folder is None:
            return
        with suppress(OSError), self.locked(self.folder, wait=True):
            if not still():
                return
            sweep(self.folder, entries)
            for key, save in entries.items():
                if save is not None:
                    write(self.folder, key, save, lineage)

    def forget(self) -> bool:
        """Removes everything; false, and nothing done, while somebody writes."""
        if self.folder is None or not self.folder.exists():
            return True
        with self.locked(self.folder, wait=False) as mine:
            if mine:
                sweep(self.folder, ())
            return mine

    @contextmanager
    def locked(self, folder: Path, *, wait: bool) -> Iterator[bool]:
        """Holds the place of the one writer; without `wait`, false when another holds it."""
        folder.mkdir(exist_ok=True)
        with (folder / LOCK).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def sweep(folder: Path, kept: Iterable[str]) -> None:
    """Removes what is not to be kept, and what a dead writer left."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)


def write(folder: Path, key: str, save: Save, lineage: Lineage) -> None:
    """An entry that appears whole or not at all; a damaged one of the same key makes room for it."""
    draft = Draft(folder / f"{DRAFT}{secrets.token_hex(8)}")
    draft.path.mkdir()
    save(draft)
    files = {file.name: sha256(file) for file in sorted(draft.path.iterdir())}
    manifest = Manifest(format=FORMAT, name=key, created_at=0, lineage=lineage, metrics={"files": digest(files)}, files=files)
    (draft.path / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    shutil.rmtree(folder / key, ignore_errors=True)
    draft.path.rename(folder / key)


def digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(files, order="sorted")).hexdigest()


def key_of(*parts: object) -> str:
    """sha256 of parts, each an array or what JSON can say; equal keys mean equal parts.

    >>> key_of("a", 1) == key_of("a", 1), key_of("a", 1) == key_of("a1"), key_of(np.zeros(2)) == key_of(np.zeros((2, 1)))
    (True, False, False)
    """
    total = hashlib.sha256()
    for part in parts:
        about: object = [str(part.dtype), part.shape] if isinstance(part, np.ndarray) else part
        told = msgspec.json.encode(about, order="sorted")
        total.update(len(told).to_bytes(8, "little") + told)
        if isinstance(part, np.ndarray):
            total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()


def prefix_keys(columns: Mapping[str, NDArray[np.generic]], ends: Iterable[int]) -> dict[int, str]:
    """By end: the sha256 of the first `end` rows of all columns. Cost: every byte is hashed once."""
    running, done, made = {name: hashlib.sha256() for name in columns}, 0, dict[int, str]()
    for end in sorted(set(ends)):
        for name, column in columns.items():
            running[name].update(np.ascontiguousarray(column[done:end]).data)
        done, made[end] = end, key_of(end, {name: running[name].hexdigest() for name in columns})
    return made
