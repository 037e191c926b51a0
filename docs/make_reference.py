"""Writes docs/reference.md from the code: `python docs/make_reference.py`. A test compares the two."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from vernal import config, errors
from vernal.cli import VERBS, parser_of
from vernal.events.schema import Event, Item, User
from vernal.rollout.routes import rollout_routes
from vernal.serving.alerts import ALERTS
from vernal.serving.metrics import GAUGES, layout
from vernal.serving.routes import Table
from vernal.serving.worker import ROUTES

PAGE = Path(__file__).parent / "reference.md"
HEAD = """# Reference

Made from the code by `python docs/make_reference.py`; do not edit.

[Verbs](#verbs) · [Settings](#settings) · [Events, items and users](#events-items-and-users) · [HTTP](#http) · [Metrics](#metrics) · [Errors](#errors)
"""
FIELDS = {
    "event_id": "identity; the same one again is acknowledged and not counted twice; default: a hash of the content",
    "type": "what happened; types that `events.types` does not name are kept and counted by nothing; default: `events.default_type`",
    "user": "who; required unless `anonymous_id` is given",
    "anonymous_id": "who, before they are known",
    "item": "the item it is about; empty for a search or a page",
    "time": "when it happened: RFC 3339, or a number in `events.time_unit`; later than now is moved to now; default: now",
    "value": "rating, price, quantity: a finite number",
    "session": "the visit it belongs to",
    "rec_id": "the slate it followed from, as `/v1/recommend` answered it",
    "position": "0-based position in that slate",
    "properties": "anything else; unknown fields are kept here too",
    "title": "what is shown",
    "text": "free text, for content similarity and search",
    "attributes": "name -> value or list of values; those in `items.attributes` can be filtered on",
    "hidden": "true = kept, but never in a slate",
}
LEFT_OUT = {"deleted"}  # set by DELETE, not by a field


def page() -> str:
    sections = {
        "Verbs": verbs(),
        "Settings": settings(),
        "Events, items and users": records(),
        "HTTP": http(),
        "Metrics": metrics(),
        "Errors": codes(),
    }
    return "\n".join([HEAD, *(line for title, lines in sections.items() for line in (f"## {title}", "", *lines, ""))])


def verbs() -> Iterator[str]:
    yield "Every verb takes `--json` (the result as JSON on stdout) and `--config FILE`. Exit status: 0 done, 1 refused by a gate, 2 usage, 3 environment."
    for verb, about in VERBS.items():
        yield from ("", f"### `vernal {verb}`", "", f"{about[0].upper()}{about[1:]}.", "")
        own = [action for action in parser_of(verb).documented if not {"--help", "--json", "--config"} & set(action.option_strings)]
        yield from (f"- `{usage(action)}`: {action.help}{default_of(action)}" for action in own)


def usage(action: argparse.Action) -> str:
    """An argument as it is typed."""
    words = "|".join(map(str, action.choices)) if action.choices else str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return f"[{words}]" if action.nargs in ("?", "*") else words
    return action.option_strings[0] if action.nargs == 0 else f"{action.option_strings[0]} {words}"


def default_of(action: argparse.Action) -> str:
    return f" (default {action.default})" if action.default not in (None, False, "", [], argparse.SUPPRESS) else ""


def settings() -> Iterator[str]:
    yield "Keys of `vernal.toml`; `*` is a name you choose. `VERNAL_SECTION__KEY` in the environment overrides the file."
    yield "`vernal config explain` prints the same."
    tables: dict[str, list[config.Key]] = {}
    for key in config.explain():
        tables.setdefault(key.path.rpartition(".")[0], []).append(key)
    for table, keys in tables.items():
        yield from ("", f"### `[{table}]`" if table else "### Tables you name", "", "| key | type | default | effect |", "|---|---|---|---|")
        yield from (f"| `{key.path}` | {cell(key.kind)} | `{cell(key.default)}` | {cell(key.effect)} |" for key in keys)


def records() -> Iterator[str]:
    yield "As JSON to `POST /v1/events`, `PUT /v1/items`, `PUT /v1/users` (1 to 1,000 in a call), and as columns of files to `vernal import`."
    yield "Segment and Gorse clients: see [HTTP](#http)."
    for kind, title in ((Event, "event"), (Item, "item"), (User, "user")):
        names = [field.name for field in msgspec.structs.fields(kind) if field.name not in LEFT_OUT]
        if kind is Event:
            names.insert(names.index("user") + 1, "anonymous_id")
        if kind is not Event:
            names.remove("time")
        yield from ("", f"### Fields of an {title}" if title != "user" else f"### Fields of a {title}", "", "| field | meaning |", "|---|---|")
        yield from (f"| `{name}` | {cell(meaning(name, title))} |" for name in names)


def meaning(field: str, record: str) -> str:
    if field == record:
        return "its id: text of 1 to 256 bytes without NUL; required" if record != "user" else "their id: text of 1 to 256 bytes without NUL; required"
    return FIELDS[field]


def http() -> Iterator[str]:
    yield "A running server describes every body and answer at `/docs` and `/openapi.json`."
    yield from ("", "| call | scope | what it does |", "|---|---|---|")
    yield from (f"| `{route.name}` | {route.scope or 'open'} | {cell(route.summary)} |" for route in [*ROUTES, *rollout_routes(None)])


def metrics() -> Iterator[str]:
    yield "`GET /metrics`, in Prometheus' text form, summed over all processes."
    yield from ("", "| metric | kind | labels | meaning |", "|---|---|---|---|")
    for metric in (*layout(Table(ROUTES)).meters, *GAUGES):
        yield f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {cell(metric.effect)} |"
    yield from ("", "### Alerts", "", "Rules for Prometheus: `deploy/prometheus/vernal.rules.yml`, made from the same table.")
    yield from ("", "| alert | severity | when | what it says | what to do |", "|---|---|---|---|---|")
    for alert in ALERTS:
        lasting = f" for {alert.lasting}" if alert.lasting else ""
        yield f"| {alert.name} | {alert.severity} | `{cell(alert.expression)}`{lasting} | {cell(alert.says)} | {cell(alert.do)} |"


def codes() -> Iterator[str]:
    yield 'Form: `<what> <where>: got <value>; expected <rule>.` and a hint. Over HTTP: `{"error": {code, message, where, expected, hint}}`.'
    yield from ("", "| code | error | exit status | about |", "|---|---|---|---|")
    abouts = dict(tree_lines())
    yield from (f"| {kind.code} | `{kind.__name__}` | {kind.exit_status} | {cell(abouts.get(kind.__name__, ''))} |" for kind in descendants(errors.VernalError))


def tree_lines() -> Iterator[tuple[str, str]]:
    """Error name and what it is about, from the drawn tree in `errors`."""
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("│", " ").replace("├──", " ").replace("└──", " ").split(maxsplit=2)
        if len(words) == 3 and words[1].startswith("V"):
            yield words[0], words[2]


def descendants(kind: type[errors.VernalError]) -> Sequence[type[errors.VernalError]]:
    below = [inner for child in kind.__subclasses__() for inner in descendants(child)]
    return sorted({*kind.__subclasses__(), *below}, key=lambda k: k.code)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
