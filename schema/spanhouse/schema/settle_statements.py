"""Statements of settling, put together: the SELECT that says what a row is, with sources, columns and versions filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from spanhouse.schema import migrations

_NAME: Final = re.compile(r"^    (?! |mapUpdate|multiIf).*?(`?[\w.]+`?),?$|^        .* AS (Tags|State),$", re.MULTILINE)
_VERSION: Final = (
    "bitShiftLeft(toUInt128(SpanCount), 96) + bitShiftLeft(toUInt128(least(Stamped, 65535)), 80) + "
    "bitShiftLeft(least(Copies, 1023), 6) + bitShiftLeft(NOT Doubt, 5) + bitAnd(cityHash64("
    "Timestamp, RootSpanId, Name, State, Duration, ErrorCount, ifNull(InputTokens, -1), ifNull(OutputTokens, -1), ifNull(Cost, -1), "
    "Metadata, Tags, `Services.Spans`), 31)"
)
_PLACED: Final = "greatest(Timestamp, fromUnixTimestamp64Nano(toInt64(1)))"
"""Place of a trace that stands at its start; 0 is the place of those that wait for their root."""
_EDITED_TAGS: Final = (
    "if(empty(edits.Edits), Tags, mapUpdate(mapFilter((k, v) -> NOT has(edits.Edits.2, k), CAST(Tags, 'Map(String, String)')), "
    "mapFromArrays(kept.2, kept.3)))"
)
_INTERNAL: Final = frozenset({"Stamped", "Copies", "Several"})
_PARTS_AT_HAND: Final = """(
    SELECT * FROM spanhouse_trace_parts
    WHERE Received >= {since:DateTime64(3)} AND TraceId NOT IN {apart:Array(String)} AND Key IN (
        SELECT touched.Key FROM spanhouse_trace_parts AS touched
        WHERE touched.Received >= {since:DateTime64(3)} AND touched.Arrival IN {arrivals:Array(UInt64)})
)"""
_SPANS_OF_TRACES: Final = (
    "(SELECT * FROM otel_traces WHERE TraceId IN {trace_ids:Array(String)} "
    "AND Timestamp BETWEEN fromUnixTimestamp64Nano({first:Int64}) AND fromUnixTimestamp64Nano({last:Int64}))"
)
_GATHERED: Final = re.compile(r"\bgroupArray\((.*)\)(?= AS )")
"""Lists of spans in a part."""
_ON_DISK: Final = ", max_bytes_before_external_sort = 67108864, max_bytes_before_external_group_by = 67108864, max_block_size = 4096"
"""Settings by which a statement goes on on disk where it would take much memory; of each file there a block is held when they are merged."""
_PARTS_MADE: Final = """(
    SELECT * FROM spanhouse_trace_parts
    WHERE Received >= {since:DateTime64(3)} AND Arrival = {arrival:UInt64} AND TraceId IN {trace_ids:Array(String)}
)"""


@cache
def row_columns() -> tuple[str, ...]:
    """Return the columns of ``settled_rows``, as they stand in SQL; ``Sorted``, ``Version`` and ``Gone`` come from the statement around it."""
    text = migrations.statement("settled_rows")
    outermost = text[text.index("SELECT\n") : text.index("\nFROM\n")]
    names = (found[1] or found[2] for found in _NAME.finditer(outermost))
    return tuple(name for name in names if name not in _INTERNAL)


def _filled(name: str, *, settled: str = "", **columns: str) -> str:
    """Return a statement with its columns, its version and its source filled in.

    Args:
        name: of the statement's file.
        settled: SQL that gives merged rows.
        columns: SQL of columns that are not taken as they are, by name.
    """
    head, where, rest = migrations.statement(name).partition("\nSELECT")
    names = ", ".join(row_columns())
    values = ",\n    ".join(columns.get(column, column) for column in row_columns())
    filled = head.replace("{columns}", names) + where + rest.replace("{columns}", values, 1).replace("{columns}", names)
    filled = filled.replace("{version}", _VERSION).replace("{placed}", _PLACED).replace("{settled}", settled)
    return filled.replace("{spans}", _SPANS_OF_TRACES)


def _merged(parts: str) -> str:
    """Return the SELECT that merges parts into rows."""
    return migrations.statement("settled_rows").replace("{parts}", parts)


@cache
def settle() -> str:
    """Return the INSERT that writes the rows of what some arrivals touched."""
    return _filled("settle", settled=_merged(_PARTS_AT_HAND))


@cache
def remade_rows() -> str:
    """Return the INSERT that writes the rows of traces from parts that were made of all their spans."""
    return _filled("remade_rows", settled=_merged(_PARTS_MADE), Tags=_EDITED_TAGS)


@cache
def large_rows() -> str:
    """Return the INSERT that writes the rows of traces with very many spans, from the spans."""
    _, select = _select_of_parts()
    parts = _GATHERED.sub(r"groupArrayIf(\1, 0)", select)
    merged = _merged(f"({migrations.statement('listless_parts').replace('{parts}', f'({parts})')})")
    owners = migrations.statement("owners")
    settled = migrations.statement("large_rows").replace("{owners}", f"({owners})").replace("{settled}", merged)
    return _filled("remade_rows", settled=settled, Tags=_EDITED_TAGS) + _ON_DISK


@cache
def large_traces() -> str:
    """Return the SELECT that says of traces with very many spans how many these are, and whether their roots are among them."""
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
    return _filled("aged_rows")


@cache
def remade_parts() -> str:
    """Return the INSERT that makes the parts of some traces from all their spans."""
    names, select = _select_of_parts()
    return f"INSERT INTO spanhouse_trace_parts (Whole, {', '.join(names)})\n{select.replace('SELECT', 'SELECT 1,', 1)}"


def _select_of_parts() -> tuple[Sequence[str], str]:
    """Return the SELECT that makes parts of all spans of some traces, and its columns: the SELECT that makes them of an insert."""
    (view,) = (text for text in migrations.load().baseline.statements if "MATERIALIZED VIEW IF NOT EXISTS spanhouse_spans_to_parts" in text)
    select = view[view.index("\nSELECT\n") + 1 :]
    outermost = select[: select.index("\nFROM\n")]
    names = [line.rstrip(",").rpartition(" ")[2] for line in outermost.splitlines()[1:] if line.startswith("    ")]
    arrival = next(line for line in outermost.splitlines() if line.endswith("AS Arrival,"))
    made = select.replace(arrival, "    {arrival:UInt64} AS Arrival,").replace("FROM otel_traces", f"FROM {_SPANS_OF_TRACES}")
    return names, made
