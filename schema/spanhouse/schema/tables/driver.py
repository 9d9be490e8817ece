"""Interface to a database driver, its adapter, helpers for the cells of its rows, and the error of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

_LINE_CHARACTERS: Final = 300


class Execute(Protocol):
    """Function that runs one statement with bound parameters and returns its rows; none for a statement without result."""

    def __call__(self, sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[object]]:
        """Run the statement."""
        ...


class QueryResult(Protocol):
    """Answer of a driver's client to a query."""

    @property
    def result_rows(self) -> Sequence[Sequence[Any]]:
        """Rows of the answer."""
        ...


class Client(Protocol):
    """Client of a driver, as clickhouse-connect has it."""

    def query(self, query: str, /, *, parameters: dict[str, Any]) -> QueryResult:
        """Run one statement with bound parameters."""
        ...


class MigrationError(Exception):
    """The state of the store's tables stops the operation. One line, with the remedy."""


def execute_of(client: Client) -> Execute:
    """Return the function that runs statements by a client."""

    def execute(sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[Any]]:
        return client.query(sql, parameters=dict(parameters or {})).result_rows

    return execute


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, shortened; the name of its class where it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:_LINE_CHARACTERS]


def number(value: object) -> int:
    """Return the whole number in a cell of a row; drivers differ in its type."""
    return int(str(value))


def items(cell: object) -> Sequence[object]:
    """Return the items of an array in a cell of a row."""
    return cell if isinstance(cell, Sequence) else ()
