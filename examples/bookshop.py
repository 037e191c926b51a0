"""A small bookshop's log and catalogue, to try Vernal on in a minute.

    python examples/bookshop.py shop && cd shop
    vernal init events.csv books.csv && vernal import && vernal train && vernal serve

Readers like two of four shelves and view about half of what stands there, each book once; the first books of a shelf are the popular ones.
"""

import csv
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SHELVES = ("crime", "poetry", "science", "travel")
READERS, BOOKS, DAYS = 120, 40, 40
DAY_S = 86_400


def events(now: int, chance: random.Random) -> Iterator[dict[str, object]]:
    """Views of the last 40 days before `now` (UTC s)."""
    shelf = BOOKS // len(SHELVES)
    for reader in range(READERS):
        for book in (s * shelf + place for s in chance.sample(range(len(SHELVES)), 2) for place in range(shelf)):
            if chance.random() < 0.9 - 0.7 * (book % shelf) / shelf:
                yield {"user": f"reader-{reader}", "item": f"book-{book}", "type": "view", "time": now - chance.randrange(60, DAYS * DAY_S)}


def books() -> Iterator[dict[str, object]]:
    for book in range(BOOKS):
        shelf = SHELVES[book * len(SHELVES) // BOOKS]
        yield {"item": f"book-{book}", "title": f"A book of {shelf}, volume {book + 1}", "shelf": shelf}


def write(file: Path, rows: list[dict[str, object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main(folder: Path, now: int, seed: int = 7) -> None:
    """Writes events.csv and books.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "events.csv", sorted(events(now, random.Random(seed)), key=lambda row: str(row["time"])))
    write(folder / "books.csv", list(books()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "bookshop"), int(time.time()))
