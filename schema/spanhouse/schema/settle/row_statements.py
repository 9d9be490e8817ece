"""Statements of settling: the SELECT that defines a trace's row, with sources, columns and versions filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from spanhouse.schema.tables import migrations

_NAME: Final = re.compile(r"^    (?! |mapUpdate|multiIf).*?(`?[\w.]+`?),?$|^        .* AS (Tags|State|Prompts),$", re.MULTILINE)
_VERSION: Final = (
    "bitShiftLeft(toUInt128(length(Spans)), 96) + bitShiftLeft(toUInt128(least(Stamped, 65535)), 80) + bitShiftLeft(least(Copies, 1023), 6) + "
    "bitShiftLeft(NOT (CandidateRank = 2 AND has(Spans.1, Parent)), 5) + bitAnd(cityHash64("
    "Start, SpanId, RootRank, CandidateName, StatusCode, CandidateDuration, Counted, Metadata, Last, Took), 31)"
)
_PLACED: Final = "greatest(Timestamp, fromUnixTimestamp64Nano(toInt64(1)))"
"""Place of a trace in time, its start; 0 is the place of traces that wait for their root."""
_EDITED_TAGS: Final = (
    "if(empty(edits.Edits), Tags, mapUpdate(mapFilter((k, v) -> NOT has(edits.Edits.2, k), CAST(Tags, 'Map(String, String)')), "
    "mapFromArrays(kept.2, kept.3)))"
)
_SETTLED_FIRST: Final = f"place.1 AS Sorted, {_VERSION} AS Version, place.2 AS Gone, "
_REMADE_FIRST: Final = f"{_VERSION} AS Version, "
_LARGE_FIRST: Final = "Copies, "
_PARTS_AT_HAND: Final = """(
    SELECT * FROM spanhouse_trace_parts
    WHERE Received >= {since:DateTime64(3)} AND TraceId NOT IN {apart:Array(String)} AND TraceHash IN (
        SELECT touched.TraceHash FROM spanhouse_trace_parts AS touched
        WHERE touched.Received >= {since:DateTime64(3)} AND touched.Arrival IN {arrivals:Array(UInt64)})
)"""
_SPANS_OF_TRACES: Final = (
    "(SELECT * FROM otel_traces WHERE TraceId IN {trace_ids:Array(String)} "
    "AND Timestamp BETWEEN fromUnixTimestamp64Nano({first:Int64}) AND fromUnixTimestamp64Nano({last:Int64}))"
)
_GATHERED: Final = re.compile(r"\bgroupArray\((.*)\)(?= AS )")
"""Lists of spans in a part."""
_ORPHAN: Final = (
    f"ParentSpanId NOT IN ('', SpanId) AND cityHash64(TraceId, ParentSpanId) NOT IN (SELECT cityHash64(TraceId, SpanId) FROM {_SPANS_OF_TRACES})"  # noqa: S608
)
"""A span whose parent is not stored: one such span proves that a trace without root is no circle."""
_ON_DISK: Final = ", max_bytes_before_external_sort = 67108864, max_bytes_before_external_group_by = 67108864"
"""Settings that let a statement spill to disk; the merge of its files holds one block of each in memory."""
_PARTS_MADE: Final = """(
    SELECT * FROM spanhouse_trace_parts
    WHERE Received >= {since:DateTime64(3)} AND Arrival = {arrival:UInt64} AND TraceId IN {trace_ids:Array(String)}
)"""


@cache
def row_columns() -> tuple[str, ...]:
    """Return the columns of ``settled_rows`` as in its SQL; the enclosing statement adds ``Sorted``, ``Version`` and ``Gone``."""
    text = migrations.statement("settled_rows")
    outermost = text[text.index("\nSELECT\n") : text.index("\nFROM counted")]
    return tuple((found[1] or found[2]).rpartition("}")[2] for found in _NAME.finditer(outermost))


def _filled(name: str, *, settled: str = "", **columns: str) -> str:
    """Fill in a statement's columns, its source and its places.

    Args:
        name: name of the statement's file.
        settled: SQL of merged rows.
        columns: SQL of columns that are computed, by name.
    """
    head, where, rest = migrations.statement(name).partition("\nSELECT")
    names = ", ".join(row_columns())
    values = ",\n    ".join(columns.get(column, column) for column in row_columns())
    filled = head.replace("{columns}", names) + where + rest.replace("{columns}", values, 1).replace("{columns}", names)
    filled = filled.replace("{settled}", settled).replace("{placed}", _PLACED)
    return filled.replace("{spans}", _SPANS_OF_TRACES)


def _merged(parts: str, first: str) -> str:
    """Return the SELECT that merges parts into rows.

    Args:
        parts: SQL of the parts.
        first: SQL of further columns, before the row's own.
    """
    return migrations.statement("settled_rows").replace("{parts}", parts).replace("{first}", first)


@cache
def settle() -> str:
    """Return the INSERT that writes the rows of the traces that some arrivals touched."""
    return _filled("settle", settled=_merged(_PARTS_AT_HAND, _SETTLED_FIRST))


@cache
def remade_rows() -> str:
    """Return the INSERT that writes the rows of traces from remade parts, which cover all their spans."""
    return _filled("remade_rows", settled=_merged(_PARTS_MADE, _REMADE_FIRST), Tags=_EDITED_TAGS)


@cache
def large_rows() -> str:
    """Return the INSERT that writes the rows of traces with very many spans, from the spans."""
    _, select = _select_of_parts()
    parts = _GATHERED.sub(rf"groupArrayIf(1)(\1, {_ORPHAN})", select)
    merged = _merged(f"({migrations.statement('listless_parts').replace('{parts}', f'({parts})')})", _LARGE_FIRST)
    owners = migrations.statement("owners")
    settled = migrations.statement("large_rows").replace("{owners}", f"({owners})").replace("{settled}", merged)
    return _filled("remade_rows", settled=settled, Tags=_EDITED_TAGS) + _ON_DISK


@cache
def large_traces() -> str:
    """Return the SELECT that gives for traces with very many spans their number, whether the root is stored, and the models."""
    return migrations.statement("large_traces").replace("{spans}", _SPANS_OF_TRACES)


@cache
def expired_rows() -> str:
    """Return the INSERT that keeps the rows of traces whose spans have expired, with edits of tags."""
    return _filled(
        "expired_rows",
        Tags=_EDITED_TAGS,
        Partial="1",
        Settled="now()",
        SpanCount="greatest(SpanCount, left_over.Spans)",
        ErrorCount="greatest(ErrorCount, left_over.Errors)",
    )


@cache
def aged_rows() -> str:
    """Return the INSERT that gives quiet traces without root their places."""
    return _filled("aged_rows", Settled="now()")


@cache
def remade_parts() -> str:
    """Return the INSERT that writes the parts of some traces from all their spans."""
    names, select = _select_of_parts()
    return f"INSERT INTO spanhouse_trace_parts (Whole, {', '.join(names)})\n{select.replace('SELECT', 'SELECT 1,', 1)}"


def _select_of_parts() -> tuple[Sequence[str], str]:
    """Return the columns and the SELECT of parts for all spans of some traces; the SELECT is that of the view on inserts."""
    (view,) = (text for text in migrations.load().baseline.statements if "MATERIALIZED VIEW IF NOT EXISTS spanhouse_spans_to_parts" in text)
    select = view[view.index("\nSELECT\n") + 1 :]
    outermost = select[: select.index("\nFROM\n")]
    names = [line.rstrip(",").rpartition(" ")[2] for line in outermost.splitlines()[1:] if line.startswith("    ")]
    arrival = next(line for line in outermost.splitlines() if line.endswith("AS Arrival,"))
    made = select.replace(arrival, "    {arrival:UInt64} AS Arrival,").replace("FROM otel_traces", f"FROM {_SPANS_OF_TRACES}")
    return names, made
