"""Bodies of queries: unpacked while they arrive, and no further than a statement or a form may go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from spanhouse.exporter.clickhouse_http import blocks
from spanhouse.exporter.clickhouse_http.errors import (
    CANNOT_DECOMPRESS,
    QUERY_IS_TOO_LARGE,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    UNKNOWN_COMPRESSION_METHOD,
    EngineError,
)
from spanhouse.exporter.clickhouse_http.request import is_form, is_on
from spanhouse.exporter.errors import InvalidRequestError, UnavailableError, UnsupportedMediaTypeError
from spanhouse.exporter.transport.content_encoding import QUERY_CODINGS, Unpacker
from spanhouse.exporter.transport.http_intake import Receive

MAX_BODY_BYTES: Final = 8 << 20
"""Of any body, as it comes and unpacked. A statement alone may have less; this leaves room for the fields of a form."""
_LONG_STEP_BYTES: Final = 256 * 1024
"""After unpacking so much at once others get their turn."""


async def read_body(
    receive: Receive,
    fields: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    statement_bytes: int,
    take: Callable[[int], None],
) -> bytes | None:
    """Read a request's body and unpack it.

    Of a body that is a statement as it stands, one byte more than a statement may have is read: it is enough to see what is too long.

    Args:
        receive: gives the body in pieces.
        fields: of the URL.
        headers: by lower-case name.
        statement_bytes: longest statement.
        take: told of the bytes that are held; raises UnavailableError when memory is short.

    Returns:
        The body, None if the client leaves.

    Raises:
        EngineError: it is too large, not what its encoding says, or more than fits in memory now.
    """
    try:
        if not is_on(fields, "decompress"):
            enough = None if is_form(headers) else statement_bytes + 1
            return await _unpacked(receive, headers.get("content-encoding", ""), take, enough=enough)
        packed = await _unpacked(receive, headers.get("content-encoding", ""), take)
        if packed is None:
            return None
        body = blocks.unpack(packed, MAX_BODY_BYTES, too_large)
        take(len(body))
    except UnavailableError as error:
        raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries: {error.message}") from None
    except UnsupportedMediaTypeError:
        message = "Unknown Content-Encoding of the request: use gzip, deflate, zstd or lz4"
        raise EngineError(UNKNOWN_COMPRESSION_METHOD, message) from None
    except InvalidRequestError:
        raise _broken() from None
    return body


async def _unpacked(receive: Receive, coding: str, take: Callable[[int], None], *, enough: int | None = None) -> bytes | None:
    """Unpack a body, or its first ``enough`` bytes; None if the client leaves."""
    unpacker = Unpacker(coding, QUERY_CODINGS)
    steps: list[bytes] = []
    received = unpacked = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        received += len(piece)
        for whole_step in unpacker.unpack(piece):
            step = whole_step if enough is None else whole_step[: enough - unpacked]
            unpacked += len(step)
            if max(received, unpacked) > MAX_BODY_BYTES:
                raise too_large()
            take(len(step))
            steps.append(step)
            if unpacked == enough:
                return b"".join(steps)
            if len(step) >= _LONG_STEP_BYTES:
                await asyncio.sleep(0)
    if not unpacker.complete:
        raise _broken()
    return b"".join(steps)


def too_large() -> EngineError:
    """The error of a body beyond ``MAX_BODY_BYTES``."""
    return EngineError(QUERY_IS_TOO_LARGE, f"The request's body is larger than {MAX_BODY_BYTES} bytes")


def _broken() -> EngineError:
    return EngineError(CANNOT_DECOMPRESS, "The request's body is not in the form that its Content-Encoding names")
