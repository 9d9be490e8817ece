"""Predicate -> SQL. Total: whatever `resolve` accepts compiles. Every value and every map key is a parameter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from spanhouse.query.conditions import exact, nullable
from spanhouse.query.necessary import necessary, of_candidates
from spanhouse.query.order import EXPERIMENT, Sorting
from spanhouse.query.predicate import OneOf, TraceField, asks_of_spans
from spanhouse.query.resolve import read_filter
from spanhouse.query.search import Key, Search
from spanhouse.query.statement import Parameters, Statement, sql_type

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


def compile_filter(filter_string: str | None) -> Statement:
    """The SQL, and its parameters, of a search for a filter: all matching traces, newest first.

    Raises:
        FilterError: the filter is not in the language.
    """
    return compile_(Search(predicate=read_filter(filter_string)))


def compile_(search: Search, *, limit: int | None = None, offset: int = 0, few: bool = False, elsewhere: bool = True) -> Statement:
    """The statement that gives matching traces, sorted, the columns ``COLUMNS`` followed by the order keys.

    Args:
        search: what is searched for.
        limit: most rows to give; None for all.
        offset: with ``limit``, rows to leave out first.
        few: not many more traces than ``limit`` match, so that merging them whole costs less than doing it in two steps.
        elsewhere: as ``necessary``.
    """
    parameters = Parameters()
    keys = [nullable(sorting.field, parameters) for sorting in search.order]
    columns = [*COLUMNS, *(f"{key} AS Key{number}" for number, key in enumerate(keys))]
    where = list(conditions(search, parameters, keys, elsewhere=elsewhere))
    directions = [f"{key} {'DESC' if sorting.descending else 'ASC'} NULLS LAST" for key, sorting in zip(keys, search.order, strict=True)]
    order = "ORDER BY " + ", ".join(directions)
    lines = ["SELECT " + ", ".join(columns), "FROM traces"]
    window = "" if limit is None else f"LIMIT {parameters.add(limit, 'UInt64')} OFFSET {parameters.add(offset, 'UInt64')}"
    if limit is None:
        lines += [*_where(where), order]
    elif few:
        lines += [*_where(where), order, window]
    else:
        # First the page's traces by what they are told apart and sorted by, then the columns of these few: merging them all is dear.
        lines += ["WHERE TraceId IN (", "SELECT TraceId", "FROM traces", *_where(where), order, window, ")", order]
    return Statement("\n".join(lines), parameters.bound())


def compile_count(search: Search) -> Statement:
    """The statement that counts the matching traces; the order does not matter and ``after`` is not looked at."""
    parameters = Parameters()
    counted = replace(search, after=None)
    return Statement("\n".join(["SELECT count()", "FROM traces", *_where(list(conditions(counted, parameters)))]), parameters.bound())


def compile_groups(search: Search, field: TraceField, *, limit: int) -> Statement:
    """The statement that counts the matching traces by the value of a field, NULL where it is missing, the most frequent first."""
    parameters = Parameters()
    value = nullable(field, parameters)
    lines = [f"SELECT {value} AS Value, count() AS Traces", "FROM traces", *_where(list(conditions(replace(search, after=None), parameters)))]
    lines += ["GROUP BY Value", "ORDER BY Traces DESC, Value ASC NULLS LAST", f"LIMIT {parameters.add(limit, 'UInt64')}"]
    return Statement("\n".join(lines), parameters.bound())


def _where(conditions: Sequence[str]) -> Iterator[str]:
    for number, condition in enumerate(conditions):
        yield f"{'  AND' if number else 'WHERE'} {condition}"


def conditions(search: Search, parameters: Parameters, keys: Sequence[str] = (), *, elsewhere: bool = True) -> Iterator[str]:
    """The conditions on a row of ``traces`` that a search stands for; ``keys`` are SQL for its order, needed if it begins after a row."""
    spans = of_candidates(search, parameters, elsewhere=elsewhere) if any(map(asks_of_spans, search.clauses)) else ""
    yield from (exact(clause, parameters, spans=spans) for clause in search.clauses)
    if search.services is not None:
        yield exact(OneOf(field=EXPERIMENT, values=search.services, negated=False), parameters)
    if search.since_ns is not None:
        yield f"Timestamp >= {parameters.nanoseconds(search.since_ns)}"
    if search.until_ns is not None:
        yield f"Timestamp <= {parameters.nanoseconds(search.until_ns)}"
    if search.after is not None:
        yield _after(search.order, search.after, keys, parameters)
    yield from necessary(search, parameters, elsewhere=elsewhere)


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
