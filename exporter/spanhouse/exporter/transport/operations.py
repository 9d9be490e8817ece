"""Operator endpoints ``/livez``, ``/readyz`` and ``/metrics``, in front of OTLP over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from spanhouse.exporter import metrics
from spanhouse.exporter.access.tokens import CurrentTokens, Right
from spanhouse.exporter.errors import ExportError
from spanhouse.exporter.readiness import Readiness
from spanhouse.exporter.transport.asgi import App, Receive, Send, read_headers
from spanhouse.exporter.transport.otlp_responses import JSON, answer, answer_error

_TEXT: Final = "text/plain; charset=utf-8"
_UNCACHED: Final = ((b"cache-control", b"no-store"),)


class Operations:
    """ASGI middleware that answers the operator endpoints itself.

    ``/livez`` answers 200 while the process responds. ``/readyz`` answers 200 while requests are accepted, else 503; its JSON names the parts
    that are not ready: ``{"ready": false, "not_ready": {"spool": "full: ..."}}``. ``/metrics`` answers in Prometheus' text format. With a token
    file ``/metrics`` needs a token with the right to read, the other two need none.

    Web pages of other origins can't read the responses. A page that resolves its own name to this machine (DNS rebinding) could, but they hold
    only counters and the server's state, and the requests change nothing.
    """

    def __init__(self, app: App, readiness: Readiness, tokens: CurrentTokens) -> None:
        """Make the application.

        Args:
            app: answers all other paths.
            readiness: source of ``/readyz``.
            tokens: gives the current tokens; None without a token file.
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
            await answer(send, 405, b"use GET or HEAD here\n", _TEXT, [(b"allow", b"GET, HEAD")])
        else:
            try:
                status, body, content_type = path(read_headers(scope))
            except ExportError as error:
                await answer_error(send, JSON, error)
            else:
                await answer(send, status, body, content_type, _UNCACHED)

    def _livez(self, _: Mapping[str, str]) -> tuple[int, bytes, str]:
        return 200, b"ok\n", _TEXT

    def _readyz(self, _: Mapping[str, str]) -> tuple[int, bytes, str]:
        problems = self._readiness.problems
        body = json.dumps({"ready": not problems, "not_ready": dict(problems)}) + "\n"
        return 503 if problems else 200, body.encode(), JSON

    def _metrics(self, headers: Mapping[str, str]) -> tuple[int, bytes, str]:
        if (tokens := self._tokens()) is not None:
            tokens.require(Right.READ, headers.get)
        return 200, *metrics.exposition(headers.get("accept", ""))
