"""What exists in the engine: the store's tables, the functions that may be called."""

from __future__ import annotations

from dataclasses import dataclass

from spanhouse.exporter.clickhouse_http import allowed
from spanhouse.exporter.clickhouse_http.errors import UNKNOWN_DATABASE, QueryRefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What there is to name in a statement.

    Attributes:
        database: the store's database.
        tables: its tables.
        functions: functions that may be called, lower case.
        refused: functions that may not, lower case.
        aggregates: aggregate functions, lower case; combinators make more names of them.
        combinators: suffixes, lower case.
    """

    database: str
    tables: frozenset[str]
    functions: frozenset[str]
    refused: frozenset[str]
    aggregates: frozenset[str]
    combinators: tuple[str, ...]

    def has_function(self, name: str) -> bool:
        """Whether a function may be called; by its lower-case name."""
        return name not in self.refused and (name in self.functions or name in allowed.SYNTAX_FUNCTIONS or self._is_combined(name))

    def _is_combined(self, name: str) -> bool:
        return any(
            name.endswith(suffix) and (name.removesuffix(suffix) in self.aggregates or self._is_combined(name.removesuffix(suffix)))
            for suffix in self.combinators
        )

    def check_database(self, name: str) -> str:
        """A database that may be read, by its name.

        Raises:
            QueryRefusedError: it is not one of them.
        """
        if name not in {self.database, "system", *allowed.INFORMATION_SCHEMA}:
            raise QueryRefusedError(UNKNOWN_DATABASE, f"Database {name[:64]!r} is not served here, only {self.database!r} is")
        return name
