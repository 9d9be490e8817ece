"""Which web pages may send traces. By default none: any page that somebody opens can make their browser send requests to this port."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from spanhouse.exporter import metrics
from spanhouse.exporter.address import ConfigError
from spanhouse.exporter.errors import PermissionDeniedError
from spanhouse.exporter.transport.asgi_responses import answer_error, encoding_of
from spanhouse.exporter.transport.http_intake import App, Receive, Send

ANY: Final = "*"
_ALLOWED: Final = (
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type, content-encoding, authorization, x-api-key, api-key, traceparent, tracestate, baggage"),
    (b"access-control-max-age", b"3600"),
)
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/@?#\s*]+\Z")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class ForeignOriginError(PermissionDeniedError):
    """A browser sent the request for a page that may not send."""


def parse_origins(text: str) -> frozenset[str]:
    """Origins as browsers send them, separated by commas: ``https://app.example.com``, or ``*`` for any.

    Raises:
        ConfigError: one of them is no origin.
    """
    origins = {origin.strip().lower() for origin in text.split(",") if origin.strip()}
    for origin in origins - {ANY}:
        if not _ORIGIN.match(origin) or origin.endswith(_DEFAULT_PORTS.get(urlsplit(origin).scheme, "/")):
            raise ConfigError(f"--cors-origins: {origin!r} is no origin as browsers send it: https://app.example.com, or http://localhost:3000")
    return frozenset(origins)


class Cors:
    """An ASGI application around another: requests that browsers send for web pages pass for these origins alone.

    Every such request that could change something carries an Origin, also from a page that made its own name lead here (DNS rebinding). No
    page is served on this port, so there is no origin of our own to let in, and requests without the header are not from web pages.
    Answers to pages that may send carry what lets them read the answer, errors too.
    """

    def __init__(self, app: App, origins: frozenset[str]) -> None:
        """Make the application.

        Args:
            app: answers the requests that pass.
            origins: as ``parse_origins`` gives them.
        """
        self._app = app
        self._origins = origins

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = scope["headers"]
        origin = next((value for name, value in headers if name == b"origin"), None)
        if origin is None:
            await self._app(scope, receive, send)
            return
        if not self._origins & {ANY, origin.decode("latin-1").lower()}:
            error = ForeignOriginError("web pages of this origin may not send here: name it in --cors-origins")
            metrics.refused("http", error)
            content_type = next((value for name, value in headers if name == b"content-type"), b"").decode("latin-1")
            await answer_error(send, encoding_of(content_type), error, [(b"vary", b"origin")])
            return
        own = [
            (b"vary", b"origin"),
            (b"access-control-allow-origin", ANY.encode() if ANY in self._origins else origin),
            (b"access-control-expose-headers", b"retry-after"),
        ]
        if scope["method"] == "OPTIONS" and any(name == b"access-control-request-method" for name, _ in headers):
            await send({"type": "http.response.start", "status": 204, "headers": [*own, *_ALLOWED]})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_readable(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        await self._app(scope, receive, send_readable)
