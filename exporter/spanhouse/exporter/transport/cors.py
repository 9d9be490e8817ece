"""CORS: web pages that may send traces. By default none, since any page that a user opens can make their browser send requests to this port."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from spanhouse.exporter import metrics
from spanhouse.exporter.address import ConfigError
from spanhouse.exporter.errors import PermissionDeniedError
from spanhouse.exporter.transport.asgi import App, Message, Receive, Scope, Send, first_header, respond
from spanhouse.exporter.transport.otlp_responses import answer_error, media_type

ANY: Final = "*"
_VARY: Final = (b"vary", b"origin")
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type, content-encoding, authorization, x-api-key, api-key, traceparent, tracestate, baggage"),
    (b"access-control-max-age", b"3600"),
)
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/@?#\s*]+\Z")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class ForeignOriginError(PermissionDeniedError):
    """Request of a web page whose origin is not allowed."""


def parse_origins(text: str) -> frozenset[str]:
    """Read origins as browsers send them, separated by commas: ``https://app.example.com``, or ``*`` for any.

    Raises:
        ConfigError: one of them is not an origin.
    """
    origins = {origin.strip().lower() for origin in text.split(",") if origin.strip()}
    for origin in origins - {ANY}:
        if not _ORIGIN.match(origin) or origin.endswith(_DEFAULT_PORTS.get(urlsplit(origin).scheme, "/")):
            raise ConfigError(f"--cors-origins: {origin!r} is not an origin as browsers send it: https://app.example.com, or http://localhost:3000")
    return frozenset(origins)


class Cors:
    """ASGI middleware that passes requests of web pages from the allowed origins only, and answers preflight requests.

    Browsers send an Origin with every request that could change something, also for a page that resolves its own name to this machine (DNS
    rebinding). This port serves no pages, so no origin is its own; a request without the header is not from a web page. Responses to allowed
    origins carry the headers by which the page can read them, errors too.
    """

    def __init__(self, app: App, origins: frozenset[str]) -> None:
        """Make the application.

        Args:
            app: answers the requests that pass.
            origins: the allowed ones, from ``parse_origins``.
        """
        self._app = app
        self._origins = origins

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        origin = first_header(scope, b"origin")
        if origin is None:
            await self._app(scope, receive, send)
            return
        if not self._origins & {ANY, origin.lower()}:
            await _refuse(scope, send)
            return
        readable = [
            _VARY,
            (b"access-control-allow-origin", (ANY if ANY in self._origins else origin).encode("latin-1")),
            (b"access-control-expose-headers", b"retry-after"),
        ]
        if scope["method"] == "OPTIONS" and first_header(scope, b"access-control-request-method") is not None:
            await respond(send, 204, [*readable, *_PREFLIGHT])
            return

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *readable]}
            await send(message)

        await self._app(scope, receive, send_readable)


async def _refuse(scope: Scope, send: Send) -> None:
    error = ForeignOriginError("this web page's origin is not allowed: add it to --cors-origins")
    metrics.refused("http", error)
    await answer_error(send, media_type(first_header(scope, b"content-type") or ""), error, [_VARY])
