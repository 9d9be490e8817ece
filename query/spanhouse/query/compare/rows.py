"""One row for each trace that matches: the columns of ``traces`` that a comparison looks at, and the values of some fields."""
# ruff: noqa: S608  what is put together here are this module's own words and placeholders; tests hold that a user's are never among them

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spanhouse.query.conditions import exact, value_of
from spanhouse.query.predicate import MapColumn, MapField, TraceField
from spanhouse.query.search import Search
from spanhouse.query.statement import Parameters
from spanhouse.schema.hot_keys import HOT_COLUMNS

_COLUMNS: Final = "TraceId, Timestamp, Duration, State, SpanCount, SessionId, InputTokens, OutputTokens, Cost, RootSpanId"


def trace_rows(search: Search, values: Mapping[str, TraceField], parameters: Parameters) -> str:
    """The SELECT of them.

    Args:
        search: which traces; order and ``after`` are not looked at.
        values: columns to add, by name: '' where a trace has no value.
        parameters: takes what is bound.
    """
    added = "".join(f", {_value(field, parameters)} AS {name}" for name, field in values.items())
    return f"SELECT {_COLUMNS}{added} FROM traces WHERE {' AND '.join(['1', *_conditions(search, parameters)])}"


def _value(field: TraceField, parameters: Parameters) -> str:
    """SQL for a field's value. The metadata that is asked for most has columns of its own: its map is dear to read."""
    if isinstance(field, MapField) and field.column is MapColumn.METADATA and (column := HOT_COLUMNS.get(field.key)):
        return column
    return value_of(field, parameters)


def _conditions(search: Search, parameters: Parameters) -> Iterator[str]:
    yield from (exact(clause, parameters) for clause in search.clauses)
    if search.since_ns is not None:
        yield f"Timestamp >= {parameters.nanoseconds(search.since_ns)}"
