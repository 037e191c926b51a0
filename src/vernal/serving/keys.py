"""API keys: made once, shown once, kept as hashes.

In: a key from a header. Out: the scopes it carries. A key has 160 random bits, so one BLAKE2b is enough of a hash;
the comparison takes the same time for every wrong key. A key that is revoked stops working within `RELOAD_S` in every process.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from vernal.clock import Clock
from vernal.errors import RequestError

Scope = Literal["ingest", "serve", "admin"]
SCOPES: tuple[Scope, ...] = ("ingest", "serve", "admin")
PREFIX = "vk"
RELOAD_S = 1.0


class Key(msgspec.Struct, frozen=True):
    """What is kept of one key; the key itself is not."""

    id: str
    name: str
    scopes: list[str]
    digest: str  # BLAKE2b-256 of the whole key, hex
    created_at: int  # UTC us


class Keys:
    """The keys of one data directory, in one JSON file that only its owner may read.

    Example
    -------
    >>> import tempfile; from vernal.clock import ManualClock
    >>> keys = Keys(Path(tempfile.mkdtemp()) / "keys.json", ManualClock())
    >>> key = keys.add("shop", ["serve"])
    >>> keys.scopes(key), keys.scopes(key + "x"), keys.scopes("")
    (frozenset({'serve'}), frozenset(), frozenset())
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self.clock = path, clock
        self.known: dict[str, Key] = {}
        self.stamp: tuple[int, int] | None = None
        self.checked = -RELOAD_S
        self.refresh()

    def scopes(self, key: str) -> frozenset[str]:
        """Scopes of a key; none for a key nobody made. Cost: 2 us."""
        if key_id(key) not in self.known:  # perhaps it was made a moment ago
            self.checked = -RELOAD_S
        self.refresh()
        found = self.known.get(key_id(key))
        given = digest(key)
        kept = found.digest if found else "0" * len(given)
        return frozenset(found.scopes) if hmac.compare_digest(given, kept) and found else frozenset()

    def add(self, name: str, scopes: Iterable[str]) -> str:
        """A new key, returned this once and never again.

        Raises
        ------
        RequestError
            A scope that does not exist.
        """
        wanted = list(dict.fromkeys(scopes))
        for scope in wanted:
            if scope not in SCOPES:
                raise RequestError.unknown("scope", scope, SCOPES)
        identity = secrets.token_hex(4)
        key = f"{PREFIX}_{identity}_{secrets.token_hex(20)}"
        self.write([*self.all(), Key(identity, name, wanted, digest(key), self.clock.now())])
        return key

    def remove(self, identity: str) -> Key:
        """Revokes a key by its id (the part after `vk_`)."""
        keys = self.all()
        gone = next((key for key in keys if key.id == identity), None)
        if gone is None:
            raise RequestError.unknown("key", identity, [key.id for key in keys])
        self.write([key for key in keys if key.id != identity])
        return gone

    def all(self) -> list[Key]:
        """Every key, oldest first."""
        self.checked = -RELOAD_S
        self.refresh()
        return list(self.known.values())

    def refresh(self) -> None:
        """Reads the file again when it changed, looking at most once per `RELOAD_S`."""
        now = time.monotonic()
        if now - self.checked < RELOAD_S:
            return
        self.checked = now
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self.known, self.stamp = {}, None
            return
        if self.stamp != (status.st_mtime_ns, status.st_ino):
            self.stamp = (status.st_mtime_ns, status.st_ino)
            self.known = {key.id: key for key in msgspec.json.decode(self.path.read_bytes(), type=list[Key])}

    def write(self, keys: list[Key]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(keys), indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        self.checked, self.stamp = -RELOAD_S, None
        self.refresh()


def key_id(key: str) -> str:
    """The public part of a key.

    >>> key_id("vk_0a1b2c3d_secret"), key_id("nonsense")
    ('0a1b2c3d', '')
    """
    parts = key.split("_")
    return parts[1] if len(parts) == 3 and parts[0] == PREFIX else ""


def digest(key: str) -> str:
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=32).hexdigest()
