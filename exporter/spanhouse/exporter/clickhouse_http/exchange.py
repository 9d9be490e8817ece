"""How a result leaves: at once if it is small, else piece by piece as the engine works it out and the client takes it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

from spanhouse.exporter.clickhouse_http.engine_connection import Result
from spanhouse.exporter.clickhouse_http.errors import EngineError
from spanhouse.exporter.clickhouse_http.reader import joined
from spanhouse.exporter.clickhouse_http.response import Packer, Response
from spanhouse.exporter.clickhouse_http.running_query import Running

_SMALL_BYTES: Final = 1 << 20
"""A result up to this size is sent as a whole, with its length, and its errors with their status."""
_TAG_BYTES: Final = 8


class Describe(Protocol):
    """Makes the response to a result."""

    def __call__(self, result: Result, *, packer: Packer, whole: bool) -> Response:
        """Make it."""
        ...


class Exchange:
    """Sends for one request, out of a thread of its own.

    Args:
        send: ASGI's.
        loop: where that belongs.
        with_body: False for HEAD.
    """

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], loop: asyncio.AbstractEventLoop, *, with_body: bool) -> None:
        self._send = send
        self._loop = loop
        self._with_body = with_body

    def answer(self, pieces: Iterator[Result], packer: Packer, describe: Describe, running: Running) -> Response | None:
        """The whole response, or None when it was sent in pieces.

        A query that fails after its first pieces ends the body with the error, as ClickHouse writes it since 25.11: between lines
        ``__exception__``, with the tag that a header names. The connection is then closed before the body's end, so that no client takes it
        for complete.

        Raises:
            EngineError: the query failed before anything was sent.
        """
        first: list[Result] = []
        for piece in pieces:
            first.append(piece)
            if sum(len(one.body) for one in first) > _SMALL_BYTES and self._with_body:
                break
        else:
            return describe(joined(first), packer=packer, whole=True)
        begun = joined(first)
        first.clear()
        second = next(pieces, None)
        if second is None:
            return describe(begun, packer=packer, whole=True)
        tag = secrets.token_hex(_TAG_BYTES)
        start = describe(begun, packer=packer, whole=False)
        start = replace(start, headers={**start.headers, "x-clickhouse-exception-tag": tag})
        self._now({"type": "http.response.start", "status": start.status, "headers": start.raw_headers()})
        self._piece(packer.begin() + packer.pack(begun.body) + packer.pack(second.body))
        del begun, second
        try:
            for piece in pieces:
                running.check()
                self._piece(packer.pack(piece.body))
        except EngineError as error:
            running.entry.code = error.code
            self._piece(packer.pack(_closing(error, tag)) + packer.end())
            return None
        self._now({"type": "http.response.body", "body": packer.end(), "more_body": False})
        return None

    def _piece(self, body: bytes) -> None:
        self._now({"type": "http.response.body", "body": body, "more_body": True})

    def _now(self, message: dict[str, Any]) -> None:
        """Send, and come back when the client has room for more."""

        async def send() -> None:
            await self._send(message)

        asyncio.run_coroutine_threadsafe(send(), self._loop).result()


def _closing(error: EngineError, tag: str) -> bytes:
    text = f"{error}\n".encode()
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())
