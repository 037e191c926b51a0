"""The pages an API worker serves beside the API: static bytes with a strict policy, read once.

In: the files beside this one. Out: path -> `Page`. No page needs another host, an inline script or an inline style.
"""

from functools import cache
from importlib import resources
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
HTML, CSS, JS = ("text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8")
WATCHED: Final = ("staleness", "drift", "releases", "live", "experiments")
SCREENS: Final = {"/": "try.html", **{f"/console/{name}": f"{name}.html" for name in WATCHED}}
PARTS: Final = ("base.css", "try.css", "watch.css", "shared.js", "try.js", *(f"{name}.js" for name in WATCHED))
FILES: Final = {
    **{path: (name, HTML) for path, name in SCREENS.items()},
    **{f"/console/{name}": (name, CSS if name.endswith(".css") else JS) for name in PARTS},
}


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
    folder = resources.files("vernal.console")
    return {path: Page(folder.joinpath(name).read_bytes(), media) for path, (name, media) in FILES.items()}
