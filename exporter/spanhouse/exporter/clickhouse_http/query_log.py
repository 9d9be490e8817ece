"""Query log: one line of JSON for each query with its token and cost, in a file of bounded size.

The embedded engine keeps no ``system.query_log``.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_FILE_BYTES: Final = 8 << 20
"""Limit of the current file; the previous one is kept beside it."""
_STATEMENT_CHARACTERS: Final = 16_000


class Logged(StrEnum):
    """Level of detail of logged statements."""

    OFF = "off"
    """No log."""
    SHAPE = "shape"
    """The statement with ``?`` for every number and string, without its parameters; nothing of one that can't be parsed."""
    FULL = "full"
    """The statement as received, and its parameters."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """Log entry of one query, filled in while it runs.

    Attributes:
        query_id: the client's, or a generated one.
        token_name: name of the token; '' where none is required.
        shape: the statement without its values; '' if it could not be parsed.
        statement: as received.
        parameters: as received.
        code: ClickHouse's error code, 0 for none.
        seconds: from its arrival until its result was sent.
        rows: of the result.
        read_rows: rows read by the query.
        read_bytes: bytes read by the query, uncompressed.
        result_bytes: of the result, before compression.
    """

    query_id: str = ""
    token_name: str = ""
    shape: str = ""
    statement: bytes = b""
    parameters: Mapping[str, str] = field(default_factory=dict)
    code: int = 0
    seconds: float = 0.0
    rows: int = 0
    read_rows: int = 0
    read_bytes: int = 0
    result_bytes: int = 0


class QueryLog:
    """Log file with one rotation; thread-safe.

    Args:
        path: of the file; the previous one gets the suffix ``.1``.
        logged: level of detail of statements.
    """

    def __init__(self, path: Path, logged: Logged) -> None:
        self._path = path
        self._logged = logged
        self._lock = threading.Lock()

    def write(self, entry: Entry) -> None:
        """Add a query. On a write error the line is lost, with a warning in the server's log."""
        if self._logged is Logged.OFF:
            return
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "query_id": entry.query_id,
            "token": entry.token_name,
            "code": entry.code,
            "seconds": round(entry.seconds, 6),
            "rows": entry.rows,
            "read_rows": entry.read_rows,
            "read_bytes": entry.read_bytes,
            "result_bytes": entry.result_bytes,
        }
        if self._logged is Logged.FULL:
            line |= {"statement": entry.statement.decode(errors="replace")[:_STATEMENT_CHARACTERS], "parameters": dict(entry.parameters)}
        else:
            line["shape"] = entry.shape[:_STATEMENT_CHARACTERS]
        try:
            self._append(json.dumps(line).encode() + b"\n")
        except OSError as error:
            _log.warning("the query log %s can't be written: %s", self._path, error.strerror)

    def _append(self, line: bytes) -> None:
        with self._lock:
            if self._path.exists() and self._path.stat().st_size + len(line) > _FILE_BYTES:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
                file.write(line)
