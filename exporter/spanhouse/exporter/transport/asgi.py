"""ASGI seam of the HTTP applications: types, header decoding, whole responses, the check of Origin and Host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from spanhouse.exporter.access.browser_origin import is_cross_origin, is_local_name
from spanhouse.exporter.errors import PermissionDeniedError

Scope = Mapping[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
RawHeaders = Iterable[tuple[bytes, bytes]]


def read_headers(scope: Scope) -> dict[str, str]:
    """Return the request's headers by lower-case name; of repeated ones the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def first_header(scope: Scope, name: bytes) -> str | None:
    """Return one header by its lower-case name, the first of repeated ones; None if the request lacks it."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def respond(send: Send, status: int, headers: RawHeaders, body: bytes = b"") -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def check_browser(scope: Scope, headers: Mapping[str, str], *, any_host: bool) -> None:
    """Refuse requests that a browser sends for a page of another origin (CSRF, DNS rebinding).

    Args:
        scope: of the request.
        headers: by lower-case name.
        any_host: accept any Host header, as where a token is required: a rebound page has none.

    Raises:
        PermissionDeniedError: the request comes from such a page, or could.
    """
    if is_cross_origin(headers):
        raise PermissionDeniedError("requests from web pages of other origins are refused")
    listening, _ = scope.get("server") or ("", 0)
    if not any_host and not is_local_name(headers.get("host", ""), listening):
        raise PermissionDeniedError("the Host header must be an IP address or localhost")
