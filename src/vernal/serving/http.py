"""The ASGI application: limits, keys, dispatch, and an answer for whatever goes wrong.

In: ASGI calls of uvicorn. Out: exactly one answer each; no exception and no stack trace ever reaches the wire. Checks come in the
order of their price: path, key, length, line, body, nesting.
"""

import asyncio
import base64
import binascii
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from vernal.errors import AuthError, RequestError, VernalError
from vernal.serving.admission import Admission, Lane
from vernal.serving.balance import Balance
from vernal.serving.depth import MAX_DEPTH, too_deep
from vernal.serving.keys import Keys
from vernal.serving.meters import Meters
from vernal.serving.routes import Answer, Call, Match, Route, Table, failure

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

READ = {b"x-api-key", b"x-api-version", b"authorization", b"content-length", b"content-encoding", b"origin", b"host"}
BODY_TIMEOUT_S = 10.0
LOOPBACK = (b"127.0.0.1", b"localhost", b"[::1]")
log = logging.getLogger("vernal.serving")


class HungUpError(Exception):
    """The caller went away before its request was whole."""


class RefusedError(Exception):
    """An error answered with another status than its class maps to."""

    def __init__(self, error: VernalError, status: int) -> None:
        super().__init__(error.sentence())
        self.error, self.status = error, status


