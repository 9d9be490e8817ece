"""Responses of ClickHouse's HTTP interface: status, headers, body."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import lz4.frame

from spanhouse.exporter.clickhouse_http import compressed_blocks
from spanhouse.exporter.clickhouse_http.engine_connection import Result
from spanhouse.exporter.clickhouse_http.engine_errors import AUTHENTICATION_FAILED, TOO_MANY_SIMULTANEOUS_QUERIES, EngineError

_SERVER_NAME: Final = "spanhouse"
_TEXT: Final = "text/plain; charset=UTF-8"
_JSON_LINES: Final = "application/x-ndjson; charset=UTF-8"
_GZIP_LEVEL: Final = 1
_ENCODINGS: Final = ("lz4", "gzip")
"""Supported encodings, the cheapest first."""

# By prefix of the format's name, first match; other formats are binary.
_CONTENT_TYPES: Final = (
    ("JSONEachRow", _JSON_LINES),
    ("JSONCompactEachRow", _JSON_LINES),
    ("JSONCompactStringsEachRow", _JSON_LINES),
    ("JSONStringsEachRow", _JSON_LINES),
    ("JSONLines", _JSON_LINES),
    ("NDJSON", _JSON_LINES),
    ("JSON", "application/json; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8; header=absent"),
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    ("TSKV", "text/tab-separated-values; charset=UTF-8"),
    ("XML", "application/xml; charset=UTF-8"),
    ("Pretty", _TEXT),
    ("Vertical", _TEXT),
    ("Values", _TEXT),
    ("Markdown", "text/markdown; charset=UTF-8"),
    ("SQLInsert", _TEXT),
    ("LineAsString", _TEXT),
    ("Prometheus", "text/plain; version=0.0.4; charset=UTF-8"),
)


class ResponseCompressor:
    """Compressor of a response's body, piece by piece.

    Attributes:
        encoding: value of Content-Encoding; None for no compression.
    """

    def __init__(self, accepts: str, *, in_blocks: bool = False) -> None:
        """Choose the cheapest encoding that the client accepts.

        Args:
            accepts: Accept-Encoding of a client that wants compression, else ''.
            in_blocks: compress into ClickHouse's blocks first.
        """
        self.encoding = _encoding(accepts)
        self._in_blocks = in_blocks
        self._gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        self._lz4 = lz4.frame.LZ4FrameCompressor()

    def begin(self) -> bytes:
        """Return the bytes before the first piece."""
        return bytes(self._lz4.begin()) if self.encoding == "lz4" else b""

    def compress(self, piece: bytes) -> bytes:
        """Return the next compressed bytes; some may follow with later pieces."""
        if self._in_blocks:
            piece = compressed_blocks.compress(piece)
        match self.encoding:
            case "lz4":
                return bytes(self._lz4.compress(piece))
            case "gzip":
                return self._gzip.compress(piece)
        return piece

    def end(self) -> bytes:
        """Return the bytes after the last piece."""
        match self.encoding:
            case "lz4":
                return bytes(self._lz4.flush())
            case "gzip":
                return self._gzip.flush()
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Response. Header values are constants or checked, so none contains a line break.

    Attributes:
        status: HTTP status.
        headers: by lower-case name.
        body: the whole body; None if it is streamed.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = b""

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers in ASGI's form."""
        headers = {
            "content-type": _TEXT,
            "x-clickhouse-server-display-name": _SERVER_NAME,
            "x-content-type-options": "nosniff",
            **self.headers,
        }
        if self.body is not None:
            headers["content-length"] = str(len(self.body))
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def of_result(result: Result, *, query_id: str, timezone: str, compressor: ResponseCompressor, whole: bool = True) -> Response:
    """Make the response of a query that succeeded.

    Args:
        result: of the query.
        query_id: of the query.
        timezone: the engine's.
        compressor: of the body.
        whole: the result is complete; if not, the caller sends the body.
    """
    summary = {
        "read_rows": result.read_rows,
        "read_bytes": result.read_bytes,
        "written_rows": 0,
        "written_bytes": 0,
        "total_rows_to_read": 0,
        "result_rows": result.rows,
        "result_bytes": len(result.body),
        "elapsed_ns": int(result.elapsed_seconds * 1e9),
    }
    headers = {
        "content-type": _content_type(result.output_format),
        "x-clickhouse-query-id": query_id,
        "x-clickhouse-format": result.output_format,
        "x-clickhouse-timezone": timezone,
        "x-clickhouse-summary": json.dumps({name: str(number) for name, number in summary.items()}, separators=(",", ":")),
    }
    if compressor.encoding is not None and (result.body or not whole):
        headers["content-encoding"] = compressor.encoding
    if not whole:
        return Response(headers=headers, body=None)
    return Response(headers=headers, body=compressor.begin() + compressor.compress(result.body) + compressor.end() if result.body else b"")


def of_error(error: EngineError, *, query_id: str, version: str) -> Response:
    """Make the response of a query that failed."""
    headers = {"x-clickhouse-exception-code": str(error.code), "x-clickhouse-query-id": query_id}
    if error.code == AUTHENTICATION_FAILED:
        headers["www-authenticate"] = 'Basic realm="spanhouse"'
    if error.code == TOO_MANY_SIMULTANEOUS_QUERIES:
        headers["retry-after"] = "1"
    return Response(status=error.http_status, headers=headers, body=f"{error} (version {version})\n".encode())


def _content_type(output_format: str) -> str:
    if output_format.endswith("WithNames") and output_format.startswith("CSV"):
        return "text/csv; charset=UTF-8; header=present"
    return next((content for start, content in _CONTENT_TYPES if output_format.startswith(start)), "application/octet-stream")


def _encoding(accepts: str) -> str | None:
    """Return the cheapest supported encoding that the client accepts; None without one."""
    taken = set()
    for item in accepts.lower().split(","):
        name, _, quality = item.partition(";")
        if quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            taken.add(name.strip())
    return next((encoding for encoding in _ENCODINGS if encoding in taken), None)
