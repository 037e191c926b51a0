"""`vernal evaluate search FILE`: how well the release in charge answers judged queries, by words, by meaning and by both.

`vernal evaluate --policy POLICY`: what another release, or other settings, would have earned on the requests of the last days, or why that cannot be said.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.config import duration_s
from vernal.errors import RequestError
from vernal.evaluation.judgements import QUERIES, Judgements
from vernal.evaluation.offpolicy import Opinion
from vernal.evaluation.search import DEPTH, SearchReport, indexed
from vernal.retrieval.semantic import Semantic
from vernal.rollout.counterfactual import MOST, Alternative, considered, logged
from vernal.terms import US_PER_S
from vernal.training.snapshot import Snapshot


def arguments(parser: VerbParser) -> None:
    parser.add_argument("what", nargs="?", choices=["search"], help="judged queries; or else --policy")
    parser.add_argument("file", nargs="?", metavar="FILE", help="TREC qrels, or lines of query, item and relevance with tabs between")
    parser.add_argument("--queries", metavar="FILE", help=f"lines of query id and text with a tab between; default: {QUERIES} beside the judgements, if there")
    parser.add_argument("--policy", metavar="POLICY", help="what it would have earned in place of what answered: RELEASE, KEY=VALUE of vernal.toml, or both")
    parser.add_argument("--last", default="7d", metavar="DURATION", help="over the last so long of the log; default: 7d")
    parser.add_argument("--slates", type=int, default=MOST, metavar="N", help=f"logged slates considered, at most; default: {MOST:,}")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError for judgements that cannot be read or when nothing is asked, EncoderError when the release's encoder is away."""
    if options.policy is not None:
        return policy(options, terminal)
    if not options.what or not options.file:
        raise RequestError.invalid("evaluate", "", "`search FILE`, or --policy", "`vernal evaluate --policy scenarios.home.temperature=0.5`")
    return search(options, terminal)


def policy(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """What another release or other settings would have earned; raises ConfigError or ReleaseError where there is no such thing."""
    with Workspace.open(Path(options.config)) as workspace, terminal.stage("evaluate") as stage, terminal.progress() as progress:
        other = Alternative.of(options.policy, workspace.releases)
        snapshot = Snapshot.of(workspace)
        found = logged(workspace, snapshot.as_of - duration_s(options.last, "--last") * US_PER_S, snapshot.as_of, options.slates)
        opinion = considered(workspace, other, found, snapshot, progress)
        stage.counts(f"{len(found.given):,} slates of the last {options.last}")
    return Answer(msgspec.to_builtins(opinion), "\n".join(sentences(opinion)))


def sentences(opinion: Opinion) -> list[str]:
    overlap = opinion.overlap
    lines = [opinion.sentence, ""]
    if opinion.uplift:
        rows = [[name, *(f"{100 * figure:+.1f} %" for figure in each)] for name, each in opinion.uplift.items()]
        lines += [table(["reward per item shown", "uplift", "from", "to"], rows), ""]
    lines += [
        f"{overlap.shown:,} items shown to {overlap.users:,} users, worth {overlap.effective:,.0f}; "
        f"largest weight {overlap.largest:.1f}, mean {overlap.mean:.2f}; {100 * overlap.outside:.1f} % of what it shows was never going to be shown"
    ]
    return lines + [f"left out: {each}" for each in opinion.without()]


def search(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """How well judged queries are answered."""
    judgements = Judgements.read(Path(options.file), Path(options.queries) if options.queries else None)
    with Workspace.open(Path(options.config)) as workspace, terminal.stage("evaluate") as stage:
        catalogue, champion = workspace.catalogue(), workspace.releases.champion()
        semantic = Semantic.load(workspace.releases.open(champion), workspace.encoder) if champion else None
        with tempfile.TemporaryDirectory() as folder:
            lexical = indexed(catalogue, workspace.settings, Path(folder))
            report = SearchReport.of(judgements, lambda text: lexical.search(text, DEPTH), semantic, catalogue.ids)
        stage.counts(f"{len(judgements):,} queries on {len(catalogue):,} items, release {champion or 'none'}")
    return Answer(plain(report, judgements, champion), described(report, semantic))


def plain(report: SearchReport, judgements: Judgements, champion: str | None) -> dict[str, Any]:
    legs = {leg: found.means() for leg, found in report.by_leg.items()}
    return {"release": champion, "queries": len(judgements), "unknown_items": report.n_unknown, "legs": legs, "gain": report.gain._asdict()}


def described(report: SearchReport, semantic: Semantic | None) -> str:
    rows = [[leg, *(round(value, 4) for value in found.means().values())] for leg, found in report.by_leg.items()]
    lines = [table(["found by", "nDCG@10", "Recall@100", "MRR"], rows)]
    if semantic:
        gain, fusion = report.gain, semantic.fusion
        lines += ["", f"both over words: nDCG@10 {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"]
        lines += [f"encoder {semantic.name}, {fusion.method}, weight of meaning {fusion.weight:g}, pull {fusion.pull:g}"]
    if report.n_unknown:
        lines += [f"{report.n_unknown:,} relevant items are not in the catalogue"]
    return "\n".join(lines)
