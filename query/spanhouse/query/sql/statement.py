"""SQL statements with bound parameters: the client runs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from spanhouse.query.language.predicate import Value

Parameter = str | int | float | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]
"""Value that can be bound; a tuple is sent as an Array."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with the values of its ``{name:Type}`` placeholders. ``sql`` has no text of a user."""

    sql: str
    parameters: Mapping[str, Parameter]


class Parameters:
    """Placeholders of one statement: ``p0``, ``p1``, ...; equal values of the same type share one."""

    def __init__(self) -> None:
        self._placeholders: Final[dict[tuple[str, Parameter], str]] = {}

    def add(self, value: Parameter, sql_type: str) -> str:
        """Bind a value and return its placeholder."""
        name = self._placeholders.setdefault((sql_type, value), f"p{len(self._placeholders)}")
        return f"{{{name}:{sql_type}}}"

    def text(self, value: str) -> str:
        """Bind a text."""
        return self.add(value, "String")

    def texts(self, values: tuple[str, ...]) -> str:
        """Bind a list of texts."""
        return self.add(values, "Array(String)")

    def nanoseconds(self, value: int) -> str:
        """Bind a Unix time in nanoseconds; the placeholder is a DateTime64(9)."""
        return f"fromUnixTimestamp64Nano({self.add(value, 'Int64')})"

    def value(self, value: str | float) -> str:
        """Bind a value of a filter."""
        return self.add(value, sql_type(value))

    def values(self, values: Sequence[Value]) -> str:
        """Bind a list of values of a filter."""
        if all(isinstance(value, str) for value in values):
            return self.add(tuple(str(value) for value in values), "Array(String)")
        if all(isinstance(value, int) for value in values):
            return self.add(tuple(value for value in values if isinstance(value, int)), "Array(Int64)")
        return self.add(tuple(float(value) for value in values if isinstance(value, int | float)), "Array(Float64)")

    def bound(self) -> Mapping[str, Parameter]:
        """Return all bound values by name."""
        return MappingProxyType({name: value for (_, value), name in self._placeholders.items()})


def sql_type(value: str | float) -> str:
    """Return the SQL type of a filter's value."""
    match value:
        case str():
            return "String"
        case int():
            return "Int64"
        case float():
            return "Float64"
