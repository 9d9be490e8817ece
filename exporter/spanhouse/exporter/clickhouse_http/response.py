"""Responses as ClickHouse's HTTP interface gives them: status, headers, body."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import lz4.frame

from spanhouse.exporter.clickhouse_http.connection import Result
from spanhouse.exporter.clickhouse_http.errors import AUTHENTICATION_FAILED, TOO_MANY_SIMULTANEOUS_QUERIES, EngineError

_SERVER_NAME: Final = "spanhouse"
_TEXT: Final = "text/plain; charset=UTF-8"
_JSON_LINES: Final = "application/x-ndjson; charset=UTF-8"
_GZIP_LEVEL: Final = 1
_ENCODINGS: Final = ("lz4", "gzip")
"""What responses can be compressed with, the cheaper first."""

# By the format's first letters, the first that fits; what none fits is binary.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole response. Header values are ours or checked: none can hold a line break."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers as ASGI takes them."""
        headers = {
            "content-type": _TEXT,
            "x-clickhouse-server-display-name": _SERVER_NAME,
            "x-content-type-options": "nosniff",
            **self.headers,
            "content-length": str(len(self.body)),
        }
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def of_result(result: Result, *, query_id: str, timezone: str, accepts: str) -> Response:
    """The response to a query that succeeded.

    Args:
        result: what it gave.
        query_id: its id.
        timezone: the engine's.
        accepts: Accept-Encoding of a client that wants compression, else ''.
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
    body = result.body
    if body and (encoding := _encoding(accepts)) is not None:
        headers["content-encoding"] = encoding
        body = _compress(body, encoding)
    return Response(headers=headers, body=body)


def of_error(error: EngineError, *, query_id: str, version: str) -> Response:
    """The response to a query that failed."""
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
    """The cheapest encoding of ours that the client takes; None for none."""
    taken = set()
    for item in accepts.lower().split(","):
        name, _, quality = item.partition(";")
        if quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            taken.add(name.strip())
    return next((encoding for encoding in _ENCODINGS if encoding in taken), None)


def _compress(body: bytes, encoding: str) -> bytes:
    if encoding == "lz4":
        packed: bytes = lz4.frame.compress(body)
        return packed
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return packer.compress(body) + packer.flush()
