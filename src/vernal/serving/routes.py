"""What a route is, what comes into it and what goes out.

A server is one table of routes; dispatch, the authorisation of every call, the OpenAPI text and the docs page are all made from
it, so none of them can disagree with another.
"""

import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from vernal import errors
from vernal.errors import RequestError, VernalError
from vernal.serving.admission import Lane
from vernal.serving.keys import Scope
from vernal.terms import MAX_BODY_BYTES

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"

STATUS: dict[type[VernalError], int] = {
    errors.AuthError: 401,
    errors.Overloaded: 429,
    errors.RequestError: 400,
    errors.ConfigError: 400,
    errors.EventError: 400,
    errors.ItemError: 400,
    errors.DiskFull: 507,
    errors.LogError: 503,
    errors.StateError: 503,
    errors.ReleaseError: 409,
    errors.TrainingError: 409,
    errors.EnvironmentProblem: 503,
}


class Answer(NamedTuple):
    """A response."""

    status: int = 200
    body: bytes = b""
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Call:
    """One call as a route sees it: the body is whole, unpacked, within its limits and not nested too deep."""

    __slots__ = ("body", "headers", "parts", "query_string", "route", "started")

    def __init__(self, route: str, parts: tuple[str, ...], query_string: bytes, headers: Mapping[bytes, bytes], started: float) -> None:
        self.route, self.parts, self.query_string, self.started = route, parts, query_string, started  # started: time.perf_counter() at its arrival
        self.headers = headers  # those of `http.READ`
        self.body = b""

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the query string."""
        values = urllib.parse.parse_qs(self.query_string.decode("latin-1"), keep_blank_values=True).get(name)
        return values[-1] if values else default

    def whole_number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number of the query string.

        Raises
        ------
        RequestError
            Not a whole number, or outside `least..most`.
        """
        text = self.query(name, str(default))
        number = int(text) if text.isascii() and text.lstrip("-").isdigit() and len(text) < 20 else None
        if number is None or not least <= number <= most:
            raise RequestError.invalid(f"query {name}", text, f"a whole number from {least} to {most}")
        return number


Act = Callable[[Any, Call], Awaitable[Answer] | Answer]


@dataclass(frozen=True)
class Route:
    """One line of the table.

    Parameters
    ----------
    path : with `{name}` for a part that may be any text
    scope : what a key must carry; None = open to everyone
    act : answers a call; gets the service and the call
    body, answers : types of the JSON in and out, for the documentation
    lane : how it is admitted under load
    direct : its answer waits for nothing; `act` is then a plain function, and a connection calls it without a task
    """

    method: str
    path: str
    scope: Scope | None
    act: Act
    summary: str
    body: Any = None
    answers: Any = None
    lane: Lane = "free"
    direct: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    max_body: int = MAX_BODY_BYTES

    @cached_property
    def name(self) -> str:
        return f"{self.method} {self.path}"


class Match(NamedTuple):
    route: Route
    parts: tuple[str, ...]


class Table:
    """Routes by method and path.

    Example
    -------
    >>> async def nothing(service, call): return Answer()
    >>> table = Table([Route("GET", "/v1/items/{id}", "serve", nothing, "one item")])
    >>> table.find("GET", b"/v1/items/a%2Fb").parts
    ('a/b',)
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = list(routes)
        self.fixed = {(r.method, r.path.encode()): Match(r, ()) for r in self.routes if "{" not in r.path}
        self.shaped: dict[tuple[str, int], list[tuple[list[bytes | None], Route]]] = {}
        for route in self.routes:
            if "{" in route.path:
                shape = [None if part.startswith("{") else part.encode() for part in route.path.split("/")]
                self.shaped.setdefault((route.method, len(shape)), []).append((shape, route))

    def find(self, method: str, raw_path: bytes) -> Match | None:
        """The route of a call with the texts in its path, percent-decoded; None when there is none."""
        method = "GET" if method == "HEAD" else method
        if found := self.fixed.get((method, raw_path)):
            return found
        given = raw_path.split(b"/")
        for shape, route in self.shaped.get((method, len(given)), ()):
            if all(want is None or want == part for want, part in zip(shape, given, strict=True)):
                return Match(route, tuple(urllib.parse.unquote(part) for want, part in zip(shape, given, strict=True) if want is None))
        return None

    def methods(self, raw_path: bytes) -> list[str]:
        """Methods that a path knows."""
        return [method for method in sorted({route.method for route in self.routes}) if self.find(method, raw_path)]


def answer(value: Any, status: int = 200) -> Answer:
    """A value as JSON."""
    return Answer(status, msgspec.json.encode(value))


def failure(error: VernalError, status: int | None = None) -> Answer:
    """An error as JSON, with the status its class maps to."""
    body = {"error": error.as_dict(), "code": error.code, "message": error.sentence()}
    headers: tuple[tuple[bytes, bytes], ...] = ()
    status = status or status_of(error)
    if status in (429, 503, 507):
        headers = ((b"retry-after", b"1"),)
    if status == 401:
        headers = ((b"www-authenticate", b"Bearer"),)
    return Answer(status, msgspec.json.encode(body), JSON, headers)


def status_of(error: VernalError) -> int:
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
