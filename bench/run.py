"""`make bench`: every claim in a process of its own, then the table in docs/benchmarks.md from their results.

    python bench/run.py            all claims
    python bench/run.py NAME ...   these
    python bench/run.py --table    only the table, from the results there are

Exit status 1 when a claim that ran does not hold or failed to run.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results", HERE.parent / "docs" / "benchmarks.md"
REPORTS = re.compile(r"^from (?:bench\.)?claims import .*\breport\b", re.MULTILINE)
HEAD = """# Benchmarks

Made by `make bench` from `bench/results/*.json`; do not edit. One file per claim: `bench/<claim>.py`, run alone with `make bench CLAIM=<claim>`.
Every ratio is against a named peer or baseline measured in the same run, each in its own process.
"""


def claims() -> list[str]:
    """The names of all claims: the files of this directory that report."""
    return sorted(file.stem for file in HERE.glob("*.py") if REPORTS.search(file.read_text(encoding="utf-8")))


def main(words: Sequence[str]) -> int:
    known = claims()
    if unknown := [word for word in words if word != "--table" and word not in known]:
        print(f"no such claim: {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [] if "--table" in words else list(words) or known
    broken = [claim for claim in chosen if not run(claim)]
    PAGE.write_text(page(results()), encoding="utf-8")
    if broken:
        print(f"not held: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def run(claim: str) -> bool:
    """Runs one claim; true when it ran to its end and its result holds."""
    began = time.perf_counter()
    code = subprocess.run([sys.executable, str(HERE / f"{claim}.py")], stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"}).returncode
    file = RESULTS / f"{claim}.json"
    result = json.loads(file.read_text(encoding="utf-8")) if code == 0 and file.exists() else None
    verdict = "FAILED" if result is None else "holds" if result["holds"] else "DOES NOT HOLD"
    print(
        f"{claim:<20} {verdict}  {shown(result['measured'], result['unit']) if result else f'exit {code}'}  {time.perf_counter() - began:.0f} s",
        file=sys.stderr,
    )
    return bool(result and result["holds"])


def results() -> list[Mapping[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob("*.json"))]


def page(found: Iterable[Mapping[str, Any]]) -> str:
    """docs/benchmarks.md: one table, then a section per claim."""
    found = list(found)
    rows = "\n".join(
        f"| [`{r['claim']}`](#{r['claim']}) | {r['bar']} | {shown(r['measured'], r['unit'])} | {'yes' if r['holds'] else '**no**'} |" for r in found
    )
    return "\n".join([HEAD, "| claim | bar | measured | holds |", "|---|---|---|---|", rows, "", *(section(r) for r in found)])


def section(result: Mapping[str, Any]) -> str:
    machine = result.get("machine", {})
    lines = [f"## {result['claim']}", "", f"`{result['command']}`", "", f"Bar: {result['bar']}.", "", f"Measured: {shown(result['measured'], result['unit'])}."]
    if result["baselines"]:
        lines += ["", "| in the same run | |", "|---|---|", *(f"| {name} | {shown(value, '')} |" for name, value in result["baselines"].items())]
    if result["notes"]:
        lines += ["", result["notes"]]
    seeds = ", ".join(map(str, result["seeds"])) or "none"
    return "\n".join(
        [*lines, "", f"Seeds: {seeds}. Machine: {machine.get('cores')} cores, {machine.get('memory_gib')} GiB, Python {machine.get('python')}.", ""]
    )


def shown(value: Any, unit: str) -> str:
    """A figure, or several by name, as the table shows them."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {shown(inner, '')}" for name, inner in value.items()) + (f" ({unit})" if unit else "")
    if isinstance(value, list):
        return f"[{', '.join(shown(inner, '') for inner in value)}]"
    whole = not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    text = (f"{int(value):,}" if whole else str(value)).replace("|", "\\|")
    return f"{text} {unit}".strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
