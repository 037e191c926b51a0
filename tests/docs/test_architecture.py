"""ARCHITECTURE.md and the decisions say what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "ARCHITECTURE.md", ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.strip().splitlines()[-1][:50] for block in BLOCKS])
def test_every_code_block_runs(block):
    exec(compile(block, "ARCHITECTURE.md", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_every_file_named_is_there():
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|md))`", TEXT)
    missing = [name for name in named if not (ROOT / "src" / "vernal" / name).exists() and not (ROOT / name).exists()]
    assert missing == []


def test_every_room_is_in_the_tree():
    rooms = {path.name for path in (ROOT / "src" / "vernal").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert {room for room in rooms if f"  {room}/ " not in TEXT} == set()


def test_every_invariant_names_tests_that_exist():
    table = TEXT.split("## What must always hold")[1].split("## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "held by" not in line]
    assert len(rows) >= 8
    for row in rows:
        for file, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row) or [("no test named", "")]:
            assert (ROOT / file).exists(), row
            assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8"), row


def test_decisions_are_numbered_without_gaps():
    numbers = [int(file.name[:3]) for file in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
