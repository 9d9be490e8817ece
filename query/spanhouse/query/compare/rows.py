"""One row for each trace, with the columns of the view ``traces`` that a comparison looks at, at a tenth of the view's cost.

Most traces are told of by one row of ``trace_carriers``, and what the view says of such a trace follows from that row alone. The others,
and all traces where tags matter, which can be edited later, are left to the view. A test holds both to say the same.
"""
# ruff: noqa: S608  what is put together here are this module's own words and placeholders; tests hold that a user's are never among them

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Final

from spanhouse.query.conditions import exact, value_of
from spanhouse.query.necessary import necessary
from spanhouse.query.predicate import All, AttributeField, Compare, Either, MapColumn, MapField, Missing, Not, OneOf, SpanField, TraceField
from spanhouse.query.search import Search
from spanhouse.query.statement import Parameters, Statement
from spanhouse.schema.hot_keys import HOT_COLUMNS
from spanhouse.schema.vocabulary import SESSION

_MAP: Final = "'Map(String, String)'"
_ZIPPED: Final = "arrayDistinct(arrayZip(row.`Spans.id`, row.`Spans.error`, row.`Spans.input_tokens`, row.`Spans.output_tokens`, row.`Spans.cost`))"


def _spent(column: str, place: int) -> str:
    """The sum of what spans report, without those that repeat their children's; the dear way only where a span came twice in one insert."""
    once = f"arraySum((value, id) -> if(has(row.SpendingParents, id), 0, value), row.`Spans.{column}`, row.`Spans.id`)"
    twice = f"arraySum(arrayFilter(span -> NOT has(row.SpendingParents, span.1), {_ZIPPED}).{place})"
    return f"if(length(arrayDistinct(row.`Spans.id`)) = length(row.`Spans.id`), {once}, {twice})"


_COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TraceId": "row.TraceId",
        "Timestamp": "row.Timestamp",
        "Duration": "row.Duration",
        "Name": "row.Name",
        "ServiceName": "row.ServiceName",
        "State": "multiIf(row.State IN ('OK', 'ERROR', 'IN_PROGRESS', 'STATE_UNSPECIFIED'), row.State, row.Rank = 3, 'IN_PROGRESS', "
        "row.StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'ERROR', 'OK')",
        "SpanCount": "length(arrayDistinct(row.`Spans.id`))",
        "ErrorCount": "length(arrayDistinct(arrayFilter((id, error) -> error, row.`Spans.id`, row.`Spans.error`)))",
        "ClientRequestId": "row.ClientRequestId",
        "RequestPreview": "row.RequestPreview",
        "ResponsePreview": "row.ResponsePreview",
        "InputTokens": _spent("input_tokens", 3),
        "OutputTokens": _spent("output_tokens", 4),
        "Cost": f"nullIf({_spent('cost', 5)}, 0)",
        "RootSpanId": "if(row.Rank = 3, '', row.SpanId)",
    }
)
"""Column of ``traces`` -> what it is where a trace has one row."""
_SEVERAL: Final = "SELECT cityHash64(TraceId) AS Hash FROM trace_carriers GROUP BY Hash HAVING count() > 1"
"""Hashes of traces that have several rows. One whose hash another one has, too, is left to the view as well."""
SEVERAL: Final = Statement(f"SELECT count() > 0 FROM ({_SEVERAL} LIMIT 1)", {})
"""Tells whether there are such traces, in one row."""
_KNOWN: Final = (All, Either, Not, Compare, OneOf, Missing, MapField, AttributeField)


