"""A person's word that what stands was seen and dealt with, left for the keeper: the watch has one writer.

Each ask is a file of its own that appears whole, and goes when it was done; the keeper does it at its next look, before it judges anything new, so an ask that
a kill leaves half done is done again to no further effect.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

FOLDER: Final = "asked"


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    by: Annotated[str, Meta(description="who", min_length=1, max_length=200)]
    note: Annotated[str, Meta(description="what was done about it", max_length=2_000)] = ""
    usual: Annotated[bool, Meta(description="what changed is how it is meant to be from now on; otherwise it was a fault and is left out")] = False


def ask(monitoring: Path, asked: Acknowledgement, now: int) -> None:
    """Leaves an ask in the watchman's folder."""
    folder = monitoring / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{now}-{secrets.token_hex(4)}"
    fresh.write_bytes(msgspec.json.encode(asked))
    os.replace(fresh, folder / f"{fresh.name[1:]}.json")


def asks(monitoring: Path) -> Iterator[tuple[Path, Acknowledgement]]:
    """Every ask that is not done, oldest first; whoever does one removes its file."""
    for file in sorted((monitoring / FOLDER).glob("*.json")):
        yield file, msgspec.json.decode(file.read_bytes(), type=Acknowledgement)
