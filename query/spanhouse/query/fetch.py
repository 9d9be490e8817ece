"""Runs searches on a connection: rows of a page, the newest first where that is enough, and the spans of traces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from spanhouse.query.arguments import patterns
from spanhouse.query.compile_ import compile_, compile_among, compile_count, compile_several
from spanhouse.query.connection import INVALID_PATTERN, Connection, StatementError
from spanhouse.query.errors import FilterError
from spanhouse.query.models import Span, Trace, TraceData
from spanhouse.query.necessary import compile_newest, trace_ids
from spanhouse.query.order import newest_first
from spanhouse.query.parse import parse
from spanhouse.query.read import Row, compile_spans, read_info, read_spans
from spanhouse.query.search import Search
from spanhouse.query.statement import Parameters, Statement

_EXTENT: Final = Statement("SELECT count(), toUnixTimestamp64Nano(min(Timestamp)), toUnixTimestamp64Nano(max(Timestamp)) FROM trace_carriers", {})
_WINDOW_ROWS: Final = 500_000
"""The newest traces are first looked for in the time that about so many of the newest rows take."""
_MOST_IDS: Final = 600
"""Traces that one statement names."""
_SPANS_OF_TRACES: Final = 200
"""Traces whose spans are read by one statement."""


class Runs(Protocol):
    """What runs statements."""

    def run(self, statement: Statement) -> Sequence[Row]:
        """The rows that a statement gives."""
        ...


@dataclass(frozen=True, slots=True)
class Extent:
    """How much the store holds: rows that tell of traces, and their earliest and latest time in Unix nanoseconds."""

    rows: int
    earliest_ns: int
    latest_ns: int


def read_extent(connection: Runs) -> Extent:
    """How much the store holds now; the engine answers from what it knows of its files."""
    ((rows, earliest_ns, latest_ns),) = connection.run(_EXTENT)
    return Extent(rows, earliest_ns, latest_ns)


def read_rows(connection: Runs, search: Search, extent: Extent, *, limit: int, offset: int = 0) -> Sequence[Row]:
    """At most ``limit`` rows of a search.

    A search for the newest looks at what seems to match first; what it finds there is right if it fills the page.
    """
    if newest_first(search.order) and next(trace_ids(search), None) is None:
        wanted = (limit + offset) * 5 // 4 + 16
        for since_ns in _windows(search, extent):
            window = replace(search, since_ns=since_ns)
            ((found, oldest_ms, elsewhere, ids),) = connection.run(compile_newest(window, limit=wanted))
            named = elsewhere == 0 and len(ids) <= _MOST_IDS
            if found == wanted:
                # Of those that start in the oldest one's millisecond, which is all that the order looks at, some may not be among the ids.
                window = replace(search, since_ns=(oldest_ms + named) * 1_000_000)
            if named:
                rows = read_among(connection, window, ids, limit=limit, offset=offset)
            else:
                rows = connection.run(compile_(window, limit=limit, offset=offset, few=True, elsewhere=elsewhere > 0))
            if len(rows) == limit or window.since_ns is None:
                return rows
    return connection.run(compile_(search, limit=limit, offset=offset, several=any_several(connection)))


def read_among(connection: Runs, search: Search, trace_ids: Sequence[str], *, limit: int, offset: int = 0) -> Sequence[Row]:
    """At most ``limit`` rows of a search among some traces, given as bare ids; they are merged only if that changes anything."""
    if not trace_ids:
        return []
    several = bool(connection.run(compile_several(trace_ids))[0][0])
    return connection.run(compile_among(search, trace_ids, limit=limit, offset=offset, several=several))


def _windows(search: Search, extent: Extent) -> Iterator[int | None]:
    """From when on to look, in Unix nanoseconds: from near the latest that can match, then from the beginning (None)."""
    if extent.rows > _WINDOW_ROWS:
        latest_ns = min(extent.latest_ns, search.start_bounds_ns()[1])
        yield max(latest_ns - (extent.latest_ns - extent.earliest_ns) * _WINDOW_ROWS // extent.rows, search.start_bounds_ns()[0])
    yield None


def check_patterns(connection: Connection, filter_string: str | None) -> None:
    """Have the engine read every regular expression now, so that a wrong one is an error here and not when rows are read.

    Raises:
        FilterError: one is none.
    """
    for pattern in patterns(parse(filter_string)):
        parameters = Parameters()
        statement = Statement(f"SELECT match('', {parameters.text(pattern.value)})", parameters.bound())
        try:
            connection.run(statement)
        except StatementError as error:
            if error.code != INVALID_PATTERN:
                raise
            hint = "patterns are RE2's: no lookaround, no backreferences"
            raise FilterError("not a regular expression", filter_string or "", pattern.start, pattern.end, hint) from None


def any_several(connection: Runs) -> bool:
    """Whether there are traces of which more than one row tells: if not, none has to be merged."""
    return bool(connection.run(compile_several())[0][0])


def count(connection: Runs, search: Search) -> int:
    """How many traces match."""
    return int(connection.run(compile_count(search, several=any_several(connection)))[0][0])


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
