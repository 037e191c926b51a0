"""Command line: `vernal VERB [thing] [--json]`, one file per verb.

In: words. Out: the result on stdout (text, or JSON with `--json`), one line per stage on stderr, and an exit status: 0 done,
1 refused by a gate, 2 usage, 3 environment. Only the module of the verb that was asked for is imported.
"""

import importlib
import importlib.metadata
import keyword
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from vernal import __version__
from vernal.cli.terminal import Answer, Terminal, VerbParser
from vernal.errors import RequestError, VernalError

# Verb -> what it does; the order is that of a first day with Vernal. Each is a module of this package with `arguments` and `run`.
VERBS: Final = {
    "demo": "a whole shop in one command: import, train, serve, and a page to try it",
    "init": "look at your files and write a vernal.toml for them",
    "import": "read the files of vernal.toml into the log, and say what was dropped and why",
    "train": "fit and evaluate a release on the log, judge it, and put it in charge when it passed",
    "serve": "answer over HTTP, fresh to the last click",
    "recommend": "one slate for a user, here and now",
    "search": "what matches a text, for a user or for anybody, here and now",
    "evaluate": "how well judged queries are answered, or what another release or other settings would have earned",
    "explain": "why a user would see an item, or not",
    "features": "what is known of a user (and an item) as numbers",
    "releases": "kept releases, which one is in charge, and how good each is",
    "gate": "judge a release before it may serve, and sign the verdict",
    "promote": "put a release that passed the gate in charge",
    "drift": "what is not as usual in the log, how much and since when",
    "rollback": "put the previous release back in charge",
    "status": "the release in charge and its age, the next training and why, staleness, holds",
    "canary": "the release that is tried on users: how it stands, hold it where it is, take it away",
    "experiment": "compare ways to answer on users drawn for it; what was found, at any moment",
    "acknowledge": "say that what alarms say was seen and dealt with, so that what they hold goes on",
    "replay": "run the loop over the past under several policies, or rebuild one answer byte for byte",
    "drill": "let something go wrong in a simulated shop, and see what the server makes of it",
    "audit": "recompute served features from the log and count what differs",
    "doctor": "check the machine, the settings and everything on disk",
    "keys": "add, list and revoke API keys",
    "rebuild": "derive the online state from the log again",
    "deadletters": "show rejected events with their reasons, and take them in again",
    "config": "every setting with its type, default and effect",
}
INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit status."""
    words = list(sys.argv[1:] if words is None else words)
    terminal = Terminal.standard(os.environ)
    if not words or words[0] in ("-h", "--help", "help"):
        terminal.write(overview())
        return 0
    if words[0] in ("-V", "--version"):
        terminal.write(f"vernal {__version__}")
        return 0
    return guarded(words[0], words[1:], terminal)


def guarded(verb: str, words: list[str], terminal: Terminal) -> int:
    """Runs a verb; an error of ours becomes a sentence and a status, any other keeps its traceback."""
    try:
        return run(verb, words, terminal)
    except VernalError as error:
        terminal.fail(error, as_json="--json" in words)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our stdout left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(verb: str, words: list[str], terminal: Terminal) -> int:
    parser = parser_of(verb)
    options = parser.parse_args(words)
    answer: Answer = module_of(verb).run(options, terminal)
    terminal.write(msgspec.json.encode(answer.value).decode() if options.json else answer.text)
    return answer.status


def module_of(verb: str) -> Any:
    """The module of a verb; an unknown verb is answered with the nearest known ones."""
    if verb not in VERBS:
        raise RequestError.unknown("verb", verb, VERBS)
    return importlib.import_module(f"vernal.cli.{verb}{'_' * keyword.iskeyword(verb)}")


def parser_of(verb: str) -> VerbParser:
    """The parser of a verb: its own arguments, then those every verb has."""
    module = module_of(verb)
    about = VERBS[verb]
    parser = VerbParser(prog=f"vernal {verb}", description=f"{about[0].upper()}{about[1:]}.")
    module.arguments(parser)
    parser.add_argument("--config", metavar="FILE", default="vernal.toml", help="the settings file")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    return parser


def overview() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {about}" for verb, about in VERBS.items()]
    return "\n".join(["usage: vernal VERB [thing] [--json]", "", *lines, "", "`vernal VERB --help` tells the rest."])
