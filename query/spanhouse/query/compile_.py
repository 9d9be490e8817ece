"""Predicate -> SQL. Total: whatever `resolve` accepts compiles. Every value and every map key is a parameter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from spanhouse.query.conditions import exact, hot_column, nullable
from spanhouse.query.necessary import necessary, of_candidates, said_elsewhere, seeming, trace_ids
from spanhouse.query.order import EXPERIMENT, Sorting
from spanhouse.query.predicate import All, MapField, OneOf, SomeSpan, TraceField, asks_of_spans
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


def compile_(search: Search, *, limit: int | None = None, offset: int = 0, several: bool = True) -> Statement:
    """The statement that gives matching traces, sorted, the columns ``COLUMNS`` followed by the order keys.

    Args:
        search: what is searched for.
        limit: most rows to give; None for all.
        offset: with ``limit``, rows to leave out first.
        several: as ``source``.
    """
    parameters = Parameters()
    keys = _keys(search, parameters)
    select, order = _select(search, keys)
    rows = source(search, parameters, keys, several=several)
    if limit is None:
        return Statement(f"{select}\n{rows}\n{order}", parameters.bound())
    # First the page's traces by what they are told apart and sorted by, then the columns of these few.
    page = ["FROM traces_merged", "WHERE TraceId IN (", "SELECT TraceId", rows, order, _window(limit, offset, parameters), ")"]
    return Statement("\n".join([select, *page, order]), parameters.bound())


def compile_newest(search: Search, *, limit: int) -> Statement:
    """The statement that reads the newest ``limit`` rows of ``trace_rows`` that seem to match, newest first.

    Each is a trace if no other row tells of it. The columns are ``COLUMNS``, the order keys, and whether the row, taken for a trace, matches.
    """
    parameters = Parameters()
    rows = _newest(search, parameters, limit)
    # What was asked of some span goes for the trace, whatever its rows say.
    others = All(tuple(clause for clause in search.clauses if not isinstance(clause, SomeSpan)))
    keys = _keys(search, parameters)
    matches = " AND ".join(_judged(replace(search, predicate=others), parameters, keys)) or "1"
    return Statement("\n".join([f"SELECT {', '.join([*_columns(keys), matches])} AS Matches", *rows]), parameters.bound())


def compile_oldest(search: Search, *, limit: int) -> Statement:
    """The statement that gives, in one row, how many rows ``compile_newest`` finds, and the start of the oldest of them in Unix milliseconds."""
    parameters = Parameters()
    rows = "\n".join(["SELECT Timestamp", *_newest(search, parameters, limit)])
    return Statement(f"SELECT count(), toUnixTimestamp64Milli(min(Timestamp))\nFROM (\n{rows}\n)", parameters.bound())


def _newest(search: Search, parameters: Parameters, limit: int) -> list[str]:
    """``FROM`` and what follows it: the newest rows that seem to match."""
    spans = of_candidates(search, parameters)
    asked = (exact(clause, parameters, spans=spans) for clause in search.clauses if isinstance(clause, SomeSpan))
    where = _where([*seeming(search, parameters), *asked])
    return ["FROM trace_rows", *where, "ORDER BY Timestamp DESC", f"LIMIT {parameters.add(limit, 'UInt64')}"]


def compile_rows(trace_id: str) -> Statement:
    """The statement that reads all rows of a trace, given as bare id, as the trace that each is if no other tells of it: the columns ``COLUMNS``.

    Then follow whether the trace was edited, and between which times the spans start that the row counts, in Unix nanoseconds.
    """
    parameters = Parameters()
    named = f"WHERE TraceId = {parameters.text(trace_id)}"
    edited = f"TraceId IN (SELECT TraceId FROM trace_tags {named}) AS Edited"  # noqa: S608  our own words
    times = (f"toUnixTimestamp64Nano({time}) AS {time}Ns" for time in ("First", "Last"))
    return Statement("\n".join([f"SELECT {', '.join([*COLUMNS, edited, *times])}", "FROM trace_rows", named]), parameters.bound())


def compile_merged(search: Search, trace_ids: Sequence[str]) -> Statement:
    """The columns of ``compile_`` of those among some traces, given as bare ids, that match, each merged from all of its rows; not sorted."""
    parameters = Parameters()
    keys = _keys(search, parameters)
    named = f"TraceId IN {parameters.texts(tuple(trace_ids))}"
    lines = [f"SELECT {', '.join(_columns(keys))}", "FROM traces_merged", *_where([named, *_judged(search, parameters, keys)])]
    return Statement("\n".join(lines), parameters.bound())


def _keys(search: Search, parameters: Parameters) -> list[str]:
    return [nullable(sorting.field, parameters) for sorting in search.order]


def _select(search: Search, keys: Sequence[str]) -> tuple[str, str]:
    """``SELECT`` with its columns, and ``ORDER BY``."""
    directions = [f"{key} {'DESC' if sorting.descending else 'ASC'} NULLS LAST" for key, sorting in zip(keys, search.order, strict=True)]
    return f"SELECT {', '.join(_columns(keys))}", f"ORDER BY {', '.join(directions)}"


def _columns(keys: Sequence[str]) -> list[str]:
    return [*COLUMNS, *(f"{key} AS Key{number}" for number, key in enumerate(keys))]


def _window(limit: int, offset: int, parameters: Parameters) -> str:
    return f"LIMIT {parameters.add(limit, 'UInt64')} OFFSET {parameters.add(offset, 'UInt64')}"


def compile_count(search: Search, *, several: bool = True) -> Statement:
    """The statement that counts the matching traces; the order does not matter and ``after`` is not looked at; ``several`` is as of ``source``."""
    parameters = Parameters()
    return Statement(f"SELECT count()\n{source(replace(search, after=None), parameters, several=several)}", parameters.bound())


def compile_groups(search: Search, field: TraceField, *, limit: int, several: bool = True) -> Statement:
    """The statement that counts the matching traces by the value of a field, the most frequent first. A missing and an empty one is NULL."""
    parameters = Parameters()
    value = hot_column(field) or nullable(field, parameters)
    if isinstance(field, MapField):
        value = f"nullIf({value}, '')"
    lines = [f"SELECT {value} AS Value, count() AS Traces", source(replace(search, after=None), parameters, several=several)]
    lines += ["GROUP BY Value", "ORDER BY Traces DESC, Value ASC NULLS LAST", f"LIMIT {parameters.add(limit, 'UInt64')}"]
    return Statement("\n".join(lines), parameters.bound())


def compile_any_several() -> Statement:
    """The statement that tells, in one row, whether there are traces of which more than one row tells, or that were edited."""
    return Statement("SELECT count() > 0 FROM trace_repeats", {})


def compile_several(search: Search, trace_ids: Sequence[str], *, limit: int) -> Statement:
    """The statement that tells, in one row, which traces have to be merged to judge what ``compile_newest`` found, by their bare ids.

    Args:
        search: what is searched for.
        trace_ids: ids of the traces that were found: those are told of which more than one row tells, or that were edited.
        limit: of those besides whose root may not say what matches while another row does, one more than so many are told at most.
    """
    parameters = Parameters()
    named = f"WHERE TraceId IN {parameters.texts(tuple(trace_ids))}"
    rows = " UNION ALL ".join(f"SELECT TraceId FROM {table} {named}" for table in ("trace_carriers", "trace_tags"))  # noqa: S608  our own words
    several = f"SELECT TraceId FROM ({rows}) GROUP BY TraceId HAVING count() > 1"  # noqa: S608  the same
    besides = "[]"
    if said := said_elsewhere(search, parameters):
        keys = f"SELECT Key FROM trace_carriers WHERE {said}"  # noqa: S608  the same
        parted = f"SELECT TraceId FROM trace_carriers WHERE Key IN ({keys}) GROUP BY TraceId HAVING count() > 1"  # noqa: S608  the same
        besides = f"(SELECT groupArray({limit + 1})(TraceId) FROM ({parted}))"  # noqa: S608  the same
    return Statement(f"SELECT groupArray(TraceId), {besides}\nFROM ({several})", parameters.bound())


def source(search: Search, parameters: Parameters, keys: Sequence[str] = (), *, several: bool = True) -> str:
    """``FROM`` and what follows it: the rows of ``traces`` that match. All of them are looked at, the cheapest way.

    Args:
        search: which traces; its order is not looked at.
        parameters: takes what is bound.
        keys: SQL for the search's order, needed if it begins after a row.
        several: whether there are traces of which more than one row tells, or that were edited: see ``compile_any_several``.
    """
    if next(trace_ids(search), None) is not None or any(map(asks_of_spans, search.clauses)):
        return merged(search, parameters, keys)
    judged = list(_judged(search, parameters, keys))
    if not several:
        return "\n".join(["FROM trace_rows", *_where(judged)])
    repeats = "(SELECT Key FROM trace_repeats)"
    rows = ["SELECT * EXCEPT (Key, StateAlone, SentTags, First, Last)", "FROM trace_rows", *_where([*judged, f"Key NOT IN {repeats}"])]
    others = ["SELECT * EXCEPT (Key)", "FROM traces_merged", *_where([f"Key IN {repeats}", *necessary(search, parameters), *judged])]
    return "\n".join(["FROM (", *rows, "UNION ALL", *others, ")"])


def merged(search: Search, parameters: Parameters, keys: Sequence[str] = ()) -> str:
    """The same for a search that names its traces, or narrows them to a few: those are merged, whether or not it takes that.

    Args:
        search: as of ``source``.
        parameters: as of ``source``.
        keys: as of ``source``.
    """
    return "\n".join(["FROM traces_merged", *_where(list(conditions(search, parameters, keys)))])


def conditions(search: Search, parameters: Parameters, keys: Sequence[str] = ()) -> Iterator[str]:
    """The conditions on a row of ``traces`` that a search stands for, and those by which few traces are merged; arguments as of ``merged``."""
    yield from _judged(search, parameters, keys)
    yield from necessary(search, parameters)


def _where(conditions: Sequence[str]) -> Iterator[str]:
    for number, condition in enumerate(conditions):
        yield f"{'  AND' if number else 'WHERE'} {condition}"


def _judged(search: Search, parameters: Parameters, keys: Sequence[str]) -> Iterator[str]:
    """The conditions on a row of ``traces`` that a search stands for."""
    spans = of_candidates(search, parameters) if any(map(asks_of_spans, search.clauses)) else ""
    yield from (exact(clause, parameters, spans=spans) for clause in search.clauses)
    if search.services is not None:
        yield exact(OneOf(field=EXPERIMENT, values=search.services, negated=False), parameters)
    if search.since_ns is not None:
        yield f"Timestamp >= {parameters.nanoseconds(search.since_ns)}"
    if search.until_ns is not None:
        yield f"Timestamp <= {parameters.nanoseconds(search.until_ns)}"
    if search.after is not None:
        yield _after(search.order, search.after, keys, parameters)


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
