"""Reads the bytes of a statement: decoding, parsing, its own SETTINGS."""

from __future__ import annotations

from spanhouse.exporter.clickhouse_http import guard
from spanhouse.exporter.clickhouse_http.engine_connection import Connection
from spanhouse.exporter.clickhouse_http.engine_errors import (
    BAD_ARGUMENTS,
    QUERY_IS_TOO_LARGE,
    READONLY,
    SYNTAX_ERROR,
    EngineError,
    QueryRefusedError,
)
from spanhouse.exporter.clickhouse_http.query_settings import is_requestable
from spanhouse.exporter.clickhouse_http.syntax_tree import Statement, hoist_settings, parse


def read_statement(connection: Connection, statement: bytes, limit_bytes: int) -> tuple[Statement, dict[str, str]]:
    """Parse a statement and take its SETTINGS out.

    Args:
        connection: parses the statement.
        statement: one statement, UTF-8.
        limit_bytes: maximum length.

    Returns:
        The statement without its SETTINGS, and their values by name.

    Raises:
        QueryRefusedError: the statement is of another kind than reading, or sets a setting that queries may not set.
        EngineError: the statement is overlong, not UTF-8 or not valid SQL.
    """
    text, flaw = _decode(statement, limit_bytes)
    try:
        parsed, own = hoist_settings(connection, parse(connection, text))
    except QueryRefusedError:
        raise
    except EngineError as error:
        raise flaw or error from None
    if flaw is not None:
        guard.check_kind(parsed)
        raise flaw
    for name in own:
        if not is_requestable(name):
            raise QueryRefusedError(READONLY, f"Cannot modify setting {name[:64]!r}: queries may not set it")
    return parsed, own


def _decode(statement: bytes, limit_bytes: int) -> tuple[str, EngineError | None]:
    """Return a statement's text, and the error that keeps it from running; None if it can.

    An overlong or binary statement is usually an INSERT with its data. Its head is enough to refuse it as one.
    """
    if len(statement) > limit_bytes:
        flaw = EngineError(QUERY_IS_TOO_LARGE, f"The statement is longer than {limit_bytes} bytes")
        return _head(statement[:limit_bytes]), flaw
    if b"\0" in statement:
        return _head(statement), EngineError(SYNTAX_ERROR, "Syntax error: the statement has a NUL byte")
    try:
        return statement.decode(), None
    except UnicodeDecodeError as error:
        return _head(statement), EngineError(BAD_ARGUMENTS, f"The statement is not UTF-8: byte {error.start}")


def _head(statement: bytes) -> str:
    return statement.split(b"\0", 1)[0].decode(errors="replace")
