"""The bench harness and the page made from its results."""

import importlib
import json
import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def claims(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "bench")  # a contestant's process gets this path too
    module = importlib.import_module("claims")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module("run")


def test_the_page_is_made_from_the_results_there_are(run):
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == run.page(run.results()), "run `python bench/run.py --table`"


def test_every_result_has_a_claim_and_every_field(run):
    fields = {"claim", "bar", "measured", "unit", "holds", "baselines", "seeds", "command", "notes"}
    assert all(fields <= result.keys() for result in run.results())
    assert {result["claim"] for result in run.results()} <= set(run.claims())


def test_a_result_travels_from_a_claim_to_the_table(claims, run, capsys):
    claims.report("speed", bar="at least 3x", measured=4.56789, unit="x", holds=True, baselines={"duckdb": 12.0}, seeds=[0])
    result = json.loads(capsys.readouterr().out)
    assert result["measured"] == 4.568
    assert "| [`speed`](#speed) | at least 3x | 4.568 x | yes |" in run.page([result])


def test_a_claim_that_does_not_hold_stands_out(run):
    row = run.page([{"claim": "c", "bar": "b", "measured": {"p99": 9}, "unit": "ms", "holds": False, "baselines": {}, "seeds": [], "command": "", "notes": ""}])
    assert "| p99 9 (ms) | **no** |" in row


def test_a_contestant_runs_in_a_process_of_its_own(claims):
    run = claims.contestant(math.factorial, 10)
    assert run.value == 3_628_800
    assert run.peak_bytes > 1_000_000


def test_a_contestant_that_dies_is_an_error(claims):
    with pytest.raises(RuntimeError, match="died"):
        claims.contestant(math.factorial, -1)


def test_an_unknown_claim_is_refused_with_the_known_ones(run, capsys):
    assert run.main(["no_such"]) == 2
    assert "known:" in capsys.readouterr().err


def test_no_page_names_a_figure_without_a_claim(run):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"bench/(\w+)\.py", text)) - {"run", "claims"}
    assert named <= set(run.claims())


def test_the_page_of_the_drills_is_made_from_their_result(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "bench")
    drills = importlib.import_module("drills")
    result = json.loads((ROOT / "bench" / "results" / "drills.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs" / "drills.md").read_text(encoding="utf-8") == drills.page(result)
