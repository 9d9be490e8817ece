"""``/livez``, ``/readyz`` and ``/metrics``, in front of OTLP over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from spanhouse.exporter import metrics
from spanhouse.exporter.access.tokens import Right, Tokens
from spanhouse.exporter.errors import ExportError
from spanhouse.exporter.readiness import Readiness
from spanhouse.exporter.transport.asgi_responses import JSON, answer, answer_error
from spanhouse.exporter.transport.http_intake import App, Receive, Send

_TEXT: Final = "text/plain; charset=utf-8"
_UNCACHED: Final = ((b"cache-control", b"no-store"),)


class Operations:
    """An ASGI application around another that answers an operator's three paths itself.

    ``/livez`` answers 200 as long as the process answers at all. ``/readyz`` answers 200 if requests are taken, else 503; its JSON says what
    is not ready: ``{"ready": false, "not_ready": {"spool": "full: ..."}}``. ``/metrics`` has Prometheus' text. It needs a token with the right
    to read where tokens are asked for, the other two need none.

    Web pages of other origins can't read the answers. One that makes its own name lead here (DNS rebinding) could; there is nothing but
    counters and the state of the server in them, and the request would change nothing.
    """

    def __init__(self, app: App, readiness: Readiness, tokens: Callable[[], Tokens | None]) -> None:
        """Make the application.

        Args:
            app: answers all else.
            readiness: what ``/readyz`` says.
            tokens: the tokens that hold now; None if everybody who gets here is let in.
        """
        self._app = app
        self._readiness = readiness
        self._tokens = tokens
        self._paths = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = self._paths.get(scope["path"])
        if path is None:
            await self._app(scope, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await answer(send, 405, b"only GET and HEAD are answered here\n", _TEXT, [(b"allow", b"GET, HEAD")])
        else:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            try:
                status, body, content_type = path(headers)
            except ExportError as error:
                await answer_error(send, JSON, error)
            else:
                await answer(send, status, body, content_type, _UNCACHED)

    def _livez(self, _: dict[str, str]) -> tuple[int, bytes, str]:
        return 200, b"ok\n", _TEXT

    def _readyz(self, _: dict[str, str]) -> tuple[int, bytes, str]:
        problems = self._readiness.problems
        body = json.dumps({"ready": not problems, "not_ready": dict(problems)}) + "\n"
        return 503 if problems else 200, body.encode(), JSON

    def _metrics(self, headers: dict[str, str]) -> tuple[int, bytes, str]:
        if (tokens := self._tokens()) is not None:
            tokens.require(Right.READ, headers.get)
        return 200, *metrics.exposition(headers.get("accept", ""))
