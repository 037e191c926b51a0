"""A release: everything serving needs for one version, in one immutable directory.

In: arrays (`.npy`) and JSON texts that training writes into a fresh directory. Out: the same bytes, memory-mapped, after every
file has been checked against the sha256 in `manifest.json`. Which release is in charge is a numbered promotion record, created
only if absent, so that two promoters cannot both win and every change of mind stays on record. Nothing is ever unpickled.

Who may serve is decided elsewhere: the store is given a check (`admits`) that `admit` asks beside the hashes.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.clock import Clock
from vernal.errors import ReleaseError

FORMAT = 1
MANIFEST = "manifest.json"
CHECKED = "checked"
TRUSTED_US = 86_400_000_000  # a day; then a file is hashed again, since a disk may forget without anybody writing
SETTLED_NS = 100_000_000  # a file younger than this may change once more within the same tick of the file system's clock
PIECE = 1 << 24  # bytes hashed at once
PAGE = 4_096
DRAFT = ".draft-"


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a release was made from; equal lineage means equal bytes."""

    log_from: int  # first log offset used
    log_to: int  # last log offset used
    as_of: int  # UTC us; nothing received at or after this was used
    config: str  # Settings.fingerprint()
    plan: str  # fingerprint of the compiled feature plan
    code: str  # version of vernal
    seed: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    name: str
    created_at: int  # UTC us
    lineage: Lineage
    metrics: dict[str, Any]
    files: dict[str, str]  # file name -> sha256 hex


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the release in charge."""

    number: int
    release: str
    previous: str | None
    at: int  # UTC us
    reason: str


class Stamp(msgspec.Struct, frozen=True):
    """What a file looked like when it was found to have its hash. Whoever writes a byte moves `ctime_ns`, which nobody can set."""

    sha256: str
    at: int  # UTC us
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, file: Path, digest: str, at: int) -> "Stamp":
        found = file.stat()
        return cls(digest, at, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def holds(self, now: "Stamp") -> bool:
        """Whether the file is what it was, and was looked at within a day."""
        return msgspec.structs.replace(now, at=self.at) == self and 0 <= now.at - self.at < TRUSTED_US


class Stamps:
    """The stamps of one release, which one process at a time reads and adds to; without a place to write them there are none."""

    def __init__(self, path: Path) -> None:
        self.path, self.known = path, dict[str, Stamp]()

    def __enter__(self) -> "Stamps":
        with suppress(OSError):
            self.path.parent.mkdir(exist_ok=True)
            self.stream = self.path.open("a+b")
            fcntl.flock(self.stream, fcntl.LOCK_EX)
            self.stream.seek(0)
            with suppress(msgspec.DecodeError, UnicodeDecodeError):  # cut short by a crash
                self.known = msgspec.json.decode(self.stream.read(), type=dict[str, Stamp])
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "stream"):
            with suppress(OSError), self.stream:
                self.stream.truncate(0)
                self.stream.write(msgspec.json.encode(self.known))


class Release:
    """One opened release; every array is a read-only memory map, so workers share its pages."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest, self.name = path, manifest, manifest.name
        self.maps: dict[str, NDArray[Any]] = {}

    def array(self, name: str) -> NDArray[Any]:
        """The array `name`.npy, memory-mapped and read-only."""
        file = self.path / f"{name}.npy"
        if file.name not in self.manifest.files:
            raise ReleaseError.damaged(file, "not named in the manifest")
        if name not in self.maps:
            self.maps[name] = np.load(file, mmap_mode="r", allow_pickle=False)
        return self.maps[name]

    def touch(self) -> None:
        """Maps every page of every array that can be read, so that no request waits for one. Cost: 0.1 s for 2 GB in memory, without the interpreter."""
        for file in map(Path, self.manifest.files):
            if file.suffix == ".npy":
                with suppress(OSError, ValueError):  # whoever needs a broken array says so
                    self.array(file.stem).reshape(-1).view(np.uint8)[::PAGE].max(initial=0)

    def json(self, name: str) -> Any:
        """The text `name`.json, decoded."""
        file = self.path / f"{name}.json"
        if file.name not in self.manifest.files:
            raise ReleaseError.damaged(file, "not named in the manifest")
        return json.loads(file.read_text(encoding="utf-8"))

    def has(self, file: str) -> bool:
        return file in self.manifest.files


