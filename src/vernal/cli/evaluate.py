"""`vernal evaluate search FILE`: how well the release in charge answers judged queries, by words, by meaning and by both."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from vernal.app import Workspace
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.evaluation.judgements import QUERIES, Judgements
from vernal.evaluation.search import DEPTH, SearchReport, indexed
from vernal.retrieval.semantic import Semantic


def arguments(parser: VerbParser) -> None:
    parser.add_argument("what", choices=["search"], help="what is evaluated")
    parser.add_argument("file", metavar="FILE", help="TREC qrels, or lines of query, item and relevance with tabs between")
    parser.add_argument("--queries", metavar="FILE", help=f"lines of query id and text with a tab between; default: {QUERIES} beside the judgements, if there")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises RequestError for judgements that cannot be read, EncoderError when the release's encoder is away."""
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
