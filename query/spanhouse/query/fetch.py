"""Runs searches on a connection: rows of a page, the newest first where that is enough, and the spans of traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from spanhouse.query.compile_ import compile_, compile_count
from spanhouse.query.connection import Connection
from spanhouse.query.models import Span, Trace, TraceData
from spanhouse.query.necessary import trace_ids
from spanhouse.query.order import newest_first
from spanhouse.query.read import Row, compile_spans, read_info, read_spans
from spanhouse.query.search import Search
from spanhouse.query.statement import Statement

_EXTENT: Final = Statement("SELECT count(), toUnixTimestamp64Nano(min(Timestamp)), toUnixTimestamp64Nano(max(Timestamp)) FROM traces_parts", {})
_PARTS_PER_ROW: Final = 16
"""A page is first looked for among so many times its rows of the newest parts: enough if one trace in eight matches."""
_SLACK: Final = 4
"""The newest parts are looked for in so many times the span of time that they would fill if parts came evenly."""
_SPANS_OF_TRACES: Final = 200
"""Traces whose spans are read by one statement."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much the store holds: parts of traces, and their earliest and latest start in Unix nanoseconds."""

    parts: int
    earliest_ns: int
    latest_ns: int


def read_extent(connection: Connection) -> Extent:
    """How much the store holds now; the engine answers from what it knows of its files."""
    ((parts, earliest_ns, latest_ns),) = connection.run(_EXTENT)
    return Extent(parts, earliest_ns, latest_ns)


def read_rows(connection: Connection, search: Search, extent: Extent, *, limit: int, offset: int = 0) -> Sequence[Row]:
    """At most ``limit`` rows of a search.

    A search for the newest looks at the newest parts first; what it finds there is right if it fills the page.
    """
    parts = (limit + offset) * _PARTS_PER_ROW
    if parts < extent.parts and newest_first(search.order) and next(trace_ids(search), None) is None:
        latest_ns = min(extent.latest_ns, search.start_bounds_ns()[1])
        since_ns = latest_ns - (extent.latest_ns - extent.earliest_ns) * parts * _SLACK // extent.parts
        rows = connection.run(compile_(search, limit=limit, offset=offset, newest_parts=parts, since_ns=since_ns))
        if len(rows) == limit:
            return rows
    return connection.run(compile_(search, limit=limit, offset=offset))


def count(connection: Connection, search: Search) -> int:
    """How many traces match."""
    return int(connection.run(compile_count(search))[0][0])


def to_traces(connection: Connection, rows: Iterable[Row], *, include_spans: bool) -> list[Trace]:
    """The traces of some rows, with their spans, or with spans that are read when they are asked for."""
    infos = [read_info(row) for row in rows]
    ids = [info.trace_id.removeprefix("tr-") for info in infos]
    if not include_spans:
        return [Trace(info, TraceData(read=partial(spans_of, connection, trace_id))) for info, trace_id in zip(infos, ids, strict=True)]
    spans: dict[str, list[Span]] = {}
    for first in range(0, len(ids), _SPANS_OF_TRACES):
        spans |= read_spans(connection.run(compile_spans(ids[first : first + _SPANS_OF_TRACES])))
    return [Trace(info, TraceData(spans.get(trace_id, ()))) for info, trace_id in zip(infos, ids, strict=True)]


def spans_of(connection: Connection, trace_id: str) -> Sequence[Span]:
    """All spans of the trace with this bare id, by their start."""
    return read_spans(connection.run(compile_spans([trace_id]))).get(trace_id, [])