class Draft:
    """A release being written: a private directory that becomes a release when committed, and nothing before."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put_array(self, name: str, array: NDArray[Any]) -> None:
        np.save(self.path / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)

    def put_json(self, name: str, value: Any) -> None:
        (self.path / f"{name}.json").write_text(json.dumps(value, sort_keys=True, ensure_ascii=False), encoding="utf-8")


class ReleaseStore:
    """Releases in a directory; implements what other rooms need of a store.

    Layout: `<root>/<name>/...`, `<root>/promotions/00000001.json`.

    Parameters
    ----------
    admits : raises where a release must not serve; by default every release may
    """

    def __init__(self, root: Path, clock: Clock, admits: Callable[[Release], object] = lambda _: None) -> None:
        self.root, self.clock, self.admits = root, clock, admits
        (root / "promotions").mkdir(parents=True, exist_ok=True)

    def draft(self) -> Draft:
        path = self.root / f"{DRAFT}{secrets.token_hex(8)}"
        path.mkdir()
        return Draft(path)

    def commit(self, draft: Draft, lineage: Lineage, metrics: Mapping[str, Any]) -> Release:
        """Seals a draft: hashes, manifest, fsync, one rename. The name is its number and the first 8 digits of its content hash."""
        files = {file.name: sha256(file) for file in sorted(draft.path.iterdir())}
        content = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        name = f"r{self.next_number():04d}-{content[:8]}"
        manifest = Manifest(format=FORMAT, name=name, created_at=self.clock.now(), lineage=lineage, metrics=dict(metrics), files=files)
        (draft.path / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        for file in draft.path.iterdir():
            sync(file)
        sync(draft.path)
        os.rename(draft.path, self.root / name)
        sync(self.root)
        return Release(self.root / name, manifest)

    def discard(self, draft: Draft) -> None:
        shutil.rmtree(draft.path, ignore_errors=True)

    def sweep(self) -> int:
        """Removes drafts that nobody will commit; the caller holds the lock under which drafts are written. Returns how many went."""
        left = list(self.root.glob(f"{DRAFT}*"))
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        return len(left)

    def next_number(self) -> int:
        return 1 + max((int(name[1:5]) for name in self.names()), default=0)

    def names(self) -> list[str]:
        """Kept releases, oldest first."""
        return sorted(path.name for path in self.root.iterdir() if path.name.startswith("r") and (path / MANIFEST).exists())

    def manifest(self, name: str) -> Manifest:
        file = self.root / name / MANIFEST
        if "/" in name or name.startswith(".") or not file.exists():
            raise ReleaseError.missing(name, self.names())
        try:
            manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ReleaseError.damaged(file, str(error)) from None
        if manifest.format > FORMAT:
            raise ReleaseError.newer(name, manifest.format, FORMAT)
        return manifest

    def manifests(self) -> Iterator[Manifest]:
        """Of kept releases, oldest first; one that is damaged or of a newer version is left out: it can be neither served nor compared with."""
        for name in self.names():
            with suppress(ReleaseError):
                yield self.manifest(name)

    def open(self, name: str, *, verify: bool = True, again: bool = True) -> Release:
        """The release, every file compared with its hash first.

        Parameters
        ----------
        again : read files, too, that were found right on this machine within a day and have not been written since

        Raises
        ------
        ReleaseError
            Unknown name, a missing or extra byte anywhere, a format of a newer version.
        """
        manifest = self.manifest(name)
        if verify:
            self.check(name, manifest.files, again=again)
        return Release(self.root / name, manifest)

    def check(self, name: str, files: Mapping[str, str], *, again: bool) -> list[str]:
        """Compares every file of a release with its hash; returns those that were read for it.

        One process at a time, so that those who come after it find its stamps. Cost: 1 s per GB, or a stat per file.
        """
        read = []
        with Stamps(self.root / CHECKED / f"{name}.json") as stamps:
            for file, digest in files.items():
                path, now = self.root / name / file, self.clock.now()
                if not path.exists():
                    raise ReleaseError.damaged(path, "missing")
                found = Stamp.of(path, digest, now)
                if not again and file in stamps.known and stamps.known[file].holds(found):
                    continue
                read.append(file)
                if sha256(path) != digest:
                    raise ReleaseError.damaged(path, "its sha256 differs from the manifest")
                if 1_000 * now - found.ctime_ns > SETTLED_NS:
                    stamps.known[file] = found
        return read

    def admit(self, name: str, *, verify: bool = True, again: bool = True) -> Release:
        """The release, opened to serve: its certificate is checked every time, where one is asked for.

        Raises
        ------
        ReleaseError
            As `open`, and whatever `admits` finds.
        """
        release = self.open(name, verify=verify, again=again)
        self.admits(release)
        return release

    def promotions(self) -> Iterator[Promotion]:
        """Every change of the release in charge, oldest first."""
        for file in sorted((self.root / "promotions").glob("*.json")):
            yield msgspec.json.decode(file.read_bytes(), type=Promotion)

    def last_promotion(self) -> Promotion | None:
        files = sorted((self.root / "promotions").glob("*.json"))
        return msgspec.json.decode(files[-1].read_bytes(), type=Promotion) if files else None

    def champion(self) -> str | None:
        """Name of the release in charge; none before the first promotion."""
        last = self.last_promotion()
        return last.release if last else None

    def promote(self, name: str, reason: str, *, after: int | None = None) -> Promotion:
        """Puts a release in charge. Two promoters at once: one wins, the other's record follows it, or is not made.

        Parameters
        ----------
        after : number of the promotion that is to be followed (0 = none); by default whichever is the last

        Raises
        ------
        ReleaseError
            Unknown name, or another promotion came in between.
        """
        self.manifest(name)
        while True:
            last = self.last_promotion()
            number = last.number if last else 0
            if after is not None and number != after:
                raise ReleaseError.overtaken(name, last.release if last else "none")
            record = Promotion(number=number + 1, release=name, previous=last.release if last else None, at=self.clock.now(), reason=reason)
            if self.create_if_absent(self.root / "promotions" / f"{record.number:08d}.json", msgspec.json.encode(record)):
                return record

    def roll_back(self, reason: str) -> Promotion:
        """Puts the previous release back in charge; its bytes are what they were, or nothing changes."""
        current = self.champion()
        if current is None:
            raise ReleaseError.none_yet()
        earlier = [p.previous for p in self.promotions() if p.release == current and p.previous and p.previous != current]
        if not earlier:
            raise ReleaseError.missing("previous release", self.names())
        return self.promote(self.admit(earlier[-1]).name, reason)

    def prune(self, keep: int, *also: str) -> list[str]:
        """Deletes all but the newest `keep` releases, the champion, its predecessor and what else is named; returns what went."""
        last = self.last_promotion()
        needed = {last.release, last.previous, *also} if last else {*also}
        gone = [name for name in self.names()[:-keep] if name not in needed]
        for name in gone:
            (self.root / name).rename(self.root / f"{DRAFT}{name}")  # gone at once; what a crash leaves of it is swept away as a draft
            shutil.rmtree(self.root / f"{DRAFT}{name}", ignore_errors=True)
        return gone

    @staticmethod
    def create_if_absent(path: Path, content: bytes, mode: int = 0o644) -> bool:
        """Writes a whole file that appears at once or not at all; false when it was there already."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(content)
        sync(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        sync(path.parent)
        return True


def sha256(file: Path) -> str:
    """In large pieces: between two of them a thread takes the interpreter, and one of low priority then keeps it from all others while it waits for a core."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(min(PIECE, file.stat().st_size + 1)))
    with file.open("rb", buffering=0) as stream:
        while n := stream.readinto(piece):
            digest.update(piece[:n])
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Flushes a file or a directory entry to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
