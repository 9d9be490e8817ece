"""Executor of plans and other statements on a connection; converts their rows to traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, Protocol

from spanhouse.query.errors import FilterError
from spanhouse.query.language.resolver import Filter
from spanhouse.query.models import Span, Trace, TraceData
from spanhouse.query.search.plan import plan
from spanhouse.query.sql.resolved_search import Search
from spanhouse.query.sql.rows import Row, compile_spans, read_info, read_spans
from spanhouse.query.sql.selects import ROWS, compile_count, compile_trace
from spanhouse.query.sql.statement import Parameters, Statement
from spanhouse.query.store.connection import INVALID_PATTERN, StatementError
from spanhouse.schema.trace_attributes import WAITING

_LATEST: Final = Statement(
    f"SELECT toUnixTimestamp64Nano(greatest((SELECT max(Sorted) FROM {ROWS}), (SELECT max(Timestamp) FROM {ROWS} WHERE {WAITING})))",  # noqa: S608  our own words
    {},
)
_SPANS_OF_TRACES: Final = 200
"""Traces whose spans are read by one statement."""


class Runs(Protocol):
    """A runner of statements."""

    def run(self, statement: Statement) -> Sequence[Row]:
        """Run a statement and return its rows."""
        ...


def read_latest_ns(connection: Runs) -> int:
    """Read the start of the newest trace, in Unix nanoseconds; 0 without traces."""
    ((latest_ns,),) = connection.run(_LATEST)
    return int(latest_ns)


def read_rows(connection: Runs, search: Search, *, limit: int, offset: int = 0) -> Sequence[Row]:
    """Plan a search, and read at most ``limit`` of its rows."""
    planned = plan(search, limit=limit, offset=offset)
    for look in planned.looks:
        found = look.read(connection.run(look.look()))
        rows = connection.run(look.page(found))
        if len(rows) == limit or not look.cut(found):
            return rows
    return connection.run(planned.everything)


def read_trace(connection: Runs, trace_id: str) -> Trace | None:
    """Read the trace with this bare id, with its spans; None if there is none."""
    for row in connection.run(compile_trace(trace_id)):
        *_, first_ns, last_ns = row
        spans = read_spans(connection.run(compile_spans([trace_id], (first_ns, last_ns))))
        return Trace(read_info(row), TraceData(spans.get(trace_id, ())))
    return None


def count(connection: Runs, search: Search) -> int:
    """Count the traces that match."""
    return int(connection.run(compile_count(search))[0][0])


def check_patterns(connection: Runs, read: Filter) -> None:
    """Let the engine validate every regular expression of a filter, so that an invalid one fails here and not when rows are read.

    Raises:
        FilterError: a pattern is invalid.
    """
    if not read.patterns or _all_patterns(connection, [pattern.value for pattern in read.patterns]):
        return
    for pattern in read.patterns:
        if not _all_patterns(connection, [pattern.value]):
            hint = "patterns are RE2's: no lookaround, no backreferences"
            raise FilterError("not a regular expression", read.text, pattern.start, pattern.end, hint)


def _all_patterns(connection: Runs, texts: Sequence[str]) -> bool:
    """Tell whether all of some texts are valid regular expressions to the engine."""
    parameters = Parameters()
    tested = ", ".join(f"match('', {parameters.text(text)})" for text in texts)
    try:
        connection.run(Statement(f"SELECT {tested}", parameters.bound()))
    except StatementError as error:
        if error.code != INVALID_PATTERN:
            raise
        return False
    return True


def to_traces(connection: Runs, rows: Iterable[Row], *, include_spans: bool) -> list[Trace]:
    """Convert rows to traces; spans are read now, or at the first access to ``data.spans``."""
    infos = [read_info(row) for row in rows]
    ids = [info.trace_id.removeprefix("tr-") for info in infos]
    if not include_spans:
        return [Trace(info, TraceData(read=partial(spans_of, connection, trace_id))) for info, trace_id in zip(infos, ids, strict=True)]
    spans: dict[str, list[Span]] = {}
    for first in range(0, len(ids), _SPANS_OF_TRACES):
        spans |= read_spans(connection.run(compile_spans(ids[first : first + _SPANS_OF_TRACES])))
    return [Trace(info, TraceData(spans.get(trace_id, ()))) for info, trace_id in zip(infos, ids, strict=True)]


def spans_of(connection: Runs, trace_id: str) -> Sequence[Span]:
    """Read all spans of the trace with this bare id, by their start."""
    return read_spans(connection.run(compile_spans([trace_id]))).get(trace_id, [])
