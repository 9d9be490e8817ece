"""Bodies of queries: decompressed as they arrive, up to the limit of a statement or form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from spanhouse.exporter.clickhouse_http import compressed_blocks
from spanhouse.exporter.clickhouse_http.engine_errors import (
    CANNOT_DECOMPRESS,
    QUERY_IS_TOO_LARGE,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    UNKNOWN_COMPRESSION_METHOD,
    EngineError,
)
from spanhouse.exporter.clickhouse_http.request import is_form, is_on
from spanhouse.exporter.errors import InvalidRequestError, UnavailableError, UnsupportedMediaTypeError
from spanhouse.exporter.transport.asgi import Receive
from spanhouse.exporter.transport.body_reader import read_body
from spanhouse.exporter.transport.content_encoding import QUERY_CODINGS, Decompressor

MAX_BODY_BYTES: Final = 8 << 20
"""Limit of any body, both as received and decompressed. A bare statement has a lower limit; this leaves room for the fields of a form."""


async def read_query_body(
    receive: Receive,
    fields: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    statement_bytes: int,
    take: Callable[[int], None],
) -> bytes | None:
    """Read a request's body and decompress it.

    If the body is a bare statement, reading stops one byte past the statement limit, which is enough to refuse it.

    Args:
        receive: ASGI's.
        fields: of the URL.
        headers: by lower-case name.
        statement_bytes: limit of a statement.
        take: reserves memory; raises UnavailableError when memory is short.

    Returns:
        The body; None if the client disconnects.

    Raises:
        EngineError: the body is too large, does not match its encoding, or does not fit in memory now.
    """
    in_blocks = is_on(fields, "decompress")
    enough = None if in_blocks or is_form(headers) else statement_bytes + 1
    try:
        decompressor = Decompressor(headers.get("content-encoding", ""), QUERY_CODINGS)
        body = await read_body(receive, decompressor, limit_bytes=MAX_BODY_BYTES, too_large=too_large, take=take, enough=enough)
        if body is not None and in_blocks:
            body = compressed_blocks.decompress(body, MAX_BODY_BYTES, too_large)
            take(len(body))
    except UnavailableError as error:
        raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries: {error.message}") from None
    except UnsupportedMediaTypeError:
        message = "Unknown Content-Encoding of the request: use gzip, deflate, zstd or lz4"
        raise EngineError(UNKNOWN_COMPRESSION_METHOD, message) from None
    except InvalidRequestError:
        raise EngineError(CANNOT_DECOMPRESS, "The request's body is not valid for its Content-Encoding") from None
    return body


def too_large() -> EngineError:
    """Return the error of a body over ``MAX_BODY_BYTES``."""
    return EngineError(QUERY_IS_TOO_LARGE, f"The request's body is larger than {MAX_BODY_BYTES} bytes")