class Application:
    """Answers calls by a table of routes.

    Parameters
    ----------
    service : handed to every route
    require_keys : ask for a key on every scope; without it only `admin` asks for one, and calls from other web pages are refused
    """

    def __init__(self, table: Table, service: Any, keys: Keys, meters: Meters, admission: Admission, balance: Balance, *, require_keys: bool) -> None:
        self.table, self.service, self.keys, self.meters, self.admission, self.balance = table, service, keys, meters, admission, balance
        self.require_keys = require_keys

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        if scope["type"] != "http":
            return
        found = self.table.find(scope["method"], scope["raw_path"])
        try:
            response = await self.answered(scope, receive, found, started)
        except HungUpError:
            return
        headers = [(b"content-type", response.kind), (b"content-length", b"%d" % len(response.body)), *response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        self.counted(found, response.status, started)

    def counted(self, found: Match | None, status: int, started: float) -> None:
        if found is None:
            return
        self.meters.count("vernal_requests_total", found.route.name, f"{status // 100}xx")
        self.meters.observe("vernal_request_seconds", found.route.name, seconds=time.perf_counter() - started)

    async def answered(self, scope: Message, receive: Receive, found: Match | None, started: float) -> Answer:
        """The answer to a call, errors included."""
        try:
            if found is None:
                return self.unknown(scope)
            given = read_headers(scope["headers"])
            self.allow(found.route, given)
            length(given, found.route.max_body)
            return await self.admitted(scope, receive, found, Call(found.route.name, found.parts, scope["query_string"], given, started))
        except (HungUpError, asyncio.CancelledError):
            raise
        except Exception as error:
            return self.refusal(error, f"{scope['method']} {scope['path']}")

    def refusal(self, error: Exception, what: str) -> Answer:
        """The answer to a call that went wrong."""
        if isinstance(error, VernalError):
            return failure(error)
        if isinstance(error, RefusedError):
            return failure(error.error, error.status)
        if isinstance(error, UnicodeEncodeError | OverflowError | RecursionError):  # what JSON can say and no store can hold
            return failure(RequestError.invalid("body", str(error), f"valid Unicode, numbers of 64 bits, at most {MAX_DEPTH} levels"))
        log.error("%s failed", what, exc_info=error)
        self.meters.count("vernal_internal_errors_total")
        return failure(VernalError("internal error", hint="the server's log has the details"), 500)

    def direct(self, method: bytes, path: bytes) -> Match | None:
        """The route of a call whose answer waits for nothing."""
        found = self.table.fixed.get((method.decode("latin-1"), path))
        return found if found is not None and found.route.direct else None

    def lined_up(self, found: Match, given: Mapping[bytes, bytes], raw: bytes, started: float) -> Call | Answer:
        """A direct call with its place in the line, or why it has none."""
        try:
            self.allow(found.route, given)
            call = Call(found.route.name, found.parts, b"", given, started)
            call.body = checked(raw, found.route.max_body)
            self.enter(found.route.lane)
            return call
        except Exception as error:
            return self.refusal(error, found.route.name)

    def answered_at_once(self, found: Match, call: Call) -> Answer:
        """The answer to a direct call whose turn it is; leaves the line."""
        begun = time.perf_counter()
        try:
            return found.route.act(self.service, call)  # type: ignore[return-value]  # a direct route's act is a plain function
        except Exception as error:
            return self.refusal(error, found.route.name)
        finally:
            self.admission.worked(time.perf_counter() - begun)
            self.admission.leave(found.route.lane)

    def enter(self, lane: Lane) -> None:
        """Takes a place in the line; who gets none is counted."""
        try:
            self.admission.enter(lane)
        except VernalError:
            self.meters.count("vernal_shed_total", lane)
            raise

    async def admitted(self, scope: Message, receive: Receive, found: Match, call: Call) -> Answer:
        """Answers once there is a place in the line; a slow body takes none, and all who came at the same time are counted first."""
        if scope["method"] not in ("GET", "HEAD"):
            call.body = await body(receive, call.headers, found.route.max_body)
        lane = found.route.lane
        self.enter(lane)
        if found.route.direct:
            await asyncio.sleep(0)
            return self.answered_at_once(found, call)
        try:
            if lane == "serve":
                await asyncio.sleep(0)
                begun = time.perf_counter()
                response = await found.route.act(self.service, call)  # type: ignore[misc]
                self.admission.worked(time.perf_counter() - begun)
                return response
            return await found.route.act(self.service, call)  # type: ignore[misc]
        finally:
            self.admission.leave(lane)

    def allow(self, route: Route, given: Mapping[bytes, bytes]) -> None:
        """Lets a call through, or says why not.

        Raises
        ------
        AuthError
            No valid key, a key without the scope, or a keyless call from another web page.
        """
        if route.scope is None:
            return
        if not self.require_keys and route.scope != "admin":
            refuse_foreign(given)
            return
        scopes = self.keys.scopes(presented(given))
        if not scopes:
            raise AuthError.missing_key()
        if route.scope not in scopes:
            raise RefusedError(AuthError.missing_scope(route.scope), 403)

    def unknown(self, scope: Message) -> Answer:
        """404, or 405 with the methods the path knows."""
        methods = self.table.methods(scope["raw_path"])
        if methods:
            refused = failure(RequestError.unknown("method", scope["method"], methods), 405)
            return refused._replace(headers=((b"allow", ", ".join(methods).encode()),))
        known = [route.path for route in self.table.routes]
        return failure(RequestError.unknown("path", scope["path"][:200], known), 404)


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that anything here reads."""
    return {name: value for name, value in headers if name in READ}


def presented(given: Mapping[bytes, bytes]) -> str:
    """The key of a call: `X-API-Key`, `Authorization: Bearer KEY`, or the user name of `Authorization: Basic` (Segment's write key)."""
    if key := given.get(b"x-api-key"):
        return key.decode("latin-1")
    kind, _, rest = given.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        return rest.strip().decode("latin-1")
    if kind.lower() == b"basic":
        try:
            return base64.b64decode(rest, validate=True).partition(b":")[0].decode("latin-1")
        except binascii.Error:
            return ""
    return ""


def refuse_foreign(given: Mapping[bytes, bytes]) -> None:
    """Refuses what a browser sends for another site's page, when no key protects this server."""
    host = given.get(b"host", b"")
    if host.rpartition(b":")[0] not in LOOPBACK and host not in LOOPBACK:
        raise RefusedError(AuthError.missing_key(), 403)
    origin = given.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != host:
        raise RefusedError(AuthError.missing_key(), 403)


def length(given: Mapping[bytes, bytes], limit: int) -> None:
    """Refuses a body by its announced length, before a byte of it is read."""
    announced = given.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limit:
        raise too_big(int(announced), limit)


def too_big(got: object, limit: int) -> RefusedError:
    return RefusedError(RequestError.invalid("body", f"{got} bytes", f"at most {limit} bytes", "send smaller batches"), 413)


async def body(receive: Receive, given: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole body, unpacked.

    Raises
    ------
    RequestError
        413 too long (also once unpacked), 408 too slow, 415 an unknown packing, 400 nested too deep.
    """
    message = await receive()
    raw = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise HungUpError
    if message.get("more_body"):
        raw = await rest(receive, raw, limit)
    if encoding := given.get(b"content-encoding"):
        raw = unpacked(raw, encoding, limit)
    return checked(raw, limit)


def checked(raw: bytes, limit: int) -> bytes:
    """A whole body of a length and a depth that are allowed."""
    if len(raw) > limit:
        raise too_big(len(raw), limit)
    if too_deep(raw):
        raise RequestError.invalid("body", "deeper nesting", f"at most {MAX_DEPTH} levels of arrays and objects")
    return bytes(raw)


async def rest(receive: Receive, first: bytes, limit: int) -> bytes:
    """The first piece and all that follow."""
    pieces, size = [first], len(first)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise HungUpError
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > limit:
                    raise too_big(f"more than {limit}", limit)
                if not message.get("more_body"):
                    return b"".join(pieces)
    except TimeoutError:
        raise slow(size) from None


def slow(size: int) -> RefusedError:
    """A body that did not come in time."""
    return RefusedError(RequestError.invalid("body", f"{size} bytes in {BODY_TIMEOUT_S:g} s", "the whole body"), 408)


def unpacked(raw: bytes, encoding: bytes, limit: int) -> bytes:
    """A gzip or deflate body, never more than `limit` bytes of it."""
    if encoding.lower() not in (b"gzip", b"deflate", b"identity"):
        raise RefusedError(RequestError.invalid("Content-Encoding", encoding.decode("latin-1"), "gzip, deflate or none"), 415)
    if encoding.lower() == b"identity":
        return raw
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(raw, limit + 1)
    except zlib.error:
        raise RequestError.invalid("body", f"{len(raw)} bytes that are no {encoding.decode()}", "what Content-Encoding says") from None
    if len(plain) > limit:
        raise too_big(f"more than {limit} unpacked", limit)
    if not unpacker.eof:
        raise RequestError.invalid("body", "a truncated text", "the whole of what Content-Encoding says")
    return plain
