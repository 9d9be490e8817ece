"""Catalogue of the engine: the store's tables, and the functions that may be called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from spanhouse.exporter.clickhouse_http import allowlist
from spanhouse.exporter.clickhouse_http.engine_connection import Connection, escape
from spanhouse.exporter.clickhouse_http.engine_errors import UNKNOWN_DATABASE, QueryRefusedError

_TABLES: Final = f"""SELECT name FROM system.tables
WHERE database = {{database:String}} AND ({" OR ".join(f"engine LIKE '{engine}'" for engine in allowlist.TABLE_ENGINES)})"""  # noqa: S608  # constants
_FUNCTIONS: Final = "SELECT lower(name), lower(alias_to), is_aggregate FROM system.functions"
_COMBINATORS: Final = "SELECT lower(name) FROM system.aggregate_function_combinators WHERE NOT is_internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Names that a statement may use.

    Attributes:
        database: the store's database.
        tables: its tables.
        functions: functions that may be called, lower case.
        refused: functions that may not be called, lower case.
        aggregates: aggregate functions, lower case; with combinators they form further names.
        combinators: suffixes of aggregate functions, lower case.
    """

    database: str
    tables: frozenset[str]
    functions: frozenset[str]
    refused: frozenset[str]
    aggregates: frozenset[str]
    combinators: tuple[str, ...]

    @classmethod
    def read(cls, connection: Connection, database: str) -> Self:
        """Read the catalogue from the engine.

        Raises:
            EngineError: the engine failed.
        """
        functions = connection.rows(_FUNCTIONS)
        refused = {name for name, original, _ in functions if allowlist.is_refused_function(name) or allowlist.is_refused_function(original)}
        return cls(
            database=database,
            tables=_tables(connection, database),
            functions=frozenset(name for name, _, _ in functions) - refused,
            refused=frozenset(refused),
            aggregates=frozenset(name for name, _, is_aggregate in functions if is_aggregate),
            combinators=tuple(name for (name,) in connection.rows(_COMBINATORS)),
        )

    def with_tables(self, connection: Connection) -> Self:
        """Return the catalogue with the current tables.

        Raises:
            EngineError: the engine failed.
        """
        return replace(self, tables=_tables(connection, self.database))

    def has_function(self, name: str) -> bool:
        """Tell whether a function, by its lower-case name, may be called."""
        return name not in self.refused and (name in self.functions or name in allowlist.SYNTAX_FUNCTIONS or self._is_combined(name))

    def _is_combined(self, name: str) -> bool:
        return any(
            name.endswith(suffix) and (name.removesuffix(suffix) in self.aggregates or self._is_combined(name.removesuffix(suffix)))
            for suffix in self.combinators
        )

    def check_database(self, name: str) -> str:
        """Return a database's name if it may be read.

        Raises:
            QueryRefusedError: it may not.
        """
        if name not in {self.database, "system", *allowlist.INFORMATION_SCHEMA}:
            raise QueryRefusedError(UNKNOWN_DATABASE, f"Database {name[:64]!r} is not served here, only {self.database!r} is")
        return name


def _tables(connection: Connection, database: str) -> frozenset[str]:
    return frozenset(name for (name,) in connection.rows(_TABLES, {"database": escape(database)}))
