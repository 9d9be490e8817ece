"""A checked query on a connection: how its result comes out of the engine."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from spanhouse.exporter.clickhouse_http.engine_connection import Connection, Result
from spanhouse.exporter.clickhouse_http.formats import is_by_row
from spanhouse.exporter.clickhouse_http.running_query import Running
from spanhouse.exporter.clickhouse_http.syntax_tree import Statement

_TOTALS = "WITH TOTALS"
_AFTER_ROWS = frozenset({"extremes"})


class Way(Enum):
    """How a result comes out."""

    AT_ONCE = auto()
    """Whole, in memory: what describes tables and statements is small."""
    BY_BLOCK = auto()
    """Block after block, each when the one before was taken."""
    THROUGH_FILE = auto()
    """Whole, on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query that may run.

    Attributes:
        text: one statement, without FORMAT.
        output_format: of the result.
        parameters: of the statement.
        way: how the result comes out.
        database: where tables without a database are looked for.
        settings: that the client asks for.
    """

    text: str
    output_format: str
    parameters: Mapping[str, str]
    way: Way
    database: str
    settings: Mapping[str, str]

    def run(self, connection: Connection, running: Running, scratch: Path) -> Generator[Result]:
        """The result in pieces.

        Args:
            connection: with the query's settings.
            running: who wants the query to end says so there.
            scratch: a directory for results on the disk.

        Raises:
            EngineError: it failed, or nobody waits for it.
        """
        running.check()
        sql = running.mark(self.text)
        match self.way:
            case Way.AT_ONCE:
                yield running.count(connection.run(sql, self.output_format, self.parameters))
            case Way.BY_BLOCK:
                yield from map(running.count, connection.stream(sql, self.output_format, self.parameters))
            case Way.THROUGH_FILE:
                yield from map(running.count, connection.through_file(sql, self.output_format, self.parameters, scratch))


def way_of(statement: Statement, output_format: str, settings: Mapping[str, str], *, whole: bool) -> Way:
    """How the result of a statement comes out.

    Args:
        statement: as it was parsed.
        output_format: of the result.
        settings: that the client asks for.
        whole: the client wants to know before the first row how the query ends, and all that was read for it.
    """
    if statement.tree["type"] != "SelectWithUnionQuery" or statement.prefix:
        return Way.AT_ONCE
    # What follows the rows is no row, and would be lost between blocks.
    if not whole and is_by_row(output_format) and _TOTALS not in statement.text and not settings.keys() & _AFTER_ROWS:
        return Way.BY_BLOCK
    return Way.THROUGH_FILE
