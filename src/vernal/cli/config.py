"""`vernal config explain`: every setting with its type, default and effect, read from the settings tree itself."""

import argparse

import msgspec

from vernal import config
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.errors import ConfigError


def arguments(parser: VerbParser) -> None:
    parser.add_argument("what", choices=["explain"], help="what to do")
    parser.add_argument("key", nargs="?", default="", help="only this key or table, for example serving or events.columns")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    """Raises ConfigError when no key starts like the one asked for."""
    del terminal
    keys = [key for key in config.explain() if key.path == options.key or key.path.startswith(f"{options.key}." if options.key else "")]
    if not keys:
        raise ConfigError.unknown_key("vernal.toml", options.key, {part for key in config.explain() for part in (key.path, key.path.split(".")[0])})
    return Answer([msgspec.to_builtins(key) for key in keys], "\n".join(described(key) for key in keys))


def described(key: config.Key) -> str:
    return f"{key.path} = {key.default}    ({key.kind})\n    {key.effect}"
