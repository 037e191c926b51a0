"""`vernal gate CHALLENGER`: every check a release must pass before it may serve, as a signed certificate in the release."""

import argparse
from pathlib import Path

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.rollout.certificate import Certificate, Check
from vernal.rollout.gate import judge, open_alarms
from vernal.training.snapshot import Snapshot

REFUSED = 1
SIGNS = {"passed": "yes", "refused": "NO", "not available": "-"}


def arguments(parser: VerbParser) -> None:
    parser.add_argument("challenger", metavar="CHALLENGER", help="the release to judge; nothing is promoted")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises ReleaseError for a name that is not kept. Exit status 1 when it is refused."""
    with Workspace.open(Path(options.config)) as workspace:
        return Answer(*answer(judged(workspace, options.challenger, terminal)))


def judged(workspace: Workspace, name: str, terminal: Terminal, snapshot: Snapshot | None = None) -> Certificate:
    """Judges a release, as a stage."""
    with terminal.stage("gate") as stage:
        certificate = judge(workspace, name, open_alarms(workspace), snapshot=snapshot)
        stage.counts(f"{certificate.verdict} {len(certificate.checks)} checks{f', {len(certificate.refusals)} refused' if certificate.refusals else ''}")
    return certificate


def answer(certificate: Certificate) -> tuple[dict[str, object], str, int]:
    """(plain values, text, exit status) of a certificate."""
    return msgspec.to_builtins(certificate), described(certificate), REFUSED if certificate.verdict == "refused" else 0


def described(certificate: Certificate) -> str:
    """The certificate as a table: each check with its figure, its bound and one sentence."""
    rows = [[SIGNS[check.verdict], check.name, figure(check), bound(check), check.sentence] for check in certificate.checks]
    beside = f"against {certificate.against}" if certificate.against else "with no other release in charge"
    head = f"{certificate.release}: {certificate.verdict}, {beside}; by {certificate.by}, signed with key {certificate.key}"
    return f"{table(['', 'check', 'figure', 'bound', 'what was found'], rows)}\n\n{head}"


def figure(check: Check) -> str:
    """The figure with its interval, where it has one."""
    if check.figure is None:
        return ""
    return f"{check.figure:.3g}" if check.low is None else f"{check.figure:+.3f} [{check.low:+.3f}, {check.high:+.3f}]"


def bound(check: Check) -> str:
    return "" if check.bound is None else f"{check.bound:.3g}"
