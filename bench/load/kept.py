"""Long benches in pieces: what a piece answered is kept until the code it ran on changes, so an interrupted bench goes on where it was."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOM = HERE.parents[1] / "src" / "vernal" / "monitoring"
PARTS = ("schema", "bins", "summaries", "coordinates", "usual", "tails", "evidence", "reference")  # what decides whether an alarm rings
SOURCES = [*(ROOM / f"{part}.py" for part in PARTS), HERE / "breathing.py", HERE / "drills.py"]
FOLDER = Path(os.environ.get("VERNAL_BENCH_PIECES", Path(tempfile.gettempdir()) / "vernal-bench-pieces"))


def code() -> str:
    """A fingerprint of the room under test and of the world it is tested in."""
    digest = hashlib.blake2b(digest_size=8)
    for file in SOURCES:
        digest.update(file.read_bytes())
    return digest.hexdigest()


CODE = code()


def kept(function: Callable[..., Any], *args: Any) -> Any:
    """What function(*args) answered, from this run or an earlier one of the same code; JSON values only."""
    name = "-".join([function.__name__, *(str(a) for a in args)])
    file = FOLDER / CODE / f"{name}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(function(*args)), encoding="utf-8")
        temporary.replace(file)
    return json.loads(file.read_text(encoding="utf-8"))
