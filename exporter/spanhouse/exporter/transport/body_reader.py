"""Reads and decompresses an HTTP request body as it arrives, within a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from spanhouse.exporter.errors import InvalidRequestError
from spanhouse.exporter.transport.asgi import Receive
from spanhouse.exporter.transport.content_encoding import Decompressor

_LONG_STEP_BYTES: Final = 256 * 1024
"""Yield to the event loop after a step that decompresses to at least this."""


async def read_body(
    receive: Receive,
    decompressor: Decompressor,
    *,
    limit_bytes: int,
    too_large: Callable[[], Exception],
    take: Callable[[int], None],
    enough: int | None = None,
) -> bytes | None:
    """Read a body and decompress it.

    Args:
        receive: ASGI's.
        decompressor: of the body's content encoding.
        limit_bytes: maximum size, both as received and decompressed.
        too_large: makes the error for a larger body.
        take: reserves memory; raises UnavailableError when memory is short.
        enough: stop after this many decompressed bytes; None reads the whole body.

    Returns:
        The decompressed body; None if the client disconnects.

    Raises:
        InvalidRequestError: the body does not match its content encoding, or is truncated.
    """
    steps: list[bytes] = []
    received = decompressed = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(piece)
        for whole_step in decompressor.decompress(piece):
            step = whole_step if enough is None else whole_step[: enough - decompressed]
            decompressed += len(step)
            if max(received, decompressed) > limit_bytes:
                raise too_large()
            take(len(step))
            steps.append(step)
            if decompressed == enough:
                return b"".join(steps)
            if len(step) >= _LONG_STEP_BYTES:
                await asyncio.sleep(0)
    if not decompressor.complete:
        raise InvalidRequestError("the body is truncated: the end of its content-encoding is missing")
    return b"".join(steps)
