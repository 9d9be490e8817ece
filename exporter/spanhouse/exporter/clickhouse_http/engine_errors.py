"""ClickHouse's errors: code, text, HTTP status."""

from __future__ import annotations

import re
from typing import Final, Self

BAD_ARGUMENTS: Final = 36
CHECKSUM_DOESNT_MATCH: Final = 40
UNKNOWN_FUNCTION: Final = 46
NOT_IMPLEMENTED: Final = 48
UNKNOWN_TABLE: Final = 60
SYNTAX_ERROR: Final = 62
UNKNOWN_FORMAT: Final = 73
UNKNOWN_DATABASE: Final = 81
UNKNOWN_COMPRESSION_METHOD: Final = 89
READONLY: Final = 164
TOO_MANY_SIMULTANEOUS_QUERIES: Final = 202
QUERY_IS_TOO_LARGE: Final = 229
MEMORY_LIMIT_EXCEEDED: Final = 241
CANNOT_DECOMPRESS: Final = 271
TOO_DEEP_RECURSION: Final = 306
QUERY_WAS_CANCELLED: Final = 394
UNKNOWN_QUERY_PARAMETER: Final = 456
ACCESS_DENIED: Final = 497
AUTHENTICATION_FAILED: Final = 516
UNKNOWN_EXCEPTION: Final = 1002

_NAMES: Final = {
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    CHECKSUM_DOESNT_MATCH: "CHECKSUM_DOESNT_MATCH",
    UNKNOWN_FUNCTION: "UNKNOWN_FUNCTION",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    UNKNOWN_TABLE: "UNKNOWN_TABLE",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNKNOWN_FORMAT: "UNKNOWN_FORMAT",
    UNKNOWN_DATABASE: "UNKNOWN_DATABASE",
    UNKNOWN_COMPRESSION_METHOD: "UNKNOWN_COMPRESSION_METHOD",
    READONLY: "READONLY",
    TOO_MANY_SIMULTANEOUS_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    MEMORY_LIMIT_EXCEEDED: "MEMORY_LIMIT_EXCEEDED",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    TOO_DEEP_RECURSION: "TOO_DEEP_RECURSION",
    QUERY_WAS_CANCELLED: "QUERY_WAS_CANCELLED",
    UNKNOWN_QUERY_PARAMETER: "UNKNOWN_QUERY_PARAMETER",
    ACCESS_DENIED: "ACCESS_DENIED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    UNKNOWN_EXCEPTION: "UNKNOWN_EXCEPTION",
}

# ClickHouse's mapping (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp) with three differences: a refused statement is 403 (there 500), a missing
# token is 401, so that a browser or curl asks for one (there 403), and a full queue is 503 (there 500).
_STATUS: Final = (
    dict.fromkeys((6, 26, 27, 36, 38, 41, 53, 62, 69, 72, 117, 456, 457), 400)
    | dict.fromkeys((16, 46, 47, 50, 56, 60, 63, 73, 81, 115), 404)
    | {
        READONLY: 403,
        ACCESS_DENIED: 403,
        AUTHENTICATION_FAILED: 401,
        159: 408,
        QUERY_IS_TOO_LARGE: 413,
        UNKNOWN_COMPRESSION_METHOD: 415,
        CHECKSUM_DOESNT_MATCH: 400,
        CANNOT_DECOMPRESS: 400,
        TOO_DEEP_RECURSION: 400,
        NOT_IMPLEMENTED: 501,
        TOO_MANY_SIMULTANEOUS_QUERIES: 503,
    }
)

_ENGINE_TEXT: Final = re.compile(r"Code: (\d+)\. DB::Exception: (.*)\Z", re.DOTALL)
_VERSION: Final = re.compile(r" \(version [0-9.]+\)")
# The statement is parsed as a function's argument; this part of a message is about that call and is removed.
_OUR_CALL: Final = ": In scope WITH formatQuerySingleLine("


class EngineError(Exception):
    """Failure of a query.

    Attributes:
        code: ClickHouse's error code.
        message: description, ending in the error's name in parentheses.
    """

    def __init__(self, code: int, message: str) -> None:
        name = _NAMES.get(code)
        self.code = code
        self.message = message if name is None or f"({name})" in message else f"{message} ({name})"
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"Code: {self.code}. DB::Exception: {self.message}"

    @property
    def http_status(self) -> int:
        """HTTP status of the response."""
        return _STATUS.get(self.code, 500)

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Convert an exception of the engine, which has ``Code: N`` in its text."""
        matched = _ENGINE_TEXT.search(str(error))
        if matched is None:
            return cls(UNKNOWN_EXCEPTION, f"the engine failed: {error}")
        text, ours, rest = _VERSION.sub("", matched[2]).partition(_OUR_CALL)
        if ours:
            text += rest[rest.rindex(" (") :] if rest.endswith(")") else ""
        while (nested := _ENGINE_TEXT.match(text)) is not None:
            text = nested[2]
        return cls(int(matched[1]), text)


class QueryRefusedError(EngineError):
    """Refusal of a statement that the endpoint does not run: one line that names the part not allowed."""
