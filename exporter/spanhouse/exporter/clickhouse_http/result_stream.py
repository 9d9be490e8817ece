"""Sends a result: whole if it is small, else streamed as the engine produces it and the client consumes it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Protocol

from spanhouse.exporter.clickhouse_http.engine_connection import Result, merge_results
from spanhouse.exporter.clickhouse_http.engine_errors import EngineError
from spanhouse.exporter.clickhouse_http.response import Response, ResponseCompressor
from spanhouse.exporter.clickhouse_http.running_query import RunningQuery
from spanhouse.exporter.transport.asgi import Message, Send

_SMALL_BYTES: Final = 1 << 20
"""A result up to this size is sent whole: with its length, and errors with their HTTP status."""
_TAG_BYTES: Final = 8


class MakeResponse(Protocol):
    """Makes the response of a result."""

    def __call__(self, result: Result, *, compressor: ResponseCompressor, whole: bool) -> Response:
        """Make the response."""
        ...


class ResultStream:
    """Response of one request, sent from a thread other than the event loop's.

    Args:
        send: ASGI's.
        loop: its event loop.
        with_body: False for HEAD.
    """

    def __init__(self, send: Send, loop: asyncio.AbstractEventLoop, *, with_body: bool) -> None:
        self._send = send
        self._loop = loop
        self._with_body = with_body

    def answer(self, pieces: Iterator[Result], compressor: ResponseCompressor, make: MakeResponse, running: RunningQuery) -> Response | None:
        """Return a small result's whole response; stream a larger one and return None.

        Raises:
            EngineError: the query failed before anything was sent.
        """
        first: list[Result] = []
        for piece in pieces:
            first.append(piece)
            if sum(len(one.body) for one in first) > _SMALL_BYTES and self._with_body:
                break
        else:
            return make(merge_results(first), compressor=compressor, whole=True)
        begun = merge_results(first)
        first.clear()
        second = next(pieces, None)
        if second is None:
            return make(begun, compressor=compressor, whole=True)
        tag = secrets.token_hex(_TAG_BYTES)
        start = make(begun, compressor=compressor, whole=False)
        start = replace(start, headers={**start.headers, "x-clickhouse-exception-tag": tag})
        self._send_now({"type": "http.response.start", "status": start.status, "headers": start.raw_headers()})
        self._send_piece(compressor.begin() + compressor.compress(begun.body) + compressor.compress(second.body))
        del begun, second, piece
        self._stream(pieces, compressor, running, tag)
        return None

    def _stream(self, pieces: Iterator[Result], compressor: ResponseCompressor, running: RunningQuery, tag: str) -> None:
        """Send the remaining pieces.

        A failure ends the body with the error, as ClickHouse writes it since 25.11: between lines ``__exception__``, with the tag of the header
        ``x-clickhouse-exception-tag``. The connection then closes before the body's end, so that no client takes it for complete.
        """
        try:
            for piece in pieces:
                running.check_cancelled()
                self._send_piece(compressor.compress(piece.body))
        except EngineError as error:
            running.entry.code = error.code
            self._send_piece(compressor.compress(_exception_trailer(error, tag)) + compressor.end())
        else:
            self._send_now({"type": "http.response.body", "body": compressor.end(), "more_body": False})

    def _send_piece(self, body: bytes) -> None:
        self._send_now({"type": "http.response.body", "body": body, "more_body": True})

    def _send_now(self, message: Message) -> None:
        """Send, and wait until the client has room for more."""

        async def send() -> None:
            await self._send(message)

        asyncio.run_coroutine_threadsafe(send(), self._loop).result()


def _exception_trailer(error: EngineError, tag: str) -> bytes:
    text = f"{error}\n".encode()
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
