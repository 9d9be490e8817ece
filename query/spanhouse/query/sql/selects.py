"""SELECT statements of searches. Every predicate that ``resolve`` accepts compiles. Every value and every map key is a parameter.

Every statement reads ``spanhouse_trace_rows``, which has the row of each trace and, until the engine merges its files, rows that were replaced since.
FINAL leaves out replaced rows; it costs most on an unrestricted read. So a page takes two statements: the first looks at the first rows that match,
replaced ones included; the second reads the found traces with FINAL. For the newest traces the first statement reads the table in its own order.
"""
# ruff: noqa: S608  SQL is built from this module's own words and placeholders; tests prove that a user's text is never among them

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from spanhouse.query.language.order_by import EXPERIMENT, Sorting, newest_first
from spanhouse.query.language.predicate import All, MapField, OneOf, SomeServicePart, TraceField, asks_of_spans
from spanhouse.query.language.resolver import read_filter
from spanhouse.query.sql.predicate_sql import exact, hot_column, nullable
from spanhouse.query.sql.resolved_search import EARLIEST_NS, LATEST_NS, Key, Search
from spanhouse.query.sql.statement import Parameters, Statement, sql_type
from spanhouse.schema.trace_attributes import UNFINISHED, WAITING

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
    f"{UNFINISHED} AS Unfinished",
    "emptyArrayString() AS Took",
)
"""Columns of a search's result."""
_SERVICE_COLUMNS: Final = ("Name", "Version", "Commit", "Branch", "Environment", "Spans", "Errors", "SelfTime")
_WITH_SERVICES: Final = (*COLUMNS[:-1], f"arrayZip({', '.join(f'`Services.{name}`' for name in _SERVICE_COLUMNS)}) AS Took")
"""``COLUMNS`` with the part of each version of each service, for searches by service: a page costs a tenth more with it."""
ROWS: Final = "spanhouse_trace_rows"
"""Table of traces: one live row for each."""
FIRST_SPAN_NS: Final = "(toUnixTimestamp64Nano(Timestamp) - toInt64(Before))"
"""Start of a trace's earliest span."""
LAST_SPAN_NS: Final = "(toUnixTimestamp64Nano(Timestamp) + toInt64(After))"
"""Start of a trace's latest span."""


def compile_filter(filter_string: str | None) -> Statement:
    """Compile a filter to the statement that searches for it: all matching traces, newest first.

    Raises:
        FilterError: the filter is not in the language.
    """
    return compile_search(Search(predicate=read_filter(filter_string)))


def compile_search(search: Search, *, limit: int | None = None, offset: int = 0) -> Statement:
    """Compile a search to the statement that reads its traces, sorted: the columns ``COLUMNS``, then the order keys.

    Args:
        search: search to compile.
        limit: most rows to read; None for all.
        offset: with ``limit``, number of rows to skip first.
    """
    parameters = Parameters()
    keys = _keys(search, parameters)
    rows = source(search, parameters, keys)
    select, order = f"SELECT {', '.join(_columns(search, keys))}", _order(search, keys)
    if limit is None:
        return Statement(f"{select}\n{rows}\n{order}", parameters.bound())
    # The inner query finds the page's rows by narrow columns; the wide columns are read only for these few rows.
    page = [
        f"FROM {ROWS}",
        "WHERE (Sorted, TraceId, Version) IN (",
        "SELECT Sorted, TraceId, Version",
        rows,
        order,
        _window(limit, offset, parameters),
        ")",
    ]
    return Statement("\n".join([select, *page, order]), parameters.bound())


def compile_first(search: Search, *, limit: int) -> Statement:
    """Compile the look at the first ``limit`` rows that match, replaced ones included: start in Unix nanoseconds, trace id, and the order keys.

    For newest first, which is the table's own order, it has no order keys, and leaves out traces that wait for their root.
    """
    parameters = Parameters()
    keys = _keys(search, parameters)
    by_start = newest_first(search.order)
    where = _where([*conditions(search, parameters, keys), *([f"NOT {WAITING}"] if by_start else [])])
    columns = ["toUnixTimestamp64Nano(Sorted)", "TraceId", *([] if by_start else keys)]
    order = "ORDER BY Sorted DESC" if by_start else _order(search, keys)
    lines = [f"SELECT {', '.join(columns)}", f"FROM {ROWS}", *where, order, f"LIMIT {parameters.add(limit, 'UInt64')}"]
    return Statement("\n".join(lines), parameters.bound())


