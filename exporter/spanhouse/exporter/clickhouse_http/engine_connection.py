"""One connection to the embedded engine that can only read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from spanhouse.exporter.clickhouse_http.errors import EngineError

_JSON_ROWS: Final = "JSONCompactEachRow"
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a query gave, or a piece of it.

    Attributes:
        body: the rows in ``output_format``.
        output_format: name of the format.
        rows: rows of the result.
        read_rows: rows read for it.
        read_bytes: bytes read for it, uncompressed.
        elapsed_seconds: time in the engine.
    """

    body: bytes
    output_format: str
    rows: int = 0
    read_rows: int = 0
    read_bytes: int = 0
    elapsed_seconds: float = 0.0


class Connection:
    """A handle of the engine with its limits set; for one thread."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def run(self, sql: str, output_format: str, parameters: Mapping[str, str]) -> Result:
        """Run one statement.

        Raises:
            EngineError: it failed.
        """
        try:
            result = self._handle.query(sql, output_format, params=dict(parameters))
        except Exception as error:  # noqa: BLE001  # the engine's errors are of several classes; all carry a code
            raise EngineError.of(error) from None
        return _result(result, output_format)

    def stream(self, sql: str, output_format: str, parameters: Mapping[str, str]) -> Iterator[Result]:
        """Run one SELECT and give its result block by block, each when the one before was taken. Whoever stops early ends the query.

        Raises:
            EngineError: it failed.
        """
        try:
            with self._handle.send_query(sql, output_format, params=dict(parameters)) as blocks:
                for block in blocks:
                    yield _result(block, output_format)
        except Exception as error:  # noqa: BLE001  # as above
            raise EngineError.of(error) from None

    def through_file(self, sql: str, output_format: str, parameters: Mapping[str, str], directory: Path) -> Iterator[Result]:
        """Run one SELECT whose result has a beginning or an end, and give it piece by piece; the first tells what it cost.

        The engine formats such a result in one go, so it goes to a file without a name, which takes no memory.

        Args:
            sql: without FORMAT.
            output_format: of the result.
            parameters: of the statement.
            directory: on whose disk the result is for the time being.

        Raises:
            EngineError: it failed.
        """
        with TemporaryFile(dir=directory) as file:
            # Not TRUNCATE: with that, the engine writes another file and gives it this one's name.
            done = self.run(f"{sql} INTO OUTFILE '/dev/fd/{file.fileno()}' APPEND FORMAT {output_format}", output_format, parameters)
            file.seek(0)
            yield replace(done, body=file.read(_PIECE_BYTES))
            while body := file.read(_PIECE_BYTES):
                yield Result(body=body, output_format=output_format)

    def kill(self, comment: str) -> None:
        """End the queries whose text begins with a comment. Only on a connection that may do more than read.

        Raises:
            EngineError: the engine failed.
        """
        self.run("KILL QUERY WHERE startsWith(query, {comment:String}) ASYNC", _JSON_ROWS, {"comment": escape(comment)})

    def rows(self, sql: str, parameters: Mapping[str, str] | None = None) -> list[list[Any]]:
        """The rows of one of our own statements.

        Raises:
            EngineError: it failed.
        """
        body = self.run(sql, _JSON_ROWS, parameters or {}).body
        return [json.loads(line) for line in body.splitlines()]

    def close(self) -> None:
        """Close the handle."""
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


def connect(directory: str, database: str, settings: Mapping[str, str]) -> Connection:
    """Open a connection, set its settings, then ``readonly = 1``, after which nothing can be set.

    Args:
        directory: of the engine, which this process has open.
        database: where tables without a database are looked for.
        settings: by name, which is put into SQL as it is: it must come from a closed list.

    Raises:
        EngineError: a setting has a value that the engine does not take.
    """
    connection = connect_freely(directory)
    try:
        connection.run("USE {database:Identifier}", _JSON_ROWS, {"database": database})
        assignments = ", ".join(f"{name} = {{{name}:String}}" for name in settings)
        connection.run(f"SET {assignments}, readonly = 1", _JSON_ROWS, {name: escape(value) for name, value in settings.items()})
    except BaseException:
        connection.close()
        raise
    return connection


def connect_freely(directory: str) -> Connection:
    """Open a connection without limits, for statements of our own.

    Args:
        directory: of the engine, which this process has open.
    """
    # Not above: a receive process has no engine, and in others it is to be loaded after `embedded.client_arguments` was asked.
    import chdb

    return Connection(chdb.connect(directory))


def escape(text: str) -> str:
    """A value of a String parameter, written as ClickHouse reads one (TabSeparated)."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
