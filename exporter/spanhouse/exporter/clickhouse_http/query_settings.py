"""Query settings: the limits of every query, and the settings that a client may choose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from spanhouse.exporter.clickhouse_http.engine_errors import MEMORY_LIMIT_EXCEEDED, EngineError

DEFAULT_MEMORY_BYTES: Final = 96 << 20
"""Keeps the process within 600 MB beside ingest at half of the load that is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """Limits of one query, and of all queries together.

    Query slots share the memory: a query starts in one slot, with its share. A query that needs more restarts with all slots, and runs alone.

    Attributes:
        query_seconds: time of one query.
        query_memory_bytes: memory of one query; at most ``memory_bytes``.
        memory_bytes: memory of all running queries.
        result_bytes: size of one result, uncompressed, before it is formatted.
        query_threads: threads of one query.
        statement_bytes: length of a statement; its parameters are not counted.
        concurrent_queries: slots: queries that run at once.
        waiting_queries: queries that wait for a slot; a further one is refused at once.
        queries_per_token: queries of one token that run or wait; a further one is refused at once.
        wait_seconds: time that a query waits for a slot before it is refused.
    """

    query_seconds: int = 30
    query_memory_bytes: int = 1 << 30
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    result_bytes: int = 256 << 20
    query_threads: int = 2
    statement_bytes: int = 1 << 20
    concurrent_queries: int = 2
    waiting_queries: int = 60
    queries_per_token: int = 16
    wait_seconds: float = 25.0

    def validate(self) -> None:
        """Refuse a limit that is not above 0.

        Raises:
            ValueError: names the limit.
        """
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"{field.name} must be above 0, not {getattr(self, field.name)}")

    @property
    def first_memory_bytes(self) -> int:
        """Memory that a query starts with."""
        return min(self.query_memory_bytes, self.memory_bytes // self.concurrent_queries)

    @property
    def most_memory_bytes(self) -> int:
        """Memory of a query that runs alone."""
        return min(self.query_memory_bytes, self.memory_bytes)

    @property
    def spill_bytes(self) -> int:
        """Memory at which GROUP BY, ORDER BY and DISTINCT spill to the store's disk: low enough to leave room for the rest of the query."""
        return self.first_memory_bytes // 4

    def wants_all_memory(self, requested: Mapping[str, str]) -> bool:
        """Tell whether a query that ran out of its first memory may have more when it runs alone."""
        first, alone = (self.session_settings(requested, alone=alone)["max_memory_usage"] for alone in (False, True))
        return int(first) < int(alone)

    def explain(self, error: EngineError, requested: Mapping[str, str]) -> EngineError:
        """Return the error with a remedy, if the query exceeded the memory of all queries."""
        if error.code != MEMORY_LIMIT_EXCEEDED or not error.message.startswith(_OF_QUERY):
            return error
        if int(self.session_settings(requested, alone=True)["max_memory_usage"]) < self.most_memory_bytes:
            return error  # it exceeded its own lower limit
        remedy = "narrow it to a shorter time, fewer columns or fewer groups"
        if self.memory_bytes < self.query_memory_bytes:
            remedy += f", or start serve with --query-memory-bytes above {self.memory_bytes}"
        return EngineError(error.code, f"{error.message.replace(_NAME, '').rstrip('.')}. This is the maximum for a query here: {remedy}")

    def session_settings(self, requested: Mapping[str, str], *, alone: bool = False) -> dict[str, str]:
        """Return all settings of a query's connection: the limits, and the client's settings within them.

        Args:
            requested: by name. Settings outside the closed lists are ignored; a limit can only be lowered.
            alone: for a query that has all slots.
        """
        memory = self.most_memory_bytes if alone else self.first_memory_bytes
        limits = {
            "max_execution_time": str(self.query_seconds),
            "max_memory_usage": str(memory),
            "max_result_bytes": str(self.result_bytes),
            "max_threads": str(self.query_threads),
        }
        applied = {name: value for name, value in requested.items() if name in APPLIED}
        for name, value in requested.items():
            if name in LOWERED and _NUMBER.match(value) and int(value) > 0:
                limits[name] = str(min(int(value), int(limits.get(name, value))))
        spilling = dict.fromkeys(_SPILLING, str(self.spill_bytes))
        return {"max_block_size": _BLOCK_ROWS, **applied, **limits, **spilling, "max_query_size": str(self.statement_bytes), **_FIXED}


_NAME: Final = " (MEMORY_LIMIT_EXCEEDED)"
_NUMBER: Final = re.compile(r"[0-9]{1,20}\Z")
_OF_QUERY: Final = "Query memory limit exceeded"
"""Begin of the engine's message about a query's memory; the one about its own memory differs."""

# readonly is not among them: it locks all settings, so it is set last.
_FIXED: Final = {
    "allow_ddl": "0",
    "allow_introspection_functions": "0",
    "enable_global_with_statement": "1",
    "max_temporary_data_on_disk_size_for_query": str(2 << 30),
    "result_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
}

# An eighth of the engine's default, at no cost: a block's states and buffers are counted before anything spills to disk.
_BLOCK_ROWS: Final = "8192"

# Joins are not among them: a join that starts to spill takes more memory at first. The engine decides by itself.
_SPILLING: Final = ("max_bytes_before_external_distinct", "max_bytes_before_external_group_by", "max_bytes_before_external_sort")

LOWERED: Final = frozenset(
    {"max_execution_time", "max_memory_usage", "max_result_bytes", "max_result_rows", "max_threads", "max_rows_to_read", "max_bytes_to_read"}
)
"""Limits that a client may lower: whole numbers above 0."""

APPLIED: Final = frozenset(
    {
        "cast_string_to_dynamic_use_inference",
        "date_time_input_format",
        "date_time_output_format",
        "describe_compact_output",
        "describe_include_subcolumns",
        "extremes",
        "format_csv_delimiter",
        "group_by_use_nulls",
        "join_use_nulls",
        "max_block_size",
        "output_format_arrow_low_cardinality_as_dictionary",
        "output_format_arrow_string_as_string",
        "output_format_binary_write_json_as_string",
        "output_format_decimal_trailing_zeros",
        "output_format_json_array_of_rows",
        "output_format_json_escape_forward_slashes",
        "output_format_json_map_as_array_of_tuples",
        "output_format_json_named_tuples_as_objects",
        "output_format_json_quote_64bit_floats",
        "output_format_json_quote_64bit_integers",
        "output_format_json_quote_decimals",
        "output_format_json_quote_denormals",
        "output_format_native_write_json_as_string",
        "output_format_parquet_string_as_string",
        "output_format_pretty_color",
        "output_format_pretty_max_rows",
        "output_format_pretty_max_value_width",
        "output_format_write_statistics",
        "session_timezone",
        "transform_null_in",
        "use_skip_indexes",
    }
)
"""Settings for reading and printing values, and for the meaning of joins and NULLs."""


def is_requestable(name: str) -> bool:
    """Tell whether a client may set a setting."""
    return name in APPLIED or name in LOWERED