def compile_earliest(search: Search, *, limit: int) -> Statement:
    """Compile the look at the newest ``limit`` rows that match all conditions but those on spans: their number, and the earliest start (Unix ns)."""
    parameters = Parameters()
    of_traces = replace(search, predicate=All(tuple(clause for clause in search.clauses if not asks_of_spans(clause))))
    where = _where([*conditions(of_traces, parameters, _keys(search, parameters)), f"NOT {WAITING}"])
    rows = ["SELECT Sorted", f"FROM {ROWS}", *where, "ORDER BY Sorted DESC", f"LIMIT {parameters.add(limit, 'UInt64')}"]
    return Statement("\n".join(["SELECT count(), toUnixTimestamp64Nano(min(Sorted))", "FROM (", *rows, ")"]), parameters.bound())


def compile_page(
    search: Search, starts_ns: Sequence[int], trace_ids: Sequence[str], *, limit: int, offset: int = 0, last: tuple[Key, ...] | None = None
) -> Statement:
    """Compile the statement that reads a page, as ``compile_search``, among some traces and those that wait for their root.

    Args:
        search: search to compile.
        starts_ns: places of the traces' rows: their starts in Unix nanoseconds.
        trace_ids: bare ids of the traces, in the same order.
        limit: most rows to read.
        offset: number of rows to skip first.
        last: order keys of the last allowed row; None for any.
    """
    parameters = Parameters()
    keys = _keys(search, parameters)
    lists = f"{parameters.add(tuple(starts_ns), 'Array(Int64)')} AS StartNs, {parameters.texts(tuple(trace_ids))} AS Id"
    places = f"(SELECT fromUnixTimestamp64Nano(StartNs), Id FROM (SELECT {lists}) ARRAY JOIN StartNs, Id)"
    upto = [] if last is None else [f"NOT {_after(search.order, last, keys, parameters)}"]
    where = _where([f"((Sorted, TraceId) IN {places} OR {WAITING})", *conditions(search, parameters, keys), *upto])
    lines = [f"SELECT {', '.join(_columns(search, keys))}", f"FROM {ROWS} FINAL", *where, _order(search, keys), _window(limit, offset, parameters)]
    return Statement("\n".join(lines), parameters.bound())


def compile_trace(trace_id: str) -> Statement:
    """Compile the statement that reads a trace by its bare id: the columns ``COLUMNS``, then first and last start of its spans (Unix ns)."""
    parameters = Parameters()
    columns = [*_WITH_SERVICES, f"{FIRST_SPAN_NS} AS FirstNs", f"{LAST_SPAN_NS} AS LastNs"]
    # While its root moves, a trace may have two rows for a moment.
    where = f"WHERE TraceId = {parameters.text(trace_id)}\nORDER BY Version DESC\nLIMIT 1"
    return Statement(f"SELECT {', '.join(columns)}\nFROM {ROWS} FINAL\n{where}", parameters.bound())


def compile_count(search: Search) -> Statement:
    """Compile the statement that counts the matching traces; order and ``after`` are ignored."""
    parameters = Parameters()
    return Statement(f"SELECT count()\n{source(replace(search, after=None), parameters)}", parameters.bound())


def compile_groups(search: Search, field: TraceField, *, limit: int) -> Statement:
    """Compile the statement that counts the matching traces by a field's value, the most frequent first. Missing and empty values are NULL."""
    parameters = Parameters()
    value = hot_column(field) or nullable(field, parameters)
    if isinstance(field, MapField):
        value = f"nullIf({value}, '')"
    lines = [f"SELECT {value} AS Value, count() AS Traces", source(replace(search, after=None), parameters)]
    lines += ["GROUP BY Value", "ORDER BY Traces DESC, Value ASC NULLS LAST", f"LIMIT {parameters.add(limit, 'UInt64')}"]
    return Statement("\n".join(lines), parameters.bound())


def source(search: Search, parameters: Parameters, keys: Sequence[str] = (), *, joined: str = "") -> str:
    """Compile ``FROM`` and ``WHERE``: the rows of the matching traces.

    Args:
        search: search to compile; its order is ignored.
        parameters: binds values.
        keys: SQL of the order keys, needed if the search begins after a row.
        joined: ``ARRAY JOIN`` that makes several rows of one; '' for none.
    """
    return "\n".join([f"FROM {ROWS} FINAL", *([joined] if joined else []), *_where(conditions(search, parameters, keys))])


