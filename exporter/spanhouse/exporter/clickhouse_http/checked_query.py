"""Query that passed the guard, and the way its result leaves the engine."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from spanhouse.exporter.clickhouse_http.engine_connection import Connection, Result
from spanhouse.exporter.clickhouse_http.output_formats import is_streamable
from spanhouse.exporter.clickhouse_http.running_query import RunningQuery
from spanhouse.exporter.clickhouse_http.syntax_tree import Statement

_TOTALS = "WITH TOTALS"
_AFTER_ROWS = frozenset({"extremes"})


class ResultMode(Enum):
    """Way in which a result leaves the engine."""

    IN_MEMORY = auto()
    """Whole, in memory: descriptions of tables and statements are small."""
    STREAMED = auto()
    """Block by block, each after the previous one was consumed."""
    THROUGH_FILE = auto()
    """Whole, in a file on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedQuery:
    """Query that may run.

    Attributes:
        text: one statement, without FORMAT.
        output_format: of the result.
        parameters: of the statement.
        mode: the way its result leaves the engine.
        database: default database of its tables.
        settings: requested by the client.
    """

    text: str
    output_format: str
    parameters: Mapping[str, str]
    mode: ResultMode
    database: str
    settings: Mapping[str, str]

    def run(self, connection: Connection, running: RunningQuery, scratch: Path) -> Generator[Result]:
        """Yield the result in pieces.

        Args:
            connection: with the query's settings.
            running: handle by which the query can be cancelled.
            scratch: directory of results on disk.

        Raises:
            EngineError: the query failed or was cancelled.
        """
        running.check_cancelled()
        sql = running.with_comment(self.text)
        match self.mode:
            case ResultMode.IN_MEMORY:
                yield running.count(connection.run(sql, self.output_format, self.parameters))
            case ResultMode.STREAMED:
                yield from map(running.count, connection.stream(sql, self.output_format, self.parameters))
            case ResultMode.THROUGH_FILE:
                yield from map(running.count, connection.through_file(sql, self.output_format, self.parameters, scratch))


def result_mode(statement: Statement, output_format: str, settings: Mapping[str, str], *, whole: bool) -> ResultMode:
    """Choose the way in which the result of a statement leaves the engine.

    Args:
        statement: the parsed statement.
        output_format: of the result.
        settings: requested by the client.
        whole: the client wants the outcome and the final counts before the first row.
    """
    if statement.tree["type"] != "SelectWithUnionQuery" or statement.prefix:
        return ResultMode.IN_MEMORY
    # Totals and extremes follow the rows; a streamed result would lose them.
    if not whole and is_streamable(output_format) and _TOTALS not in statement.text and not settings.keys() & _AFTER_ROWS:
        return ResultMode.STREAMED
    return ResultMode.THROUGH_FILE
