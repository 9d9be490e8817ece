"""ClickHouse's errors: code, text, HTTP status."""

from __future__ import annotations

import re
from typing import Final, Self

from spanhouse.schema.tables.error_codes import ClickHouseErrorCode

BAD_ARGUMENTS: Final = ClickHouseErrorCode.BAD_ARGUMENTS
CHECKSUM_DOESNT_MATCH: Final = ClickHouseErrorCode.CHECKSUM_DOESNT_MATCH
UNKNOWN_FUNCTION: Final = ClickHouseErrorCode.UNKNOWN_FUNCTION
NOT_IMPLEMENTED: Final = ClickHouseErrorCode.NOT_IMPLEMENTED
UNKNOWN_TABLE: Final = ClickHouseErrorCode.UNKNOWN_TABLE
SYNTAX_ERROR: Final = ClickHouseErrorCode.SYNTAX_ERROR
UNKNOWN_FORMAT: Final = ClickHouseErrorCode.UNKNOWN_FORMAT
UNKNOWN_DATABASE: Final = ClickHouseErrorCode.UNKNOWN_DATABASE
UNKNOWN_COMPRESSION_METHOD: Final = ClickHouseErrorCode.UNKNOWN_COMPRESSION_METHOD
READONLY: Final = ClickHouseErrorCode.READONLY
TOO_MANY_SIMULTANEOUS_QUERIES: Final = ClickHouseErrorCode.TOO_MANY_SIMULTANEOUS_QUERIES
QUERY_IS_TOO_LARGE: Final = ClickHouseErrorCode.QUERY_IS_TOO_LARGE
MEMORY_LIMIT_EXCEEDED: Final = ClickHouseErrorCode.MEMORY_LIMIT_EXCEEDED
CANNOT_DECOMPRESS: Final = ClickHouseErrorCode.CANNOT_DECOMPRESS
TOO_DEEP_RECURSION: Final = ClickHouseErrorCode.TOO_DEEP_RECURSION
QUERY_WAS_CANCELLED: Final = ClickHouseErrorCode.QUERY_WAS_CANCELLED
UNKNOWN_QUERY_PARAMETER: Final = ClickHouseErrorCode.UNKNOWN_QUERY_PARAMETER
ACCESS_DENIED: Final = ClickHouseErrorCode.ACCESS_DENIED
AUTHENTICATION_FAILED: Final = ClickHouseErrorCode.AUTHENTICATION_FAILED
UNKNOWN_EXCEPTION: Final = ClickHouseErrorCode.UNKNOWN_EXCEPTION

_NAMES: Final[dict[int, str]] = {
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
_STATUS: Final[dict[int, int]] = {
    **dict.fromkeys(
        (
            ClickHouseErrorCode.CANNOT_PARSE_TEXT,
            ClickHouseErrorCode.CANNOT_PARSE_QUOTED_STRING,
            ClickHouseErrorCode.CANNOT_PARSE_INPUT_ASSERTION_FAILED,
            ClickHouseErrorCode.BAD_ARGUMENTS,
            ClickHouseErrorCode.CANNOT_PARSE_DATE,
            ClickHouseErrorCode.CANNOT_PARSE_DATETIME,
            ClickHouseErrorCode.TYPE_MISMATCH,
            ClickHouseErrorCode.SYNTAX_ERROR,
            ClickHouseErrorCode.ARGUMENT_OUT_OF_BOUND,
            ClickHouseErrorCode.CANNOT_PARSE_NUMBER,
            ClickHouseErrorCode.INCORRECT_DATA,
            ClickHouseErrorCode.UNKNOWN_QUERY_PARAMETER,
            ClickHouseErrorCode.BAD_QUERY_PARAMETER,
        ),
        400,
    ),
    **dict.fromkeys(
        (
            ClickHouseErrorCode.NO_SUCH_COLUMN_IN_TABLE,
            ClickHouseErrorCode.UNKNOWN_FUNCTION,
            ClickHouseErrorCode.UNKNOWN_IDENTIFIER,
            ClickHouseErrorCode.UNKNOWN_TYPE,
            ClickHouseErrorCode.UNKNOWN_STORAGE,
            ClickHouseErrorCode.UNKNOWN_TABLE,
            ClickHouseErrorCode.UNKNOWN_AGGREGATE_FUNCTION,
            ClickHouseErrorCode.UNKNOWN_FORMAT,
            ClickHouseErrorCode.UNKNOWN_DATABASE,
            ClickHouseErrorCode.UNKNOWN_SETTING,
        ),
        404,
    ),
    READONLY: 403,
    ACCESS_DENIED: 403,
    AUTHENTICATION_FAILED: 401,
    ClickHouseErrorCode.TIMEOUT_EXCEEDED: 408,
    QUERY_IS_TOO_LARGE: 413,
    UNKNOWN_COMPRESSION_METHOD: 415,
    CHECKSUM_DOESNT_MATCH: 400,
    CANNOT_DECOMPRESS: 400,
    TOO_DEEP_RECURSION: 400,
    NOT_IMPLEMENTED: 501,
    TOO_MANY_SIMULTANEOUS_QUERIES: 503,
}

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