def conditions(search: Search, parameters: Parameters, keys: Sequence[str] = ()) -> Iterator[str]:
    """Yield a search's conditions on a trace's row; arguments as of ``source``."""
    spans = _spans(search, parameters) if any(map(asks_of_spans, search.clauses)) else ""
    yield from (exact(clause, parameters, spans=spans) for clause in search.clauses)
    yield from _around(search, parameters, keys)


def _keys(search: Search, parameters: Parameters) -> list[str]:
    return [nullable(sorting.field, parameters) for sorting in search.order]


def _order(search: Search, keys: Sequence[str]) -> str:
    directions = [f"{key} {'DESC' if sorting.descending else 'ASC'} NULLS LAST" for key, sorting in zip(keys, search.order, strict=True)]
    return f"ORDER BY {', '.join(directions)}"


def _columns(search: Search, keys: Sequence[str]) -> list[str]:
    columns = _WITH_SERVICES if any(isinstance(clause, SomeServicePart) for clause in search.clauses) else COLUMNS
    return [*columns, *(f"{key} AS Key{number}" for number, key in enumerate(keys))]


def _window(limit: int, offset: int, parameters: Parameters) -> str:
    return f"LIMIT {parameters.add(limit, 'UInt64')} OFFSET {parameters.add(offset, 'UInt64')}"


def _where(conditions: Iterable[str]) -> Iterator[str]:
    for number, condition in enumerate(conditions):
        yield f"{'  AND' if number else 'WHERE'} {condition}"


def _around(search: Search, parameters: Parameters, keys: Sequence[str] = ()) -> Iterator[str]:
    """Yield the conditions of a search besides its predicate."""
    if search.services is not None:
        yield exact(OneOf(field=EXPERIMENT, values=search.services, negated=False), parameters)
    if search.since_ns is not None:
        yield f"Timestamp >= {parameters.nanoseconds(search.since_ns)}"
    if search.until_ns is not None:
        yield f"Timestamp <= {parameters.nanoseconds(search.until_ns)}"
    if search.after is not None and keys:
        yield _after(search.order, search.after, keys, parameters)
    yield from _stands(search, parameters)


def _stands(search: Search, parameters: Parameters) -> Iterator[str]:
    """Yield the bounds of a matching trace's start as a condition on the table's sorting key."""
    earliest_ns, latest_ns = search.start_bounds_ns()
    bounds = [f"Sorted >= {parameters.nanoseconds(earliest_ns)}"] if earliest_ns > EARLIEST_NS else []
    bounds += [f"Sorted <= {parameters.nanoseconds(latest_ns)}"] if latest_ns < LATEST_NS else []
    if bounds:
        yield f"({' AND '.join(bounds)} OR {WAITING})"


def _spans(search: Search, parameters: Parameters) -> str:
    """Compile a condition on rows of ``otel_traces`` that holds for all spans of matching traces; '' if it holds for all spans.

    Replaced rows may be read, too: the spans of a trace lie within the bounds of its last row.
    """
    asked = [exact(clause, parameters) for clause in search.clauses if not asks_of_spans(clause)]
    where = list(_where([*asked, *_around(search, parameters)]))
    if not where:
        return ""
    rows = " ".join([f"FROM {ROWS}", *(condition.strip() for condition in where)])
    times = f"(SELECT (fromUnixTimestamp64Nano(min({FIRST_SPAN_NS})), fromUnixTimestamp64Nano(max({LAST_SPAN_NS}))) {rows})"
    named = f" AND TraceId IN (SELECT TraceId {rows})" if asked or search.services is not None else ""
    return f"Timestamp >= {times}.1 AND Timestamp <= {times}.2{named}"


def _after(order: Sequence[Sorting], values: Sequence[Key], keys: Sequence[str], parameters: Parameters) -> str:
    """Compile the condition that a row comes after the row with these order keys."""
    condition = "0"
    for sorting, value, key in reversed(list(zip(order, values, keys, strict=True))):
        if value is None:
            # Missing values come last: only the following keys can order such rows.
            condition = f"({key} IS NULL AND {condition})"
            continue
        bound = parameters.add(value, sql_type(value))
        later = f"{key} {'<' if sorting.descending else '>'} {bound} OR {key} IS NULL"
        condition = f"({later} OR ({key} = {bound} AND {condition}))"
    return condition
