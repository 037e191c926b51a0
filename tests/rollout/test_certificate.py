"""A certificate holds as it was signed, for the bytes it is about, by this data directory's key, or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vernal.clock import ManualClock
from vernal.errors import GateError, ReleaseError
from vernal.release import Lineage, ReleaseStore, sha256
from vernal.rollout.certificate import FILE, PRIVATE, PUBLIC, Certificate, Check, Keys, Verdict, admission, opened_gate, verified, written

LINEAGE = Lineage(log_from=1, log_to=9, as_of=5, config="c", plan="p", code="0", seed=0)
CHECKS = (
    Check(name="finite scores", verdict="passed", sentence="ä", figure=1, low=0.1, high=2.5, bound=0),
    Check(name="x", verdict="not available", sentence=""),
)


class Gate:
    """A store that asks for certificates, and its keys."""

    def __init__(self, root: Path) -> None:
        self.keys = Keys(root / "keys")
        self.store = ReleaseStore(root / "releases", ManualClock(7), admission(self.keys))

    def release(self, value: float = 1.0) -> str:
        draft = self.store.draft()
        draft.put_array("weights", np.full(8, value))
        return self.store.commit(draft, LINEAGE, {}).name

    def certified(self, verdict: Verdict = "passed", keys: Keys | None = None, value: float = 1.0) -> str:
        name = self.release(value)
        certificate = Certificate(
            release=name, manifest=sha256(self.store.root / name / "manifest.json"), verdict=verdict, against="", at=3, by="a test", reason="", lineage=LINEAGE,
            data="", checks=CHECKS,
        )  # fmt: skip
        written(certificate, self.store.root / name, keys or opened_gate(self.keys, self.store))
        return name


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_what_was_signed_is_what_is_read(gate: Gate) -> None:
    name = gate.certified()
    found = verified(gate.store.root / name, gate.keys)
    assert found is not None
    assert (found.verdict, found.checks, found.release) == ("passed", CHECKS, name)
    assert gate.store.admit(name).name == name


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from([FILE, "manifest.json"]), place=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_one_edited_byte_of_certificate_or_manifest_is_refused(gate: Gate, file: str, place: float, byte: int) -> None:
    if not gate.store.names():
        gate.certified()
    path = gate.store.root / gate.store.names()[0] / file
    content = path.read_bytes()
    at = int(place * len(content))
    path.write_bytes(content[:at] + bytes([content[at] ^ byte]) + content[at + 1 :])
    with pytest.raises(ReleaseError):
        gate.store.admit(path.parent.name)
    path.write_bytes(content)
    gate.store.admit(path.parent.name)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_certificate_cut_short_is_refused(gate: Gate, cut: float) -> None:
    if not gate.store.names():
        gate.certified()
    path = gate.store.root / gate.store.names()[0] / FILE
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(GateError):
        gate.store.admit(path.parent.name)
    path.write_bytes(content)


def test_a_signature_by_another_key_is_refused(gate: Gate, tmp_path: Path) -> None:
    opened_gate(gate.keys, gate.store)
    name = gate.certified(keys=Keys(tmp_path / "elsewhere"))
    with pytest.raises(GateError, match="signed by the key"):
        gate.store.admit(name)


def test_a_foreign_key_that_takes_our_keys_name_is_refused_too(gate: Gate, tmp_path: Path) -> None:
    name = gate.certified()
    other = Keys(tmp_path / "elsewhere")
    ours = verified(gate.store.root / name, gate.keys)
    assert ours is not None
    forged = msgspec.structs.replace(ours, signature=b"")
    forged = msgspec.structs.replace(forged, signature=other.private.sign(forged.encoded()))
    (gate.store.root / name / FILE).write_bytes(forged.encoded())
    with pytest.raises(GateError, match="does not fit"):
        gate.store.admit(name)


def test_the_certificate_of_another_release_is_refused(gate: Gate) -> None:
    good, bad = gate.certified(), gate.release(2.0)
    shutil.copy(gate.store.root / good / FILE, gate.store.root / bad / FILE)
    with pytest.raises(GateError, match="another manifest"):
        gate.store.admit(bad)


@pytest.mark.parametrize(("verdict", "serves"), [("passed", True), ("overridden", True), ("unjudged", True), ("refused", False)])
def test_a_verdict_lets_a_release_serve_or_not(gate: Gate, verdict: Verdict, serves: bool) -> None:
    name = gate.certified(verdict)
    if serves:
        assert gate.store.admit(name).name == name
    else:
        with pytest.raises(GateError, match="refused"):
            gate.store.admit(name)


def test_without_a_key_nothing_asks_for_a_certificate(gate: Gate) -> None:
    name = gate.release()
    assert gate.store.admit(name).name == name


def test_from_the_first_key_on_a_release_without_certificate_does_not_serve(gate: Gate) -> None:
    gate.certified()
    with pytest.raises(GateError, match="no certificate"):
        gate.store.admit(gate.release(2.0))


def test_releases_that_were_in_charge_before_there_was_a_gate_serve_on(gate: Gate) -> None:
    old, never = gate.release(), gate.release(2.0)
    gate.store.promote(old, "before")
    opened_gate(gate.keys, gate.store)
    assert gate.store.admit(old).name == old
    with pytest.raises(GateError, match="no certificate"):
        gate.store.admit(never)


def test_a_lost_public_key_makes_certificates_unverifiable_not_unnecessary(gate: Gate) -> None:
    name = gate.certified()
    (gate.keys.folder / PUBLIC).unlink()
    with pytest.raises(GateError, match="missing"):
        gate.store.admit(name)
    opened_gate(Keys(gate.keys.folder), gate.store)
    assert gate.store.admit(name).name == name


def test_a_lost_private_key_is_not_replaced_in_silence(gate: Gate) -> None:
    gate.certified()
    (gate.keys.folder / PRIVATE).unlink()
    with pytest.raises(GateError, match=PRIVATE):
        gate.certified(keys=Keys(gate.keys.folder), value=2.0)


def test_the_private_key_is_its_owners_alone(gate: Gate) -> None:
    gate.certified()
    assert (gate.keys.folder / PRIVATE).stat().st_mode & 0o777 == 0o600
    assert gate.keys.folder.stat().st_mode & 0o777 == 0o700


def test_two_that_make_a_key_at_once_have_the_same(gate: Gate) -> None:
    one, other = Keys(gate.keys.folder), Keys(gate.keys.folder)
    assert one.private.public_key() == other.private.public_key()


def test_a_release_that_was_edited_after_signing_is_refused_by_its_hashes(gate: Gate, flipped: Callable[[Path], None]) -> None:
    name = gate.certified()
    flipped(gate.store.root / name / "weights.npy")
    with pytest.raises(ReleaseError, match="sha256"):
        gate.store.admit(name)


@pytest.fixture
def flipped() -> Callable[[Path], None]:
    def flip(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)

    return flip
