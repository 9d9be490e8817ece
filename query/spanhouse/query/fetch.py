"""Runs searches on a connection: rows of a page, the newest first where that is enough, and the spans of traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from spanhouse.query.arguments import patterns
from spanhouse.query.compile_ import (
    compile_,
    compile_any_several,
    compile_count,
    compile_merged,
    compile_newest,
    compile_rows,
    compile_several,
)
from spanhouse.query.connection import INVALID_PATTERN, Connection, StatementError
from spanhouse.query.errors import FilterError
from spanhouse.query.models import Span, Trace, TraceData
from spanhouse.query.necessary import compile_newest_spans, trace_ids
from spanhouse.query.order import in_order, newest_first
from spanhouse.query.parse import parse
from spanhouse.query.predicate import SomeSpan
from spanhouse.query.read import COLUMN_NAMES, Row, compile_spans, read_info, read_keys, read_spans
from spanhouse.query.search import EARLIEST_NS, Search
from spanhouse.query.statement import Parameters, Statement

_EXTENT: Final = Statement("SELECT count(), toUnixTimestamp64Nano(min(Timestamp)), toUnixTimestamp64Nano(max(Timestamp)) FROM trace_carriers", {})
_WINDOW_ROWS: Final = 500_000
"""The newest traces are first looked for in the time that about so many of the newest rows take."""
_TRACE_ID: Final = COLUMN_NAMES.index("TraceId")
_START_NS: Final = COLUMN_NAMES.index("StartNs")
_MS_NS: Final = 1_000_000
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


def read_rows(connection: Runs, search: Search, *, limit: int, offset: int = 0) -> Sequence[Row]:
    """At most ``limit`` rows of a search.

    A search for the newest looks at what seems to match first; what it finds there is right if it fills the page.
    """
    if newest_first(search.order) and next(trace_ids(search), None) is None:
        if any(isinstance(clause, SomeSpan) for clause in search.clauses):
            rows = _by_newest_spans(connection, search, limit=limit, offset=offset)
        else:
            rows = _by_newest_rows(connection, search, limit=limit, offset=offset)
        if rows is not None:
            return rows
    return connection.run(compile_(search, limit=limit, offset=offset, several=any_several(connection)))


def _by_newest_rows(connection: Runs, search: Search, *, limit: int, offset: int) -> Sequence[Row] | None:
    """The rows of a search by the newest rows that seem to match; None if these don't fill the page and there are more."""
    wanted = _looked_for(limit + offset)
    seeming = connection.run(compile_newest(search, limit=wanted))
    several = _several(connection, search, {row[_TRACE_ID] for row in seeming})
    window = search
    if len(seeming) == wanted:
        # Of those that start in the oldest one's millisecond, which is all that the order looks at, some may not be among the rows.
        oldest_ms = min(row[_START_NS] for row in seeming) // _MS_NS
        window = replace(search, since_ns=(oldest_ms + (several is not None)) * _MS_NS)
    if several is None:
        rows = connection.run(compile_(window, limit=limit, offset=offset, few=True))
    else:
        rows = _settled(connection, window, seeming, several)[offset : offset + limit]
    return rows if len(seeming) < wanted or len(rows) == limit else None


def _by_newest_spans(connection: Runs, search: Search, *, limit: int, offset: int) -> Sequence[Row] | None:
    """The rows of a search by the newest spans that fulfil what is asked of one; None as above."""
    wanted = _looked_for(limit + offset)
    for since_ns in _windows(search, read_extent(connection)):
        window = replace(search, since_ns=since_ns)
        ((found, oldest_ms, ids),) = connection.run(compile_newest_spans(window, limit=wanted))
        named = len(ids) <= _MOST_IDS
        if found == wanted:
            # As above.
            window = replace(search, since_ns=(oldest_ms + named) * _MS_NS)
        if named:
            rows = read_among(connection, window, ids)[offset : offset + limit]
        else:
            rows = connection.run(compile_(window, limit=limit, offset=offset, few=True))
        if len(rows) == limit or (since_ns is None and found < wanted):
            return rows
    return None


def read_among(connection: Runs, search: Search, trace_ids: Sequence[str]) -> Sequence[Row]:
    """All rows of a search among some traces, given as bare ids."""
    return _judged(connection, search, connection.run(compile_rows(search, trace_ids))) if trace_ids else []


def read_trace(connection: Connection, trace_id: str) -> Trace | None:
    """The trace with this bare id, with its spans; None if there is none."""
    rows = connection.run(compile_rows(Search(), [trace_id]))
    for row in _judged(connection, Search(), rows):
        times_ns = min(first_ns for *_, first_ns, _ in rows), max(last_ns for *_, last_ns in rows)
        spans = read_spans(connection.run(compile_spans([trace_id], times_ns)))
        return Trace(read_info(row), TraceData(spans.get(trace_id, ())))
    return None


def _judged(connection: Runs, search: Search, rows: Sequence[Row]) -> Sequence[Row]:
    """The matches among rows as ``compile_rows`` gives them; those are merged of which more than one row tells, or that were edited."""
    tell = Counter(row[_TRACE_ID] for row in rows)
    several = {trace_id for trace_id, edited in ((row[_TRACE_ID], row[-3]) for row in rows) if edited or tell[trace_id] > 1}
    return _settled(connection, search, [row[:-3] for row in rows], several)


def _settled(connection: Runs, search: Search, rows: Iterable[Row], several: Collection[str]) -> Sequence[Row]:
    """What matches, sorted: of rows as ``compile_newest`` gives them, those that are a trace, and the traces of several rows, merged."""
    since_ns = EARLIEST_NS if search.since_ns is None else search.since_ns
    settled = [row[:-1] for row in rows if row[-1] and row[_START_NS] >= since_ns and row[_TRACE_ID] not in several]
    if several:
        settled += connection.run(compile_merged(search, sorted(several)))
    return in_order(settled, search.order, read_keys)


def _several(connection: Runs, search: Search, trace_ids: Collection[str]) -> Collection[str] | None:
    """Which traces more than one row tells of or that were edited: of those with these bare ids, and of those that might match besides.

    None if they are too many to be named.
    """
    if len(trace_ids) > _MOST_IDS:
        return None if any_several(connection) else ()
    ((several, besides),) = connection.run(compile_several(search, sorted(trace_ids), limit=_MOST_IDS))
    found = {*several, *besides}
    return found if len(found) <= _MOST_IDS else None


def _looked_for(rows: int) -> int:
    """How many that seem to match are looked at to find so many rows: some are none, or are several rows of one trace."""
    return rows * 5 // 4 + 16


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
    return bool(connection.run(compile_any_several())[0][0])


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
