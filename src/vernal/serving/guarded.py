"""The HTTP connection: uvicorn's, with bounds on a request's head that uvicorn leaves to others, and a short way for slates."""

import asyncio
import time
from typing import cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from vernal.serving.http import BODY_TIMEOUT_S, Application, read_headers, slow
from vernal.serving.routes import Answer, Call, Match

MAX_HEAD_BYTES = 65_536
HEAD_TIMEOUT_S = 10.0
LINGER_S = 2.0
BODY_COMES = -(2**60)


class Guarded(HttpToolsProtocol):
    """One connection; a head that is too long is answered with 431, one that does not come with 408."""

    head_bytes = 0  # of the request that is coming; negative while its body comes
    head_timer: asyncio.TimerHandle | None = None
    lingering: asyncio.TimerHandle | None = None
    refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        cast(Application, self.app).balance.holds(len(self.connections))
        self.wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        self.head_bytes += len(data)
        super().data_received(data)
        if self.head_bytes > MAX_HEAD_BYTES:
            self.refuse(b"431 Request Header Fields Too Large")
        elif self.head_bytes > 0 and self.head_timer is None:
            self.wait_for_head()
        elif isinstance(self.cycle, Direct):
            self.cycle.wait_for_body()

    def on_headers_complete(self) -> None:
        self.head_bytes = BODY_COMES
        self.head_came()
        if (found := self.short_way()) is not None:
            self.cycle = cast(RequestResponseCycle, Direct(self, found))
        else:
            super().on_headers_complete()

    def short_way(self) -> Match | None:
        """The route of a request that is answered without a task: nothing before it on this connection, a small body of known length as it is."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy or self.flow.write_paused or self.parser.get_http_version() != "1.1":
            return None
        found = cast(Application, self.app).direct(self.parser.get_method(), self.url)
        if found is None or self.parser.should_upgrade():
            return None
        given = dict(self.headers)
        length = given.get(b"content-length", b"")
        plain = given.keys().isdisjoint((b"expect", b"content-encoding", b"transfer-encoding"))
        return found if plain and length.isdigit() and int(length) <= HIGH_WATER_LIMIT else None

    def on_message_complete(self) -> None:
        self.head_bytes = 0
        if self.lingering is not None:
            self.lingering.cancel()
            self.lingering = None
        if isinstance(self.cycle, Direct):
            self.cycle.line_up()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.head_bytes < 0:  # answered before its body was whole; the rest has a moment to come
            self.lingering = self.loop.call_later(LINGER_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self.head_came()
        super().connection_lost(exc)
        cast(Application, self.app).balance.holds(len(self.connections))

    def wait_for_head(self) -> None:
        self.head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.refuse, b"408 Request Timeout")

    def head_came(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def refuse(self, status: bytes) -> None:
        self.head_came()
        if self.transport.is_closing() or self.refused:
            return
        if self.head_bytes:  # a connection on which nothing was asked just ends
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.refused = True
        self.loop.call_later(LINGER_S if self.head_bytes else 0, self.transport.close)  # what still comes is read and dropped, or the answer would be lost


class Direct:
    """A request on the short way: it takes its place in the line once its body is whole, and is answered in the loop's next turn, when all who came at the
    same time have taken theirs. Its key is asked for with the body, of which 64 KB may come before that. What uvicorn's connection asks of its own request
    cycles it answers as they do, so pipelining and draining stay uvicorn's."""

    def __init__(self, connection: Guarded, found: Match) -> None:
        self.connection, self.found, self.started = connection, found, time.perf_counter()
        self.given, self.app = read_headers(connection.headers), cast(Application, connection.app)
        self.body, self.more_body = bytearray(), True
        self.timer: asyncio.TimerHandle | None = None
        self.keep_alive, self.response_complete, self.disconnected = connection.parser.should_keep_alive(), False, False

    @property
    def message_event(self) -> "Direct":
        return self

    def set(self) -> None:
        """Nobody waits for this body piece by piece."""

    def wait_for_body(self) -> None:
        """Gives a body that did not come with its head a while to come."""
        if self.more_body and self.timer is None:
            self.timer = self.connection.loop.call_later(BODY_TIMEOUT_S, self.too_slow)

    def too_slow(self) -> None:
        if self.more_body and not self.disconnected:
            self.more_body = False
            self.answer(self.app.refusal(slow(len(self.body)), self.found.route.name))

    def line_up(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.more_body:
            self.more_body = False
            given = self.app.lined_up(self.found, self.given, bytes(self.body), self.started)
            self.connection.loop.call_soon(self.answer, given)

    def answer(self, given: Call | Answer) -> None:
        """Writes the answer of a call whose turn it is, or the refusal it was given at once."""
        self.response_complete, transport = True, self.connection.transport
        if self.disconnected or transport.is_closing():
            if isinstance(given, Call):
                self.app.admission.leave(self.found.route.lane)
            return
        response = self.app.answered_at_once(self.found, given) if isinstance(given, Call) else given
        if self.keep_alive and not self.connection.pipeline and self.app.balance.crowded(self.started):
            self.keep_alive = False
        transport.write(written(response, keep_alive=self.keep_alive))
        self.app.counted(self.found, response.status, self.started)
        if not self.keep_alive:
            transport.close()
        self.connection.on_response_complete()


def written(response: Answer, *, keep_alive: bool) -> bytes:
    """A response as bytes."""
    lines = [STATUS_LINE[response.status], b"content-type: %b\r\ncontent-length: %d\r\n" % (response.kind, len(response.body))]
    lines += [b"%b: %b\r\n" % header for header in response.headers]
    return b"".join([*lines, b"\r\n" if keep_alive else b"connection: close\r\n\r\n", response.body])
