"""A tiny shop on disk, as a user would have it: two files and the vernal.toml that `vernal init` wrote for them."""

import csv
import random
import time

import pytest

from vernal.cli import main

USERS, ITEMS, DAYS = 120, 40, 40


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def events(chance):
    """Users like two of four shelves and have about half of what stands there, each thing once; the first on a shelf are popular."""
    now, shelf = int(time.time()), ITEMS // 4
    for user in range(USERS):
        for item in (s * shelf + place for s in chance.sample(range(4), 2) for place in range(shelf)):
            if chance.random() < 0.9 - 0.7 * (item % shelf) / shelf:
                yield {"user": f"u{user}", "item": f"i{item}", "type": "view", "time": now - chance.randrange(60, DAYS * 86_400)}


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A directory with events.csv, items.csv and vernal.toml, imported."""
    folder = tmp_path_factory.mktemp("shop")
    write(folder / "events.csv", sorted(events(random.Random(7)), key=lambda row: row["time"]))
    write(folder / "items.csv", [{"item": f"i{i}", "title": f"Thing {i}", "shelf": f"shelf-{4 * i // ITEMS}"} for i in range(ITEMS)])
    config = str(folder / "vernal.toml")
    assert main(["init", str(folder / "events.csv"), str(folder / "items.csv"), "--config", config]) == 0
    assert main(["import", "--config", config]) == 0
    return folder


@pytest.fixture
def vernal(shop, capsys):
    """Runs a verb on the shop and returns (exit status, stdout, stderr)."""

    def run(*words):
        status = main([*words, "--config", str(shop / "vernal.toml")])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
