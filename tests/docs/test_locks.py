"""The locks: complete, hashed, without addresses, in step with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = {"lock": ["demo"], "test": ["demo", "test", "check", "mlflow", "minilm"], "bench": ["demo", "test", "check", "mlflow", "minilm", "bench"]}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def entries(lock):
    """name -> text of its entry, hashes included; names that are locked once per Python version are joined."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, str] = {}
    for line in text.splitlines():
        name = normal(line.split("==")[0])
        found[name] = found.get(name, "") + line
    return found


def normal(name):
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_pinned_and_hashed(lock):
    assert all("==" in text and "--hash=sha256:" in text for text in entries(lock).values())


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_holds_an_address_or_a_path(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    assert re.findall(r"://|--index|--extra-index|--find-links|--trusted-host|^[./]|@ ", text, re.MULTILINE) == []


@pytest.mark.parametrize(("lock", "extras"), LOCKS.items())
def test_a_lock_has_everything_that_pyproject_asks_for(lock, extras):
    asked = [*PROJECT["dependencies"], *(name for extra in extras for name in PROJECT["optional-dependencies"][extra])]
    names = {normal(re.split(r"[\s<>=!~\[;]", text)[0]) for text in asked}
    assert names - entries(lock).keys() == set(), "run `make lock`"


def test_the_locks_agree_on_versions():
    versions = {lock: {name: re.findall(r"==(\S+)", text) for name, text in entries(lock).items()} for lock in LOCKS}
    assert all(versions["bench"][name] == version for lock in LOCKS for name, version in versions[lock].items())
