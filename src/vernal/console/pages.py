"""The pages an API worker serves beside the API: static bytes with a strict policy, read once.

In: the files beside this one; top.html begins every page, frame.html is around the content of those that watch. Out: path -> `Page`. No page needs another
host, an inline script or an inline style.
"""

from functools import cache
from importlib import resources
from string import Template
from typing import Final, NamedTuple

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
)
CURRENT: Final = ' aria-current="page"'
HTML, CSS, JS = ("text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8")


class Watch(NamedTuple):
    """A page that shows what goes on."""

    title: str
    lede: str
    json: tuple[str, ...]  # the routes that say the same


WATCHED: Final = {
    "staleness": Watch("Staleness", "How fresh is what answers, when is the next training, and why.", ("/v1/status",)),
    "drift": Watch("Drift", "What is not as usual, how big, since when; or how much the silence says.", ("/v1/drift",)),
    "releases": Watch("Releases", "What is kept, what is in charge, and what the gate said of each.", ("/v1/releases",)),
    "live": Watch("Live loop", "Who is answered by what, what is on trial, and what personal answers are worth.", ("/v1/canary", "/v1/experiments")),
    "experiments": Watch("Experiments", "Ways to answer side by side: intervals that hold however often one looks.", ("/v1/experiments",)),
}
TRIED: Final = "Pick someone. See what they are shown, and why. Act for them, and see it react."
SCREENS: Final = {"/": "Try it", **{f"/console/{name}": watch.title for name, watch in WATCHED.items()}}
PARTS: Final = ("base.css", "try.css", "watch.css", "shared.js", "try.js", *(f"{name}.js" for name in WATCHED))


class Page(NamedTuple):
    """One static answer."""

    content: bytes
    media: str
    headers: tuple[tuple[str, str], ...] = HEADERS


@cache
def pages() -> dict[str, Page]:
    """Every page by its path.

    Example
    -------
    >>> sorted(path for path in pages() if "." not in path)
    ['/', '/console/drift', '/console/experiments', '/console/live', '/console/releases', '/console/staleness']
    """
    found = {f"/console/{name}": Page(file(name).encode(), CSS if name.endswith(".css") else JS) for name in PARTS}
    tried = top("/", name="try", style="try", skip="slate", place="slate", lede=TRIED) + file("try.html")
    return found | {"/": Page(tried.encode(), HTML)} | {f"/console/{name}": Page(framed(name, watch).encode(), HTML) for name, watch in WATCHED.items()}


def file(name: str) -> str:
    return resources.files("vernal.console").joinpath(name).read_text(encoding="utf-8")


def top(path: str, **told: str) -> str:
    """How a page begins, up to its lede."""
    return Template(file("top.html")).substitute(told, title=SCREENS[path], nav=nav(path))


def framed(name: str, watch: Watch) -> str:
    """A page that watches, whole."""
    same = ", ".join(f'<a href="{route}">{route}</a>' for route in watch.json)
    rest = Template(file("frame.html")).substitute(title=watch.title, json=same, content=file(f"{name}.html"))
    return top(f"/console/{name}", name=name, style="watch", skip="main", place="page", lede=watch.lede) + rest


def nav(here: str) -> str:
    """Links to every screen; the one that is shown is marked."""
    return "\n".join(f'    <a href="{path}"{CURRENT if path == here else ""}>{title}</a>' for path, title in SCREENS.items())
