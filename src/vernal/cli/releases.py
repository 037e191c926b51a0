"""`vernal releases`: what is kept, what is in charge, and how good each was when it was evaluated."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import GateError
from vernal.release import Manifest
from vernal.rollout.gate import certificate_of
from vernal.terms import US_PER_S


def arguments(parser: VerbParser) -> None:
    parser.add_argument("name", nargs="?", help="all that is known of this release")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises ReleaseError for a name that is not kept."""
    del terminal
    with Workspace.open(Path(options.config)) as workspace:
        store = workspace.releases
    if options.name:
        manifest = msgspec.to_builtins(store.manifest(options.name)) | {"certificate": msgspec.to_builtins(certificate_of(workspace, options.name))}
        return Answer(manifest, msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode())
    champion = store.champion()
    manifests = [store.manifest(name) for name in store.names()]
    verdicts = {m.name: verdict(workspace, m.name) for m in manifests}
    value = [
        {"name": m.name, "champion": m.name == champion, "created_at": moment(m.created_at), "verdict": verdicts[m.name], "metrics": m.metrics}
        for m in manifests
    ]
    rows = [["*" if m.name == champion else "", m.name, moment(m.created_at), m.lineage.log_to, verdicts[m.name], headline(m)] for m in manifests]
    return Answer(value, table(["", "release", "made", "log to", "gate", "figures"], rows) if rows else "no release yet; run `vernal train`")


def verdict(workspace: Workspace, name: str) -> str:
    """What the gate said of a release, as far as its certificate holds."""
    try:
        certificate = certificate_of(workspace, name)
    except GateError:
        return "does not hold"
    return certificate.verdict if certificate else "none"


def headline(manifest: Manifest) -> str:
    """How a release did on the stretch held back from it, beside the best list."""
    found = manifest.metrics.get("evaluation")
    if not found:
        return "not evaluated"
    return f"NDCG@10 {found['release']['ndcg@10']:.4f}, {found['ratio'][0]:.2f}x the best list ({found['best_list']})"


def moment(us: int) -> str:
    """UTC microseconds as people read them."""
    return datetime.fromtimestamp(us / US_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
