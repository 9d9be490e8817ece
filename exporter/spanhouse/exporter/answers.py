"""A whole ASGI answer at once."""

from __future__ import annotations

from collections.abc import Iterable

from spanhouse.exporter.bodies import Send

Headers = Iterable[tuple[bytes, bytes]]


async def answer(send: Send, status: int, body: bytes, content_type: str, extra: Headers = ()) -> None:
    """Send a response with its length and type."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
