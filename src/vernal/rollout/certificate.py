"""The gate's verdict on a release, written beside its manifest and signed.

In: what the gate found. Out: `certificate.json`, which names the sha256 of `manifest.json` (and so every byte of the release), every check with its figure and
bound, the data it was made from, who or what approved it, and an Ed25519 signature. A certificate holds only when the file is, byte for byte, what is written
for its content, and this data directory's own key signed that: whatever is edited, in it or in the manifest, is noticed.

The key pair is made on first use in `keys/` of the data directory. From then on a release needs a certificate to serve; releases that were in charge before
get one that says they were never judged (docs/decisions/008).
"""

import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec.structs import replace

from vernal.errors import GateError
from vernal.release import MANIFEST, Lineage, Release, ReleaseStore, sha256, sync

FORMAT = 1
FILE = "certificate.json"
PRIVATE, PUBLIC = "gate.key", "gate.pub"

CheckVerdict = Literal["passed", "refused", "not available"]
Verdict = Literal["passed", "refused", "overridden", "unjudged"]
SERVABLE = ("passed", "overridden", "unjudged")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the gate looked at."""

    name: str
    verdict: CheckVerdict
    sentence: str
    figure: float | None = None
    low: float | None = None  # its interval, where it has one
    high: float | None = None
    bound: float | None = None  # what the figure was held against


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate found, and who answers for it."""

    format: int = FORMAT
    release: str
    manifest: str  # sha256 of manifest.json, hex
    verdict: Verdict
    against: str  # the release in charge then; "" = none
    at: int  # UTC us
    by: str  # who or what approved or refused
    reason: str  # why, in one sentence
    lineage: Lineage
    data: str  # sha256 of the events it was made from; "" = not looked at
    checks: tuple[Check, ...]
    key: str = ""  # id of the key that signed
    signature: bytes = b""  # over everything else

    @property
    def refusals(self) -> list[Check]:
        return [check for check in self.checks if check.verdict == "refused"]

    def encoded(self) -> bytes:
        """The one way this certificate is written down."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


class Keys:
    """The key pair of the gate of one data directory.

    Parameters
    ----------
    folder : `keys/` of the data directory; made on first signature, readable by its owner alone
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def private(self) -> Ed25519PrivateKey:
        """The key that signs, made if there is none; two that make one at once end up with the same."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.folder / PRIVATE
        if not file.exists() and self.public is None:
            ReleaseStore.create_if_absent(file, Ed25519PrivateKey.generate().private_bytes_raw(), mode=0o600)
        try:
            return Ed25519PrivateKey.from_private_bytes(file.read_bytes())
        except (ValueError, FileNotFoundError) as error:
            raise GateError.no_key(file, str(error)) from None

    @property
    def public(self) -> Ed25519PublicKey | None:
        """The key that certificates are checked with; none before the first signature."""
        try:
            return Ed25519PublicKey.from_public_bytes((self.folder / PUBLIC).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise GateError.no_key(self.folder / PUBLIC, "no Ed25519 public key") from None

    def publish(self) -> None:
        """From here on certificates are asked for."""
        ReleaseStore.create_if_absent(self.folder / PUBLIC, self.private.public_key().public_bytes_raw())


def id_of(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def signed(certificate: Certificate, keys: Keys) -> Certificate:
    plain = msgspec.json.decode(certificate.encoded(), type=Certificate)  # numbers as they are read back
    unsigned = replace(plain, key=id_of(keys.private.public_key()), signature=b"")
    return replace(unsigned, signature=keys.private.sign(unsigned.encoded()))


def written(certificate: Certificate, release: Path, keys: Keys) -> Certificate:
    """Signs a certificate and puts it beside the manifest, whole or not at all."""
    final, temporary = signed(certificate, keys), release / f".{FILE}.{os.getpid()}"
    temporary.write_bytes(final.encoded())
    sync(temporary)
    os.replace(temporary, release / FILE)
    sync(release)
    return final


def verified(release: Path, keys: Keys) -> Certificate | None:
    """The certificate of a release, once it was found to hold; none where there is none.

    Raises
    ------
    GateError
        An edited certificate or manifest, a signature by another key, or no key to check it with.

    Cost: 0.3 ms.
    """
    file = release / FILE
    if not file.exists():
        return None
    content = file.read_bytes()
    try:
        certificate = msgspec.json.decode(content, type=Certificate)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GateError.broken(file, str(error)) from None
    if certificate.encoded() != content:
        raise GateError.broken(file, "not as it was written")
    public = keys.public
    if public is None:
        raise GateError.no_key(keys.folder / PUBLIC, "missing")
    if certificate.key != id_of(public):
        raise GateError.broken(file, f"signed by the key {certificate.key or 'none'}, not by {id_of(public)}")
    try:
        public.verify(certificate.signature, replace(certificate, signature=b"").encoded())
    except InvalidSignature:
        raise GateError.broken(file, "its signature does not fit what it says") from None
    if certificate.manifest != sha256(release / MANIFEST) or certificate.release != release.name:
        raise GateError.broken(file, "it is about another manifest.json")
    return certificate


def admission(keys: Keys) -> Callable[[Release], object]:
    """What a store asks before a release serves: where the gate has a key, a certificate that holds and does not refuse."""

    def admit(release: Release) -> None:
        certificate = verified(release.path, keys)
        if certificate is None and keys.public is not None:
            raise GateError.unjudged(release.name)
        if certificate is not None and certificate.verdict not in SERVABLE:
            raise GateError.refused(release.name, certificate.reason)

    return admit


def opened_gate(keys: Keys, store: ReleaseStore) -> Keys:
    """The keys, ready to sign: on first use, releases that were ever in charge get certificates that say nobody judged them.

    Killed in between, it is done again: certificates are asked for only once the public key is there.
    """
    if keys.public is None:
        for name in {promotion.release for promotion in store.promotions()} & set(store.names()):
            if not (store.root / name / FILE).exists():
                written(unjudged(store, name), store.root / name, keys)
        keys.publish()
    return keys


def unjudged(store: ReleaseStore, name: str) -> Certificate:
    """The certificate of a release from before there was a gate."""
    return Certificate(
        release=name,
        manifest=sha256(store.root / name / MANIFEST),
        verdict="unjudged",
        against="",
        at=store.clock.now(),
        by="the gate",
        reason="it was in charge before this data directory had a gate",
        lineage=store.manifest(name).lineage,
        data="",
        checks=(),
    )