def trace_rows(search: Search, values: Mapping[str, TraceField], parameters: Parameters, *, among: OneOf | None, several: bool) -> str:
    """The SELECT that gives a row for each matching trace: the columns of ``traces``, SessionId and a column for each of some fields.

    Args:
        search: which traces; order and ``after`` are not looked at.
        values: columns to add, by name: '' where a trace has no value.
        parameters: takes what is bound.
        among: what the caller keeps of the rows: others may be missing.
        several: whether there are traces of which several rows tell, see ``SEVERAL``.
    """
    asked = {"SessionId": MapField(MapColumn.METADATA, SESSION), **values}
    conditions = " AND ".join(["1", *_conditions(search, parameters)])
    added = [f"{value_of(field, parameters)} AS {name}" for name, field in asked.items()]
    view = f"SELECT {', '.join([*_COLUMNS, 'Metadata', 'Tags', *added])} FROM traces WHERE {conditions}"
    looked_at = list(_parts(search.predicate))
    if any(isinstance(part, MapField) and part.column is MapColumn.TAGS for part in (*looked_at, *values.values())):
        narrowed = search if among is None else replace(search, predicate=All((*search.clauses, among)))
        return " AND ".join([view, *necessary(narrowed, parameters)])
    columns = [f"{sql} AS {name}" for name, sql in _COLUMNS.items()]
    columns += [f"{_metadata(looked_at, parameters)} AS Metadata", f"CAST(map(), {_MAP}) AS Tags"]
    columns += [f"{_in_row(field, parameters)} AS {name}" for name, field in asked.items()]
    alone = f"SELECT {', '.join(columns)} FROM trace_carriers AS row"
    if not several:
        return f"SELECT * FROM ({alone}) WHERE {conditions}"
    others = f"SELECT row.TraceId FROM trace_carriers AS row WHERE cityHash64(row.TraceId) IN ({_SEVERAL})"
    if among is not None and not isinstance(among.field, SpanField):  # a value of merged metadata stands in a row
        others += f" AND {_in_row(among.field, parameters)} IN {parameters.values(among.values)}"
    alone += f" WHERE cityHash64(row.TraceId) NOT IN ({_SEVERAL})"
    return f"SELECT * FROM ({alone}) WHERE {conditions}\nUNION ALL\n{view} AND TraceId IN ({others})"


def _conditions(search: Search, parameters: Parameters) -> Iterator[str]:
    yield from (exact(clause, parameters) for clause in search.clauses)
    if search.since_ns is not None:
        yield f"Timestamp >= {parameters.nanoseconds(search.since_ns)}"
    if search.until_ns is not None:
        yield f"Timestamp <= {parameters.nanoseconds(search.until_ns)}"


def _parts(value: object) -> Iterator[object]:
    """All that a predicate is made of, itself included."""
    if is_dataclass(value):
        yield value
        for field in fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item)


def _metadata(looked_at: list[object], parameters: Parameters) -> str:
    """The metadata of a row: of the keys that a predicate looks at, or all where it does what this module does not know."""
    if not all(isinstance(part, _KNOWN) for part in looked_at):
        return f"CAST(mapUpdate(row.ProcessMetadata, row.TraceMetadata), {_MAP})"
    wanted = sorted({part.key for part in looked_at if isinstance(part, MapField)})
    if not wanted:
        return f"CAST(map(), {_MAP})"
    keys = [parameters.text(key) for key in wanted]
    values = [_in_row(MapField(MapColumn.METADATA, key), parameters) for key in wanted]
    here = ", ".join(f"mapContains(row.TraceMetadata, {key}) OR mapContains(row.ProcessMetadata, {key})" for key in keys)
    kept = [f"arrayFilter((one, here) -> here, [{', '.join(pieces)}], [{here}])" for pieces in (keys, values)]
    return f"CAST(mapFromArrays({', '.join(kept)}), {_MAP})"


def _in_row(field: TraceField, parameters: Parameters) -> str:
    """What a row says of a field; '' for nothing."""
    if isinstance(field, AttributeField):
        return _COLUMNS[field.attribute.sql]
    if column := HOT_COLUMNS.get(field.key):
        return f"row.{column}"
    key = parameters.text(field.key)
    return f"if(mapContains(row.TraceMetadata, {key}), row.TraceMetadata[{key}], row.ProcessMetadata[{key}])"
