"""`vernal keys`: API keys with scopes. A key is shown when it is made and never again; only its hash is kept."""

import argparse
from pathlib import Path
from typing import Any

from vernal.app import Workspace
from vernal.cli.releases import moment
from vernal.cli.terminal import Answer, Terminal, VerbParser, table
from vernal.errors import RequestError
from vernal.serving.keys import SCOPES, Keys


def arguments(parser: VerbParser) -> None:
    parser.add_argument("act", choices=["add", "list", "revoke"], help="what to do")
    parser.add_argument("id", nargs="?", help="which key to revoke, as `vernal keys list` names it")
    parser.add_argument("--name", default="key", help="what the key is for")
    parser.add_argument("--scope", action="append", choices=SCOPES, help="what the key may do; may be given several times")


def run(options: argparse.Namespace, terminal: Terminal) -> Answer:
    del terminal
    with Workspace.open(Path(options.config)) as workspace:
        return ACTS[options.act](Keys(workspace.keys_path, workspace.clock), options)


def add(keys: Keys, options: argparse.Namespace) -> Answer:
    """Raises RequestError without a scope: a key that may do nothing, or everything, is never what was meant."""
    if not options.scope:
        raise RequestError.invalid("--scope", "none", f"one or more of {', '.join(SCOPES)}", "for example `vernal keys add --scope ingest --scope serve`")
    key = keys.add(options.name, options.scope)
    return Answer({"key": key, "name": options.name, "scopes": options.scope}, f"{key}\nShown this once. Send it as the header X-API-Key.")


def listed(keys: Keys, options: argparse.Namespace) -> Answer:
    del options
    known = keys.all()
    value: list[dict[str, Any]] = [{"id": k.id, "name": k.name, "scopes": k.scopes, "created_at": moment(k.created_at)} for k in known]
    rows = [[k.id, k.name, " ".join(k.scopes), moment(k.created_at)] for k in known]
    return Answer(value, table(["id", "name", "scopes", "made"], rows) if rows else "no keys")


def revoke(keys: Keys, options: argparse.Namespace) -> Answer:
    """Raises RequestError for an id that is not known."""
    gone = keys.remove(options.id or "")
    return Answer({"revoked": gone.id}, f"revoked {gone.id} ({gone.name}); servers refuse it within a second")


ACTS = {"add": add, "list": listed, "revoke": revoke}
