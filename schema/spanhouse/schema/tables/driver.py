"""Interface to a database driver, helpers for the cells of its rows, and the error of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Execute(Protocol):
    """Function that runs one statement with bound parameters and returns its rows; none for a statement without result."""

    def __call__(self, sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[object]]:
        """Run the statement."""
        ...


class MigrationError(Exception):
    """The state of the store's tables stops the operation. One line, with the remedy."""


def number(value: object) -> int:
    """Return the whole number in a cell of a row; drivers differ in its type."""
    return int(str(value))


def items(cell: object) -> Sequence[object]:
    """Return the items of an array in a cell of a row."""
    return cell if isinstance(cell, Sequence) else ()
