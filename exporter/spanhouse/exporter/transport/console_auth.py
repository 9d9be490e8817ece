"""Who gets to the console: tokens with the right for what is asked, and no web pages from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from spanhouse.exporter.access import browser_origin
from spanhouse.exporter.access.tokens import Right, Tokens
from spanhouse.exporter.errors import ExportError, PermissionDeniedError, UnauthenticatedError
from spanhouse.exporter.transport.asgi_responses import JSON, answer
from spanhouse.exporter.transport.http_intake import App, Receive, Send

_READING: Final = frozenset({"GET", "HEAD"})


class ConsoleAuth:
    """An ASGI application around the console. GET and HEAD need the right to read, all else the right to write.

    Without a token file everybody on this machine may do both, but no web page: neither one of another origin nor one that makes its own
    name lead here (DNS rebinding).

    Args:
        app: the console.
        tokens: the tokens that hold now; None if there is no token file.
    """

    def __init__(self, app: App, tokens: Callable[[], Tokens | None]) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check(scope, headers)
        except ExportError as error:
            extra = [(b"www-authenticate", b'Basic realm="spanhouse"')] if isinstance(error, UnauthenticatedError) else []
            await answer(send, error.http_status, json.dumps({"error": error.message}).encode() + b"\n", JSON, extra)
        else:
            await self._app(scope, receive, send)

    def _check(self, scope: dict[str, Any], headers: dict[str, str]) -> None:
        listening = (scope.get("server") or ("", 0))[0]
        if browser_origin.is_cross_origin(headers):
            raise PermissionDeniedError("requests of web pages from elsewhere are not answered")
        tokens = self._tokens()
        if tokens is not None:
            tokens.require(Right.READ if scope["method"] in _READING else Right.WRITE, headers.get)
        elif not browser_origin.is_local_name(headers.get("host", ""), listening):
            raise PermissionDeniedError("the Host header must be an IP address or localhost")
