"""A training as a tracking store keeps it: what was set and searched, what it came to, what the gate said, which release it is.

In: a release and how its training went. Out: `ports.Run`, flat names and plain figures, so that stores of any kind can show and compare them.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from vernal.config import Settings
from vernal.errors import ReleaseError
from vernal.release import Release, ReleaseStore
from vernal.training.ports import Outcome, Run

CERTIFICATE: Final = "certificate.json"


def run_of(releases: ReleaseStore, name: str, settings: Settings, began_at: int, ended_at: int, outcome: Outcome, reason: str = "", note: str = "") -> Run:
    """The run of one training.

    Parameters
    ----------
    name : the release it made; empty when it failed
    began_at, ended_at : UTC us
    reason : why it was begun
    note : why it failed or was refused
    """
    release = made(releases, name)
    certificate = certificate_of(release) if release else None
    checks = {} if certificate is None else {check["name"]: check for check in certificate.get("checks", [])}
    metrics = {**release.manifest.metrics, "gate": {name: check.get("figure") for name, check in checks.items()}} if release else {}
    return Run(
        release=name,
        began_at=began_at,
        ended_at=ended_at,
        outcome=outcome,
        parameters=parameters_of(release, settings),
        metrics={name: float(value) for name, value in flat(metrics) if isinstance(value, int | float) and not isinstance(value, bool)},
        tags={"reason": reason, "note": note, **({key: str(value) for key, value in flat(msgspec.to_builtins(release.manifest.lineage))} if release else {})},
        certificate=certificate,
    )


def made(releases: ReleaseStore, name: str) -> Release | None:
    """A release as it lies there, whatever the gate thinks of it; none where there is none that can be read."""
    try:
        return Release(releases.root / name, releases.manifest(name)) if name else None
    except ReleaseError:
        return None


def parameters_of(release: Release | None, settings: Settings) -> dict[str, str]:
    """The settings that shape models, and the hyper-parameters that were searched for them."""
    tree: dict[str, Any] = {"training": settings.training, "retrieval": settings.retrieval, "events": settings.events.types}
    if release is not None and release.has("retrieval.json"):
        tree["searched"] = release.json("retrieval")["hyper"]
    return {name: str(value) for name, value in flat(msgspec.to_builtins(tree)) if name != "training.mlflow"}


def certificate_of(release: Release) -> dict[str, Any] | None:
    """What the gate wrote beside the manifest; none from before it was judged."""
    try:
        found = msgspec.json.decode((release.path / CERTIFICATE).read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return found if isinstance(found, dict) else None


def flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a tree by dotted path; empty ones are left out.

    >>> dict(flat({"a": {"b": 1, "c": [2, 3]}, "d": {}}))
    {'a.b': 1, 'a.c.0': 2, 'a.c.1': 3}
    """
    if isinstance(tree, dict | list | tuple):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree
