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
FILES: Final = {
    "/": ("try.html", "text/html; charset=utf-8"),
    "/console/try.css": ("try.css", "text/css; charset=utf-8"),
    "/console/try.js": ("try.js", "text/javascript; charset=utf-8"),
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
    >>> sorted(pages())
    ['/', '/console/try.css', '/console/try.js']
    """
    folder = resources.files("vernal.console")
    return {path: Page(folder.joinpath(name).read_bytes(), media) for path, (name, media) in FILES.items()}
