"""Read-only connection to the embedded engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from spanhouse.exporter.clickhouse_http.engine_errors import EngineError

_JSON_ROWS: Final = "JSONCompactEachRow"
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Result of a query, or a piece of one.

    Attributes:
        body: the rows in ``output_format``.
        output_format: name of the format.
        rows: rows of the result.
        read_rows: rows read by the query.
        read_bytes: bytes read by the query, uncompressed.
        elapsed_seconds: time in the engine.
    """

    body: bytes
    output_format: str
    rows: int = 0
    read_rows: int = 0
    read_bytes: int = 0
    elapsed_seconds: float = 0.0


class Connection:
    """Connection of the engine with its limits set; for one thread."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def run(self, sql: str, output_format: str, parameters: Mapping[str, str]) -> Result:
        """Run one statement.

        Raises:
            EngineError: the statement failed.
        """
        try:
            result = self._handle.query(sql, output_format, params=dict(parameters))
        except Exception as error:  # noqa: BLE001  # the engine raises several classes; all carry a code
            raise EngineError.of(error) from None
        return _result(result, output_format)

    def stream(self, sql: str, output_format: str, parameters: Mapping[str, str]) -> Iterator[Result]:
        """Run one SELECT and yield its result block by block, each after the previous one was consumed. Closing the iterator ends the query.

        Raises:
            EngineError: the statement failed.
        """
        try:
            with self._handle.send_query(sql, output_format, params=dict(parameters)) as blocks:
                for block in blocks:
                    yield _result(block, output_format)
        except Exception as error:  # noqa: BLE001  # as above
            raise EngineError.of(error) from None

    def through_file(self, sql: str, output_format: str, parameters: Mapping[str, str], directory: Path) -> Iterator[Result]:
        """Run one SELECT whose format has a header or footer, and yield its result in pieces; the first carries the counts.

        The engine formats such a result at once, so it goes to an unnamed file, which takes no memory.

        Args:
            sql: without FORMAT.
            output_format: of the result.
            parameters: of the statement.
            directory: of the temporary file.

        Raises:
            EngineError: the statement failed.
        """
        with TemporaryFile(dir=directory) as file:
            # Not TRUNCATE: the engine would write another file and rename it to this one.
            done = self.run(f"{sql} INTO OUTFILE '/dev/fd/{file.fileno()}' APPEND FORMAT {output_format}", output_format, parameters)
            file.seek(0)
            yield replace(done, body=file.read(_PIECE_BYTES))
            while body := file.read(_PIECE_BYTES):
                yield Result(body=body, output_format=output_format)

    def kill(self, comment: str) -> None:
        """Kill the queries whose text begins with a comment. Needs an unrestricted connection.

        Raises:
            EngineError: the engine failed.
        """
        self.run("KILL QUERY WHERE startsWith(query, {comment:String}) ASYNC", _JSON_ROWS, {"comment": escape(comment)})

    def rows(self, sql: str, parameters: Mapping[str, str] | None = None) -> list[list[Any]]:
        """Run one of the server's own statements and return its rows.

        Raises:
            EngineError: the statement failed.
        """
        body = self.run(sql, _JSON_ROWS, parameters or {}).body
        return [json.loads(line) for line in body.splitlines()]

    def close(self) -> None:
        """Close the connection."""
        self._handle.close()


def _result(result: Any, output_format: str) -> Result:
    return Result(
        body=result.bytes() or b"",
        output_format=output_format,
        rows=result.rows_read(),
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        elapsed_seconds=result.elapsed(),
    )


def merge_results(pieces: Sequence[Result]) -> Result:
    """Merge the pieces of a result, at least one."""
    return Result(
        body=b"".join(piece.body for piece in pieces),
        output_format=pieces[0].output_format,
        rows=sum(piece.rows for piece in pieces),
        read_rows=sum(piece.read_rows for piece in pieces),
        read_bytes=sum(piece.read_bytes for piece in pieces),
        elapsed_seconds=sum(piece.elapsed_seconds for piece in pieces),
    )


def connect(directory: str, database: str, settings: Mapping[str, str]) -> Connection:
    """Open a connection, set its settings, then ``readonly = 1``, which locks them.

    Args:
        directory: of the engine, which this process has open.
        database: default database of tables.
        settings: by name. Names go into SQL verbatim, so they must come from a closed list.

    Raises:
        EngineError: the engine does not accept a value.
    """
    connection = connect_unrestricted(directory)
    try:
        connection.run("USE {database:Identifier}", _JSON_ROWS, {"database": database})
        assignments = ", ".join(f"{name} = {{{name}:String}}" for name in settings)
        connection.run(f"SET {assignments}, readonly = 1", _JSON_ROWS, {name: escape(value) for name, value in settings.items()})
    except BaseException:
        connection.close()
        raise
    return connection


def connect_unrestricted(directory: str) -> Connection:
    """Open a connection without limits, for the server's own statements.

    Args:
        directory: of the engine, which this process has open.
    """
    # Imported here: a receive process has no engine, and others load it after `embedded.client_arguments`.
    import chdb

    return Connection(chdb.connect(directory))


def escape(text: str) -> str:
    """Escape the value of a String parameter, as ClickHouse reads it (TabSeparated)."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
