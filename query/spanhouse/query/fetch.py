"""Runs searches on a connection: rows of a page, the newest first where that is enough, and the spans of traces."""

from __future__ import annotations

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
    compile_oldest,
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
"""The newest spans are first looked for in the time that about so many of the newest rows of traces take."""
_TRACE_ID: Final = COLUMN_NAMES.index("TraceId")
_START_NS: Final = COLUMN_NAMES.index("StartNs")
_MS_NS: Final = 1_000_000
_MOST_IDS: Final = 600
"""Traces that one statement names."""
_MOST_ROWS: Final = 10_000
"""Rows that are looked at to find a page among them."""
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
    # Some that seem to match do not, or are several rows of one trace.
    wanted = (limit + offset) * 5 // 4 + 16
    if newest_first(search.order) and next(trace_ids(search), None) is None and wanted <= _MOST_ROWS:
        for since_ns in _windows(connection, search, wanted):
            page, whole = _newest(connection, replace(search, since_ns=since_ns), wanted, limit=limit, offset=offset)
            if len(page) == limit or (whole and since_ns == search.since_ns):
                return page
    return connection.run(compile_(search, limit=limit, offset=offset, several=any_several(connection)))


def _windows(connection: Runs, search: Search, wanted: int) -> Iterator[int | None]:
    """From when on to look for so many of the newest, in Unix nanoseconds: first from where they may begin, at last from where the search does.

    Rows are read from the newest on until there are enough; spans of other traces than those are looked at in vain.
    """
    if any(isinstance(clause, SomeSpan) for clause in search.clauses):
        extent = read_extent(connection)
        for since_ns in _stretches(search, extent):
            ((found, oldest_ms),) = connection.run(compile_newest_spans(replace(search, since_ns=since_ns), limit=wanted))
            if found == wanted:
                yield max(oldest_ms * _MS_NS, search.start_bounds_ns()[0])
                break
    yield search.since_ns


def _stretches(search: Search, extent: Extent) -> Iterator[int | None]:
    if extent.rows > _WINDOW_ROWS:
        latest_ns = min(extent.latest_ns, search.start_bounds_ns()[1])
        yield max(latest_ns - (extent.latest_ns - extent.earliest_ns) * _WINDOW_ROWS // extent.rows, search.start_bounds_ns()[0])
    yield search.since_ns


def _newest(connection: Runs, search: Search, wanted: int, *, limit: int, offset: int) -> tuple[Sequence[Row], bool]:
    """A page of a search as far as it is among so many rows that seem to match, and whether these were all."""
    if wanted <= _MOST_IDS:
        seeming = connection.run(compile_newest(search, limit=wanted))
        several = _several(connection, search, {row[_TRACE_ID] for row in seeming})
        if several is not None:
            return _settled(connection, _after_oldest(search, seeming, wanted), seeming, several)[offset : offset + limit], len(seeming) < wanted
    elif not any_several(connection):
        seeming = connection.run(compile_newest(search, limit=wanted))
        return _settled(connection, _after_oldest(search, seeming, wanted), seeming, ())[offset : offset + limit], len(seeming) < wanted
    ((found, oldest_ms),) = connection.run(compile_oldest(search, limit=wanted))
    window = replace(search, since_ns=oldest_ms * _MS_NS) if found == wanted else search
    return connection.run(compile_(window, limit=limit, offset=offset)), found < wanted


def _after_oldest(search: Search, seeming: Sequence[Row], wanted: int) -> Search:
    """The search among what starts later than the oldest row, if there are more than the rows."""
    if len(seeming) < wanted:
        return search
    # Of those that start in the oldest one's millisecond, which is all that the order looks at, some may not be among them.
    return replace(search, since_ns=(min(row[_START_NS] for row in seeming) // _MS_NS + 1) * _MS_NS)


def _several(connection: Runs, search: Search, trace_ids: Collection[str]) -> Collection[str] | None:
    """Which traces have to be merged: of those with these bare ids, and of those that might match besides. None if they are too many to be named."""
    ((found, besides),) = connection.run(compile_several(search, sorted(trace_ids), limit=_MOST_IDS))
    several = {*found, *besides}
    return several if len(several) <= _MOST_IDS else None


def read_trace(connection: Connection, trace_id: str) -> Trace | None:
    """The trace with this bare id, with its spans; None if there is none."""
    rows = connection.run(compile_rows(trace_id))
    several = len(rows) > 1 or any(edited for *_, edited, _, _ in rows)
    row = next(iter(connection.run(compile_merged(Search(), [trace_id])) if several else rows), None)
    if row is None:
        return None
    times_ns = min(first_ns for *_, first_ns, _ in rows), max(last_ns for *_, last_ns in rows)
    spans = read_spans(connection.run(compile_spans([trace_id], times_ns)))
    return Trace(read_info(row), TraceData(spans.get(trace_id, ())))


def _settled(connection: Runs, search: Search, rows: Iterable[Row], several: Collection[str]) -> Sequence[Row]:
    """What matches, sorted: of rows as ``compile_newest`` gives them, those that are a trace, and the traces of several rows, merged."""
    since_ns = EARLIEST_NS if search.since_ns is None else search.since_ns
    settled = [row[:-1] for row in rows if row[-1] and row[_START_NS] >= since_ns and row[_TRACE_ID] not in several]
    if several:
        settled += connection.run(compile_merged(search, sorted(several)))
    return in_order(settled, search.order, read_keys)


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
