"""`vernal init FILE...`: looks at the files and writes a commented vernal.toml beside you."""

import argparse
import contextlib
import tomllib
from pathlib import Path

from vernal import config
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.errors import ConfigError
from vernal.events.inspect import inspect


def arguments(parser: VerbParser) -> None:
    parser.add_argument("files", nargs="+", help="events, and if you have them items and users: CSV, JSON Lines or Parquet")
    parser.add_argument("--force", action="store_true", help="replace a vernal.toml that is there")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises ConfigError when there is a vernal.toml already."""
    file = Path(options.config)
    if file.exists() and not options.force:
        raise ConfigError.invalid(str(file), "a file that is there already", "no file yet", "add --force to replace it")
    with terminal.stage("look") as stage:
        text = proposed(file.resolve().parent, [present(name) for name in options.files])
        settings = config.parse(tomllib.loads(text), str(file))
        stage.counts(f"{len(options.files)} files, event types {', '.join(settings.events.types)}, repeats {'on' if settings.events.repeats else 'off'}")
    file.write_text(text, encoding="utf-8")
    return Answer({"file": str(file), "settings": text}, f"wrote {file}; look it over, then `vernal import`")


def present(name: str) -> Path:
    """Raises ConfigError for a file that is not there."""
    if not Path(name).is_file():
        raise ConfigError.invalid(name, "no such file", "a file to look at", "check the path; quote names with spaces")
    return Path(name).resolve()


def proposed(folder: Path, files: list[Path]) -> str:
    """The text of a vernal.toml in `folder`; files in it or below it are named from there."""
    with contextlib.chdir(folder):
        return inspect([file.relative_to(folder) if file.is_relative_to(folder) else file for file in files])
