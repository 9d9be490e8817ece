"""Rows of traces made anew from their spans: of all, of those since a time by the current prices, or of those that a copy may have left without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from spanhouse.schema import settle, windows
from spanhouse.schema.execute import Execute, number
from spanhouse.schema.windows import IN_WINDOW, Step, Window

_JOB: Final = "settle --all"
_TRACES: Final = f"SELECT TraceId, count() FROM otel_traces WHERE {IN_WINDOW} AND TraceId != '' GROUP BY TraceId ORDER BY min(Timestamp)"  # noqa: S608
"""Neighbours in time: their spans lie in few places."""
_MOST_TRACES: Final = 1_000
"""Traces of a batch, at most: where a statement goes in a URL, it holds their ids."""
_MOST_SPANS: Final = 20_000
"""Spans of a batch, about: it bounds the statement's memory."""


def remake_all(execute: Execute, *, cluster: str | None = None) -> Iterator[Step]:
    """Make the rows of all traces anew; give a step after each window.

    It may run at any time, be interrupted, and run again: a trace's row is the same however often it is made.

    Args:
        execute: runs a statement on the store.
        cluster: name of the cluster, if the store is one.
    """
    return windows.run(execute, _JOB, "otel_traces", lambda window, _: remake_window(execute, window), cluster=cluster)


def reprice(execute: Execute, since_ns: int, version: str, *, cluster: str | None = None) -> Iterator[Step]:
    """Make the rows of traces with spans since a time anew, with costs by some prices; give a step after each window.

    It may be interrupted and run again, as ``remake_all``; with the same prices it goes on with what is left.

    Args:
        execute: runs a statement on the store.
        since_ns: the time, in Unix nanoseconds.
        version: that of the prices.
        cluster: name of the cluster, if the store is one.
    """

    def work(window: Window, _: bool) -> None:
        remake_window(execute, replace(window, first_ns=max(window.first_ns, since_ns)), prices=version)

    return windows.run(execute, f"prices {version} since {since_ns}", "otel_traces", work, cluster=cluster, since_ns=since_ns)


def remake_window(execute: Execute, window: Window, *, prices: str | None = None) -> None:
    """Make the rows of the traces anew that have a span in a window.

    Args:
        execute: runs a statement on the store.
        window: the window.
        prices: as of ``settle.remake``.
    """
    for batch in _batches((str(trace_id), number(spans)) for trace_id, spans in execute(_TRACES, window.parameters)):
        settle.remake(execute, batch, at_once=len(batch), prices=prices)


def _batches(traces: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for trace_id, spans in traces:
        if batch and (len(batch) == _MOST_TRACES or size + spans > _MOST_SPANS):
            yield batch
            batch, size = [], 0
        batch.append(trace_id)
        size += spans
    if batch:
        yield batch
