"""Predicate -> SQL. Total: whatever `resolve` accepts compiles. Every value and every map key is a parameter."""

# ruff: noqa: S608  what is put together here are this module's own words and placeholders; tests hold that a user's are never among them

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from spanhouse.query.ast import Operator
from spanhouse.query.conditions import exact, nullable, part_conditions, root_conditions, trace_ids
from spanhouse.query.order import EXPERIMENT, Sorting, read_order
from spanhouse.query.predicate import EVERYTHING, All, AttributeField, Compare, OneOf, Predicate
from spanhouse.query.resolve import read_filter
from spanhouse.query.statement import Parameters, Statement, sql_type
from spanhouse.schema.vocabulary import ATTRIBUTES

COLUMNS: Final = (
    "TraceId",
    "toUnixTimestamp64Nano(Timestamp) AS StartNs",
    "Duration",
    "Name",
    "ServiceName",
    "State",
    "SpanCount",
    "ErrorCount",
    "ClientRequestId",
    "RequestPreview",
    "ResponsePreview",
    "InputTokens",
    "OutputTokens",
    "Cost",
    "Metadata",
    "Tags",
    "RootSpanId",
)
"""What a search reads of a trace."""

_HOUR_NS: Final = 3_600_000_000_000
_MS_NS: Final = 1_000_000
_EARLIEST_NS: Final = -(2**63)
_LATEST_NS: Final = 2**63 - 1
_TIMESTAMP_SQL: Final = ATTRIBUTES["timestamp_ms"].sql

Key = str | int | None
"""The value by which a row is sorted; None where it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched for.

    Attributes:
        predicate: what matches.
        services: names of services of which the trace is one; None for any.
        order: what rows are sorted by; a total order.
        after: order keys of the row after which to begin; None for the first.
        until_ns: latest start of a trace, in Unix nanoseconds; None for any.
    """

    predicate: Predicate = EVERYTHING
    services: tuple[str, ...] | None = None
    order: tuple[Sorting, ...] = field(default_factory=lambda: read_order(None))
    after: tuple[Key, ...] | None = None
    until_ns: int | None = None

    def beginning(self, after: tuple[Key, ...] | None) -> Search:
        """The same search, from after the row with these order keys."""
        return replace(self, after=after)

    def start_bounds_ns(self) -> tuple[int, int]:
        """Earliest and latest start that a trace of this search can have, both inclusive."""
        return _start_bounds(self)


def compile_filter(filter_string: str | None) -> Statement:
    """The SQL, and its parameters, of a search for a filter: all matching traces, newest first.

    Raises:
        FilterError: the filter is not in the language.
    """
    return compile_(Search(predicate=read_filter(filter_string)))


def compile_(search: Search, *, limit: int | None = None, offset: int = 0, newest_parts: int | None = None, since_ns: int = 0) -> Statement:
    """The statement that gives matching traces, sorted, the columns ``COLUMNS`` followed by the order keys.

    Args:
        search: what is searched for.
        limit: most rows to give; None for all.
        offset: rows to leave out first.
        newest_parts: look only at traces of which one of so many newest parts is the root: a guess that can give too few rows.
        since_ns: with ``newest_parts``, look only at parts from then on, in Unix nanoseconds: a guess, too.
    """
    parameters = Parameters()
    keys = [nullable(sorting.field, parameters) for sorting in search.order]
    columns = [*COLUMNS, *(f"{key} AS Key{number}" for number, key in enumerate(keys))]
    conditions = list(_conditions(search, parameters, keys, newest_parts=newest_parts, since_ns=since_ns))
    directions = [f"{key} {'DESC' if sorting.descending else 'ASC'} NULLS LAST" for key, sorting in zip(keys, search.order, strict=True)]
    lines = [
        "SELECT " + ", ".join(columns),
        "FROM traces",
        *_where(conditions),
        "ORDER BY " + ", ".join(directions),
    ]
    if limit is not None:
        lines.append(f"LIMIT {parameters.add(limit, 'UInt64')}")
    if offset:
        lines.append(f"OFFSET {parameters.add(offset, 'UInt64')}")
    return Statement("\n".join(lines), parameters.bound())


def compile_count(search: Search) -> Statement:
    """The statement that counts the matching traces; the order does not matter and ``after`` is not looked at."""
    parameters = Parameters()
    counted = Search(predicate=search.predicate, services=search.services, until_ns=search.until_ns)
    conditions = list(_conditions(counted, parameters, []))
    return Statement("\n".join(["SELECT count()", "FROM traces", *_where(conditions)]), parameters.bound())


def _where(conditions: Sequence[str]) -> Iterator[str]:
    for number, condition in enumerate(conditions):
        yield f"{'  AND' if number else 'WHERE'} {condition}"


def _conditions(search: Search, parameters: Parameters, keys: Sequence[str], *, newest_parts: int | None = None, since_ns: int = 0) -> Iterator[str]:
    predicates = search.predicate.operands if isinstance(search.predicate, All) else (search.predicate,)
    yield from (exact(predicate, parameters) for predicate in predicates)
    if search.services is not None:
        yield exact(OneOf(field=EXPERIMENT, values=search.services, negated=False), parameters)
    if search.until_ns is not None:
        yield f"Timestamp <= {parameters.nanoseconds(search.until_ns)}"
    if search.after is not None:
        yield _after(search.order, search.after, keys, parameters)
    yield from _necessary(search, parameters, newest_parts=newest_parts, since_ns=since_ns)


