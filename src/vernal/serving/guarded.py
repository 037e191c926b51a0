"""The HTTP connection: uvicorn's, with bounds on a request's head that uvicorn leaves to others."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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

    def on_headers_complete(self) -> None:
        self.head_bytes = BODY_COMES
        self.head_came()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.head_bytes = 0
        if self.lingering is not None:
            self.lingering.cancel()
            self.lingering = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.head_bytes < 0:  # answered before its body was whole; the rest has a moment to come
            self.lingering = self.loop.call_later(LINGER_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self.head_came()
        super().connection_lost(exc)

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
