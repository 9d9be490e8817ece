"""SQL with bound parameters: the only thing that the client runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from spanhouse.query.language.predicate import Value

Parameter = str | int | float | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]
"""What can be bound; a tuple goes as an Array."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and what its ``{name:Type}`` placeholders stand for. Nothing that a user wrote is in ``sql``."""

    sql: str
    parameters: Mapping[str, Parameter]


class Parameters:
    """Hands out the placeholders of one statement: ``p0``, ``p1``, ...; the same value of the same type gets the same one."""

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
        """All that was bound, by name."""
        return MappingProxyType({name: value for (_, value), name in self._placeholders.items()})


def sql_type(value: str | float) -> str:
    """The SQL type that a value of a filter is bound as."""
    match value:
        case str():
            return "String"
        case int():
            return "Int64"
        case float():
            return "Float64"