def _after(order: Sequence[Sorting], values: Sequence[Key], keys: Sequence[str], parameters: Parameters) -> str:
    """The condition that a row comes after the one with these order keys."""
    condition = "0"
    for sorting, value, key in reversed(list(zip(order, values, keys, strict=True))):
        if value is None:
            # Missing values are the last: only the keys that follow can tell rows apart.
            condition = f"({key} IS NULL AND {condition})"
            continue
        bound = parameters.add(value, sql_type(value))
        later = f"{key} {'<' if sorting.descending else '>'} {bound} OR {key} IS NULL"
        condition = f"({later} OR ({key} = {bound} AND {condition}))"
    return condition


def _necessary(search: Search, parameters: Parameters, *, newest_parts: int | None, since_ns: int) -> Iterator[str]:
    """Conditions on TraceId by which the view merges few traces."""
    for ids in trace_ids(search.predicate):
        yield f"TraceId IN {parameters.add(ids, 'Array(String)')}"
    start_ns, end_ns = _start_bounds(search)
    root = list(root_conditions(search.predicate, parameters))
    if search.services is not None:
        root.append(f"ServiceName IN {parameters.add(search.services, 'Array(String)')}")
    root += _times(start_ns, end_ns, parameters)
    if newest_parts is not None:
        recent = " AND ".join(_times(max(start_ns, since_ns), end_ns, parameters))
        newest = f"SELECT Timestamp FROM traces_parts WHERE {recent} ORDER BY Timestamp DESC LIMIT {parameters.add(newest_parts, 'UInt64')}"
        # Whole milliseconds, as the order has them: of those that start in the last one, none may be left out.
        oldest = f"(SELECT fromUnixTimestamp64Milli(toUnixTimestamp64Milli(min(Timestamp))) FROM ({newest}))"
        yield f"Timestamp >= {oldest}"
        root.append(f"Timestamp >= {oldest}")
    if root:
        yield f"TraceId IN (SELECT TraceId FROM traces_parts WHERE {' AND '.join(root)})"
    # Few traces are left already: a look through all of the maps would cost more than it saves.
    parts = [] if newest_parts is not None else list(dict.fromkeys(part_conditions(search.predicate, parameters)))
    if len(parts) == 1:
        yield f"TraceId IN (SELECT TraceId FROM traces_parts WHERE {parts[0]})"
    elif parts:
        some = " OR ".join(f"({part})" for part in parts)
        each = " AND ".join(f"max({part})" for part in parts)
        yield f"TraceId IN (SELECT TraceId FROM traces_parts WHERE {some} GROUP BY TraceId HAVING {each})"


def _times(start_ns: int, end_ns: int, parameters: Parameters) -> Iterator[str]:
    """Conditions on the root's part for a trace that starts in between, both inclusive.

    A part's Timestamp is at or after its Start, and in the same hour; the table is sorted by the hour of Timestamp.
    """
    if start_ns > _EARLIEST_NS:
        yield f"Timestamp >= {parameters.nanoseconds(start_ns)}"
    if end_ns < _LATEST_NS:
        yield f"Start <= {parameters.nanoseconds(end_ns)}"
        yield f"Timestamp <= {parameters.nanoseconds(min(end_ns + _HOUR_NS, _LATEST_NS))}"


def _start_bounds(search: Search) -> tuple[int, int]:
    """Earliest and latest start that a matching trace can have, in Unix nanoseconds, both inclusive."""
    start_ns = _EARLIEST_NS
    end_ns = _LATEST_NS if search.until_ns is None else search.until_ns
    first = search.order[0]
    if search.after is not None and isinstance(first.field, AttributeField) and first.field.attribute.sql == _TIMESTAMP_SQL:
        key = search.after[0]
        if isinstance(key, int) and first.descending:
            end_ns = min(end_ns, _ns(key + 1))
        elif isinstance(key, int):
            start_ns = max(start_ns, _ns(key))
    predicates = search.predicate.operands if isinstance(search.predicate, All) else (search.predicate,)
    for predicate in predicates:
        match predicate:
            case Compare(field=AttributeField(attribute=attribute), operator=operator, value=int() | float() as value) if (
                attribute.sql == _TIMESTAMP_SQL
            ):
                if operator in {Operator.EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL}:
                    start_ns = max(start_ns, _ns(math.floor(value)))
                if operator in {Operator.EQUAL, Operator.LESS, Operator.LESS_OR_EQUAL}:
                    end_ns = min(end_ns, _ns(math.ceil(value) + 1))
            case _:
                pass
    return start_ns, end_ns


def _ns(milliseconds: int) -> int:
    """Nanoseconds of a time in milliseconds, kept in the range of Int64."""
    return max(_EARLIEST_NS, min(milliseconds * _MS_NS, _LATEST_NS))
