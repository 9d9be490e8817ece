"""What was asked, by whom, and what it cost: one line of JSON a query, in a file that does not grow beyond a bound.

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
"""Of the file that is written; the one before it is kept beside it."""
_STATEMENT_CHARACTERS: Final = 16_000


class Logged(StrEnum):
    """What the log says of a statement."""

    OFF = "off"
    """There is no log."""
    SHAPE = "shape"
    """The statement with ``?`` for every number and text in it; nothing of its parameters, nor of one that can't be parsed."""
    FULL = "full"
    """The statement as it came, and its parameters."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """What is known of one query, filled in while it runs.

    Attributes:
        query_id: the client's, or ours.
        asker: name of the token; '' where none is asked for.
        shape: the statement without its values; '' if it was not parsed.
        statement: as it came.
        parameters: as they came.
        code: ClickHouse's number of the error, 0 for none.
        seconds: from when it was read to when its result was sent.
        rows: of the result.
        read_rows: rows read for it.
        read_bytes: bytes read for it, uncompressed.
        result_bytes: of the result, before it was compressed.
    """

    query_id: str = ""
    asker: str = ""
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
    """Appends to a file, for any number of threads.

    Args:
        path: of the file; the one before it gets the suffix ``.1``.
        logged: what is said of statements.
    """

    def __init__(self, path: Path, logged: Logged) -> None:
        self._path = path
        self._logged = logged
        self._lock = threading.Lock()

    def write(self, entry: Entry) -> None:
        """Add a query. A file that can't be written costs the line, and a warning in the server's log."""
        if self._logged is Logged.OFF:
            return
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "query_id": entry.query_id,
            "token": entry.asker,
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
