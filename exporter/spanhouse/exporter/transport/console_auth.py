"""Authorization in front of the JSON API: tokens with rights, no web pages of other origins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from spanhouse.exporter.access.tokens import CurrentTokens, Right
from spanhouse.exporter.errors import ExportError, UnauthenticatedError
from spanhouse.exporter.transport.asgi import App, Receive, Scope, Send, check_browser, read_headers
from spanhouse.exporter.transport.otlp_responses import JSON, answer

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class ConsoleAuth:
    """ASGI middleware around the JSON API. GET and HEAD need the right to read, other methods the right to write.

    Without a token file every process on this machine may do both, but no web page may: neither one of another origin, nor one that resolves
    its own host name to this machine (DNS rebinding).

    Args:
        app: the JSON API.
        tokens: gives the current tokens; None without a token file.
    """

    def __init__(self, app: App, tokens: CurrentTokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            self._check(scope, read_headers(scope))
        except ExportError as error:
            extra = [(b"www-authenticate", b'Basic realm="spanhouse"')] if isinstance(error, UnauthenticatedError) else []
            await answer(send, error.http_status, json.dumps({"error": error.message}).encode() + b"\n", JSON, extra)
        else:
            await self._app(scope, receive, send)

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        tokens = self._tokens()
        check_browser(scope, headers, any_host=tokens is not None)
        if tokens is not None:
            tokens.require(Right.READ if scope["method"] in _SAFE_METHODS else Right.WRITE, headers.get)
