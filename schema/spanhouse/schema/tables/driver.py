"""What the rest of this room needs of a driver, and the error it raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Execute(Protocol):
    """Runs one statement with bound parameters and returns its rows; none for a statement without result."""

    def __call__(self, sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[object]]:
        """Run it."""
        ...


class MigrationError(Exception):
    """The store's tables are not in a state from which this version can go on. One line, says what to do."""


def number(value: object) -> int:
    """A cell of a row that holds a whole number, whatever the driver makes of it."""
    return int(str(value))
