"""HTTP/1.1 of one connection: uvicorn's protocol with limits on what a stranger may send, and without other protocols."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spanhouse.exporter import metrics

HEAD_SECONDS: Final = 10.0
"""For the handshake of TLS, and for a head."""
_HEAD_BYTES: Final = 64 * 1024
"""Largest head of a request with its trailer; heads that wait on one connection have it together."""
_FIELD_BYTES: Final = 32
"""A field counts as so much more than its text, as in HTTP/2 (RFC 9113, section 6.5.2): each is an object of its own."""
_REQUEST_BYTES: Final = 1024
"""A request counts as so much more than its head, for the same reason."""
_REST_SECONDS: Final = 5.0
"""For the rest of a body whose answer has gone. It is read, since a client that is cut off while it sends loses the answer."""
_UNREAD_SECONDS: Final = 60.0
"""For a client that reads nothing of its response."""
_NO_HTTP: Final = "Invalid HTTP request received."


class _TooLargeError(Exception):
    """A head, with its trailer, of more than ``_HEAD_BYTES``; raised to stop the parser."""


class _Patience:
    """Ends a connection when its client takes too long for one thing."""

    __slots__ = ("_timer",)

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.Transport, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, transport.abort)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with limits on heads, trailers, the rest of a body after its answer, and responses that nobody reads.

    An offer of another protocol (``Upgrade: h2c``, ``websocket``, ``TLS/1.0``) is declined: the request is handled without it (RFC 9110,
    section 7.8). Java's HttpClient makes such an offer with every plain request. The parser ends at the head of such a request and takes the
    body for the other protocol. So that head is parsed once more without the offer, by a parser that then gets the body.
    """

    def __init__(self, *arguments: Any, listener: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._open = metrics.HTTP_CONNECTIONS.labels(listener)
        self._in_head = self._in_body = False
        self._head_bytes = self._head_bytes_before = 0
        self._progress = False
        self._stuck_bytes = 0
        self._head, self._rest, self._unread, self._leaving = _Patience(), _Patience(), _Patience(), _Patience()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn asks for what it is
        self._open.inc()
        self._head.start(self.transport, HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let all timers go."""
        self._open.dec()
        for patience in (self._head, self._rest, self._unread, self._leaving):
            patience.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._unset_keepalive_if_required()
        self._progress = False
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                self.logger.warning(_NO_HTTP)
                self.send_400_response(_NO_HTTP)
            return
        # The parser tells nothing of a field, a chunk's size or blank lines before they end, but keeps the field.
        self._stuck_bytes = 0 if self._progress else self._stuck_bytes + len(data)
        if self._stuck_bytes > _HEAD_BYTES:
            self.transport.abort()
        elif self._in_head or self._is_idle():
            self._head.start(self.transport, HEAD_SECONDS)

    def _parse(self, data: memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
            else:
                return
            head = self._head_without_offer()
            self._head_bytes = self._head_bytes_before
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(head)

    def _head_without_offer(self) -> bytes:
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        return b"\r\n".join([line, *(b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"), b"", b""])

    def _offers_upgrade(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"  # which uvicorn refuses

    def _is_idle(self) -> bool:
        """Tell whether no request is under way; uvicorn's timer for that ended with the first byte that came."""
        asked = self.cycle is not None  # not before the first request
        return not self._in_body and not (asked and not self.cycle.response_complete)

    def _count(self, size: int) -> None:
        self._progress = True
        self._head_bytes += size
        if self._head_bytes > _HEAD_BYTES:
            self.transport.abort()
            raise _TooLargeError

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        if self._is_idle():  # else the heads of several requests are held
            self._head_bytes = 0
        self._head_bytes_before = self._head_bytes
        self._count(_REQUEST_BYTES)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; those of a trailer are counted and left out, since no application reads them."""
        self._count(len(name) + len(value) + _FIELD_BYTES)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the request, unless its head is to be parsed once more."""
        if self._offers_upgrade():
            return
        self._in_head, self._in_body = False, True
        self._head.stop()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, unless its head is to be parsed once more."""
        if self._offers_upgrade():
            return
        self._progress, self._in_body = True, False
        self._rest.stop()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Limit the time of the rest: of the response on its way, or of the body."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._leaving.start(self.transport, _UNREAD_SECONDS)
        elif self._in_body and self.cycle.response_complete:
            self._rest.start(self.transport, _REST_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP and end the connection."""
        super().send_400_response(msg)
        self._leaving.start(self.transport, _UNREAD_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that is not used."""
        super().timeout_keep_alive_handler()
        self._leaving.start(self.transport, _UNREAD_SECONDS)

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read."""
        self._unread.start(self.transport, _UNREAD_SECONDS)
        super().pause_writing()

    def resume_writing(self) -> None:
        """End that wait."""
        self._unread.stop()
        super().resume_writing()
