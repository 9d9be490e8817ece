"""Rows of traces remade from their spans: of all traces, of recent traces with the current prices, or of one window after an interrupted copy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from spanhouse.schema.maintenance import windows
from spanhouse.schema.maintenance.windows import AROUND_WINDOW, IN_WINDOW, Step, Window
from spanhouse.schema.settle.remake import Stored, remake_stored, remake_traces
from spanhouse.schema.tables.driver import Execute, number

_JOB: Final = "settle --all"
_TRACES: Final = f"""SELECT TraceId, count(), min(toUnixTimestamp64Nano(Timestamp)) AS first, max(toUnixTimestamp64Nano(Timestamp))
FROM otel_traces
WHERE {AROUND_WINDOW} AND TraceId IN (SELECT inside.TraceId FROM otel_traces AS inside WHERE {IN_WINDOW} AND inside.TraceId != '')
GROUP BY TraceId
ORDER BY first
SETTINGS use_skip_indexes = 0, distributed_product_mode = 'local'"""  # noqa: S608 our own words
"""Traces in the order of time: their spans are near each other on disk. For so many traces a full read costs less than the index of ids."""
_LONG: Final = """SELECT TraceId
FROM otel_traces
WHERE TraceId != ''
GROUP BY TraceId
HAVING max(Timestamp) - min(Timestamp) >= 86400
SETTINGS max_bytes_before_external_group_by = 134217728"""
"""Traces that may reach beyond ``AROUND_WINDOW``."""


def remake_all(execute: Execute, *, cluster: str | None = None) -> Iterator[Step]:
    """Remake the rows of all traces; yield a step after each window.

    It may run at any time, be interrupted, and run again: remaking a row twice changes nothing.

    Args:
        execute: runs a statement on the store.
        cluster: name of the cluster, if the store is one.
    """
    long = long_traces(execute)
    return windows.run(execute, _JOB, "otel_traces", lambda window, _: remake_window(execute, window, long), cluster=cluster)


def long_traces(execute: Execute) -> frozenset[str]:
    """Return the traces that run for a day or longer."""
    return frozenset(str(row[0]) for row in execute(_LONG))


def reprice(execute: Execute, since_ns: int, version: str, *, cluster: str | None = None) -> Iterator[Step]:
    """Remake the rows of traces with spans since a time, with costs by one version of prices; yield a step after each window.

    It may be interrupted and run again, as ``remake_all``; with the same prices it goes on with the windows that are left.

    Args:
        execute: runs a statement on the store.
        since_ns: start of the time, in Unix nanoseconds.
        version: version of the prices.
        cluster: name of the cluster, if the store is one.
    """
    long = long_traces(execute)

    def work(window: Window, _: bool) -> None:
        remake_window(execute, replace(window, first_ns=max(window.first_ns, since_ns)), long, prices=version)

    return windows.run(execute, f"prices {version} since {since_ns}", "otel_traces", work, cluster=cluster, since_ns=since_ns)


def remake_window(execute: Execute, window: Window, long: frozenset[str], *, prices: str | None = None) -> None:
    """Remake the rows of the traces that have a span in a window.

    Args:
        execute: runs a statement on the store.
        window: window of the spans.
        long: traces that run for a day or longer.
        prices: version of prices, as of ``remake_traces``.
    """
    found = [Stored(str(trace_id), *map(number, counts)) for trace_id, *counts in execute(_TRACES, window.parameters)]
    remake_stored(execute, (one for one in found if one.trace_id not in long), prices=prices)
    remake_traces(execute, [one.trace_id for one in found if one.trace_id in long], prices=prices)
