"""Settings: the limits that every query runs under, and what a client may set for one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one query, and all of them together, may use.

    Attributes:
        query_seconds: time of one query.
        query_memory_bytes: memory of one query.
        first_memory_bytes: memory that a query begins with. One that needs more begins anew with ``query_memory_bytes``, one such at a time.
        spill_bytes: what is grouped, sorted or made distinct goes to the store's disk beyond this.
        result_bytes: size of one result, uncompressed, before it is formatted.
        query_threads: threads of one query.
        statement_bytes: length of a statement; its parameters are not counted.
        concurrent_queries: queries that run at once, beside the one that needs much memory.
        waiting_queries: queries that wait for one of them to end; a further one is refused at once.
        queries_per_token: queries of one token that run or wait at once; a further one is refused at once.
        wait_seconds: how long a query waits before it is refused.
    """

    query_seconds: int = 30
    query_memory_bytes: int = 1 << 30
    first_memory_bytes: int = 128 << 20
    spill_bytes: int = 32 << 20
    result_bytes: int = 256 << 20
    query_threads: int = 2
    statement_bytes: int = 1 << 20
    concurrent_queries: int = 2
    waiting_queries: int = 60
    queries_per_token: int = 16
    wait_seconds: float = 10.0

    def validate(self) -> None:
        """Check that every limit is above 0.

        Raises:
            ValueError: one is not; names it.
        """
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"{field.name} must be above 0, not {getattr(self, field.name)}")

    def wants_more_memory(self, requested: Mapping[str, str]) -> bool:
        """Whether a query that does not get by with the memory it begins with may have more."""
        asked = requested.get("max_memory_usage", "")
        most = int(asked) if asked.isascii() and asked.isdigit() and int(asked) else self.query_memory_bytes
        return min(most, self.query_memory_bytes) > self.first_memory_bytes

    def session_settings(self, requested: Mapping[str, str], *, whole_memory: bool = False) -> dict[str, str]:
        """All settings of a query's connection: these limits, and what the client asks for within them.

        Args:
            requested: by name. What is not in the closed lists is left out; a limit can be lowered only.
            whole_memory: not just what a query begins with.
        """
        memory = self.query_memory_bytes if whole_memory else min(self.query_memory_bytes, self.first_memory_bytes)
        limits = {
            "max_execution_time": str(self.query_seconds),
            "max_memory_usage": str(memory),
            "max_result_bytes": str(self.result_bytes),
            "max_threads": str(self.query_threads),
        }
        applied = {name: value for name, value in requested.items() if name in APPLIED}
        for name, value in requested.items():
            if name in LOWERED and value.isascii() and value.isdigit() and int(value) > 0:
                limits[name] = str(min(int(value), int(limits.get(name, value))))
        spilling = dict.fromkeys(_SPILLING, str(self.spill_bytes))
        return {**applied, **limits, **spilling, "max_query_size": str(self.statement_bytes), **_FIXED}


# readonly is not among them: it shuts the door on further settings, so it is set after all others.
_FIXED: Final = {
    "allow_ddl": "0",
    "allow_introspection_functions": "0",
    "enable_global_with_statement": "1",
    "max_temporary_data_on_disk_size_for_query": str(2 << 30),
    "result_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
}

# A join that begins to spill takes more memory at first than one that does not: the engine decides on that by itself.
_SPILLING: Final = ("max_bytes_before_external_distinct", "max_bytes_before_external_group_by", "max_bytes_before_external_sort")

LOWERED: Final = frozenset(
    {"max_execution_time", "max_memory_usage", "max_result_bytes", "max_result_rows", "max_threads", "max_rows_to_read", "max_bytes_to_read"}
)
"""Limits: whole numbers above 0, taken where they are below ours."""

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
"""How values are read and printed, and what joins and NULLs mean."""


def is_requestable(name: str) -> bool:
    """Whether a client may set it."""
    return name in APPLIED or name in LOWERED
