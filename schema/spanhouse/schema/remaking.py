"""Rows of traces made anew from the spans that are stored: of all traces, or of those that an interrupted copy may have left without rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spanhouse.schema import settle, windows
from spanhouse.schema.execute import Execute, number
from spanhouse.schema.settle import Stored
from spanhouse.schema.windows import AROUND_WINDOW, IN_WINDOW, Step, Window

_JOB: Final = "settle --all"
_TRACES: Final = f"""SELECT TraceId, count(), min(toUnixTimestamp64Nano(Timestamp)) AS first, max(toUnixTimestamp64Nano(Timestamp))
FROM otel_traces
WHERE {AROUND_WINDOW} AND TraceId IN (SELECT inside.TraceId FROM otel_traces AS inside WHERE {IN_WINDOW} AND inside.TraceId != '')
GROUP BY TraceId
ORDER BY first
SETTINGS use_skip_indexes = 0, distributed_product_mode = 'local'"""  # noqa: S608 our own words
"""Neighbours in time: their spans lie in few places. All of them are looked through, which for so many traces costs less than the index of ids."""
_LONG: Final = """SELECT TraceId
FROM otel_traces
WHERE TraceId != ''
GROUP BY TraceId
HAVING max(Timestamp) - min(Timestamp) >= 86400
SETTINGS max_bytes_before_external_group_by = 134217728"""
"""Traces that may reach out of the surroundings of a window."""


def remake_all(execute: Execute, *, cluster: str | None = None) -> Iterator[Step]:
    """Make the rows of all traces anew; give a step after each window.

    It may run at any time, be interrupted, and run again: a trace's row is the same however often it is made.

    Args:
        execute: runs a statement on the store.
        cluster: name of the cluster, if the store is one.
    """
    long = long_traces(execute)
    return windows.run(execute, _JOB, "otel_traces", lambda window, _: remake_window(execute, window, long), cluster=cluster)


def long_traces(execute: Execute) -> frozenset[str]:
    """Return the traces that run for more than a day."""
    return frozenset(str(row[0]) for row in execute(_LONG))


def remake_window(execute: Execute, window: Window, long: frozenset[str]) -> None:
    """Make the rows of the traces anew that have a span in a window.

    Args:
        execute: runs a statement on the store.
        window: which.
        long: traces that run for more than a day.
    """
    found = [Stored(str(trace_id), *map(number, counts)) for trace_id, *counts in execute(_TRACES, window.parameters)]
    settle.remake_stored(execute, (one for one in found if one.trace_id not in long))
    settle.remake(execute, [one.trace_id for one in found if one.trace_id in long])
