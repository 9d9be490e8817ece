"""Rows of traces made anew from the spans that are stored: of all traces, or of those that an interrupted copy may have left without rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spanhouse.schema import settle, windows
from spanhouse.schema.execute import Execute
from spanhouse.schema.windows import IN_WINDOW, Step, Window

_JOB: Final = "settle --all"
_TRACES: Final = f"SELECT DISTINCT TraceId FROM otel_traces WHERE {IN_WINDOW} AND TraceId != '' ORDER BY TraceId"  # noqa: S608 our own words


def remake_all(execute: Execute, *, cluster: str | None = None) -> Iterator[Step]:
    """Make the rows of all traces anew; give a step after each window.

    It may run at any time, be interrupted, and run again: a trace's row is the same however often it is made.

    Args:
        execute: runs a statement on the store.
        cluster: name of the cluster, if the store is one.
    """
    return windows.run(execute, _JOB, "otel_traces", lambda window, _: remake_window(execute, window), cluster=cluster)


def remake_window(execute: Execute, window: Window) -> None:
    """Make the rows of the traces anew that have a span in a window."""
    settle.remake(execute, [str(row[0]) for row in execute(_TRACES, window.parameters)])
