"""What rooms share: the bookshop of `examples/` on disk, with the vernal.toml that `vernal init` wrote for it, imported; and trained."""

import importlib.util
import time
from pathlib import Path

import pytest

from vernal.cli import main

EXAMPLE = Path(__file__).parents[1] / "examples" / "bookshop.py"


def write_bookshop(folder):
    spec = importlib.util.spec_from_file_location("bookshop", EXAMPLE)
    bookshop = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bookshop)
    bookshop.main(folder, int(time.time()))


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_bookshop(folder)
    config = str(folder / "vernal.toml")
    assert main(["init", str(folder / "events.csv"), str(folder / "books.csv"), "--config", config]) == 0
    assert main(["import", "--config", config]) == 0
    return folder


@pytest.fixture(scope="session")
def trained(shop):
    assert main(["train", "--config", str(shop / "vernal.toml")]) == 0
    return shop


@pytest.fixture
def vernal(shop, capsys):
    """Runs a verb on the shop and returns (exit status, stdout, stderr)."""

    def run(*words):
        status = main([*words, "--config", str(shop / "vernal.toml")])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
