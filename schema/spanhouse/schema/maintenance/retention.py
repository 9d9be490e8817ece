"""Retention: the number of days for which each table keeps its rows. The default is to keep everything; an operator may change it at any time."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spanhouse.schema.tables.driver import Execute, MigrationError, number

TIMES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "otel_traces": ("otel_traces", "Timestamp"),
        "traces": ("spanhouse_trace_rows", "Timestamp"),
        "trace_tags": ("trace_tags", "EditedAt"),
        "metadata": ("spanhouse_metadata", "Day"),
        "models": ("spanhouse_models", "LastSeen"),
    }
)
"""Name in ``--ttl`` -> the table of the rows, and its column with their time."""
NAMES: Final = tuple(TIMES)
_HAS_ONE: Final = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = {name:String} AND engine_full LIKE '% TTL %'"
_LAST_DAY: Final = "2100-01-01"
"""Later times, those of broken clocks, count as this day: DateTime, which the engine wants here, ends in 2106 and would wrap around."""


def parse(text: str) -> Mapping[str, int]:
    """Read ``NAME=DAYS,...``.

    Raises:
        MigrationError: the text has another form.
    """
    days = {}
    for item in text.split(","):
        name, _, value = item.strip().partition("=")
        if name not in TIMES or not value.isdecimal() or int(value) > 36500:
            raise MigrationError(f"ttl {item.strip()!r}: write NAME=DAYS, with a name of {', '.join(NAMES)}; 0 days keeps everything")
        days[name] = int(value)
    return days


def keep(execute: Execute, name: str, days: int, *, cluster: str | None = None) -> None:
    """Keep the rows of a table for so many days after their time; 0 keeps them all.

    Args:
        execute: runs a statement on the store; needs the right to ALTER.
        name: one of ``NAMES``.
        days: number of days.
        cluster: name of the cluster, if the store is one.
    """
    table, column = TIMES[name]
    table, where = (table, "") if cluster is None else (f"{table}_local", f"ON CLUSTER '{cluster}'")
    if days:
        time = f"toDateTime(least(toDateTime64({column}, 0, 'UTC'), toDateTime64('{_LAST_DAY}', 0, 'UTC')))"
        execute(f"ALTER TABLE {table} {where} MODIFY TTL {time} + INTERVAL {days} DAY")
    elif number(execute(_HAS_ONE, {"name": table})[0][0]):
        execute(f"ALTER TABLE {table} {where} REMOVE TTL")
