"""HTTP/1.1 of one connection: uvicorn's protocol with limits on size and time, and without protocol upgrades."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spanhouse.exporter import metrics

HEAD_SECONDS: Final = 10.0
"""Deadline of a TLS handshake, and of a request head."""
_HEAD_BYTES: Final = 64 * 1024
"""Limit of a request head with its trailer; pipelined requests of one connection share it."""
_FIELD_BYTES: Final = 32
"""Overhead counted for each field beside its text, as in HTTP/2 (RFC 9113, section 6.5.2): each is an object of its own."""
_REQUEST_BYTES: Final = 1024
"""Overhead counted for each request beside its head."""
_REST_SECONDS: Final = 5.0
"""Deadline of the rest of a body whose response is sent. The rest is read, since a client that is cut off while sending loses the response."""
_UNREAD_SECONDS: Final = 60.0
"""Deadline of a client that does not read its response."""
_NO_HTTP: Final = "Invalid HTTP request received."


class _TooLargeError(Exception):
    """Head and trailer over ``_HEAD_BYTES``; raised to stop the parser."""


class _Timeout:
    """Timer that aborts a connection."""

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
    """HTTP/1.1 with limits on heads, trailers, the rest of a body after its response, and unread responses.

    An offered upgrade (``Upgrade: h2c``, ``websocket``, ``TLS/1.0``) is declined: the request is handled as HTTP/1.1 (RFC 9110, section
    7.8). Java's HttpClient offers one with every plain request. The parser stops after the head of such a request and leaves the body to the
    other protocol, so a new parser reads the head again without the offer, then the body.
    """

    def __init__(self, *arguments: Any, listener: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._open = metrics.HTTP_CONNECTIONS.labels(listener)
        self._in_head = self._in_body = False
        self._head_bytes = self._head_bytes_before = 0
        self._progress = False
        self._bytes_without_progress = 0
        self._head, self._rest, self._unread, self._closing = _Timeout(), _Timeout(), _Timeout(), _Timeout()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline of a head."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows the type
        self._open.inc()
        self._head.start(self.transport, HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._open.dec()
        for timeout in (self._head, self._rest, self._unread, self._closing):
            timeout.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        self._unset_keepalive_if_required()
        self._progress = False
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError:
            if not self.transport.is_closing():
                self.logger.warning(_NO_HTTP)
                self.send_400_response(_NO_HTTP)
            return
        # The parser buffers a field without reporting it, and does not report a chunk size or blank lines before their end.
        self._bytes_without_progress = 0 if self._progress else self._bytes_without_progress + len(data)
        if self._bytes_without_progress > _HEAD_BYTES:
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

    def _has_upgrade_offer(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"  # uvicorn refuses it

    def _is_idle(self) -> bool:
        """Tell whether no request is in progress; uvicorn's own idle timer stopped at the first byte."""
        begun = self.cycle is not None  # None before the first request
        return not self._in_body and not (begun and not self.cycle.response_complete)

    def _count(self, size: int) -> None:
        self._progress = True
        self._head_bytes += size
        if self._head_bytes > _HEAD_BYTES:
            self.transport.abort()
            raise _TooLargeError

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        if self._is_idle():  # else the head is added to those of earlier requests
            self._head_bytes = 0
        self._head_bytes_before = self._head_bytes
        self._count(_REQUEST_BYTES)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Add a part of the request target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a field of the head; a trailer's fields are counted and dropped, since no application reads them."""
        self._count(len(name) + len(value) + _FIELD_BYTES)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the request, unless its head has to be parsed again."""
        if self._has_upgrade_offer():
            return
        self._in_head, self._in_body = False, True
        self._head.stop()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, unless its head has to be parsed again."""
        if self._has_upgrade_offer():
            return
        self._progress, self._in_body = True, False
        self._rest.stop()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the deadline of the remaining body, or of the unread response."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._closing.start(self.transport, _UNREAD_SECONDS)
        elif self._in_body and self.cycle.response_complete:
            self._rest.start(self.transport, _REST_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Refuse input that is not HTTP, and close the connection."""
        super().send_400_response(msg)
        self._closing.start(self.transport, _UNREAD_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._closing.start(self.transport, _UNREAD_SECONDS)

    def pause_writing(self) -> None:
        """Start the deadline of a client that does not read."""
        self._unread.start(self.transport, _UNREAD_SECONDS)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop that deadline."""
        self._unread.stop()
        super().resume_writing()
