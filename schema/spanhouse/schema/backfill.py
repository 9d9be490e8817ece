"""Rebuilds what the materialized views keep, from the spans that are stored: for views that are younger than some spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from spanhouse.schema import migrations, windows
from spanhouse.schema.execute import Execute
from spanhouse.schema.rollups import Rollup, rollups
from spanhouse.schema.windows import AROUND_WINDOW, IN_WINDOW, Step, Window

# Rows of earlier versions hold 48 bits of a span's hash, others 40.
UNCOUNTED_SPAN: Final = f"""{IN_WINDOW} AND (TraceId, bitAnd(cityHash64(SpanId), 0xFFFFFFFFFF)) NOT IN (
        SELECT TraceId, bitAnd(arrayJoin(`Spans.id`), 0xFFFFFFFFFF) FROM trace_carriers
        WHERE {AROUND_WINDOW} AND TraceId IN (SELECT TraceId FROM otel_traces WHERE {IN_WINDOW}))"""  # noqa: S608 our own words
"""Condition on spans of a window that trace_carriers has not counted."""
# What is added to trace_carriers stays beside what is there: so only traces are, of which a span is not counted there yet.
_UNCOUNTED: Final = f"""{IN_WINDOW} AND TraceId IN (
    SELECT TraceId FROM otel_traces
    WHERE {UNCOUNTED_SPAN})"""  # noqa: S608 our own words


def backfill(execute: Execute, *, report: Callable[[Step], None] = lambda _: None, cluster: str | None = None) -> int:
    """Write again what each view over stored rows would have written, and return the number of windows.

    What is there already merges with it and stays as it is, so it may run at any time, be interrupted, and run again.

    Args:
        execute: runs a statement on the store.
        report: called after each window, see ``windows``.
        cluster: name of the cluster, if the store is one.
    """

    def work(window: Window, _: bool) -> None:
        rebuild(execute, window)

    # A run that was interrupted before an upgrade knew fewer views.
    return windows.run(execute, f"backfill {migrations.load()[-1]}", "otel_traces", work, report=report, cluster=cluster)


def rebuild(execute: Execute, window: Window) -> None:
    """Write again what the views keep of the rows in a window."""
    for view in rollups():
        # The engine would take what it wrote once, and lost since, for a repetition.
        execute(f"{view.insert(_condition(view))}\nSETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0", window.parameters)


def _condition(view: Rollup) -> str:
    return _UNCOUNTED if view.target == "trace_carriers" else IN_WINDOW
