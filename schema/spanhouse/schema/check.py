"""Whether a store has whole what it should: its parts on disk, and what is derived from its spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from spanhouse.schema import windows
from spanhouse.schema.backfill import UNCOUNTED_SPAN
from spanhouse.schema.execute import Execute, number
from spanhouse.schema.parts import partitions
from spanhouse.schema.windows import Step

_DETACHED: Final = "SELECT table, name, reason FROM system.detached_parts WHERE database = currentDatabase() ORDER BY table, name"
_UNCOUNTED: Final = f"SELECT count() FROM otel_traces WHERE {UNCOUNTED_SPAN}"  # noqa: S608 our own words
_FIRST_TRACE: Final = "SELECT toUnixTimestamp64Nano(min(Timestamp)) FROM trace_carriers"
_SHORT_LIVED: Final = (
    "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'trace_carriers' AND engine_full LIKE '% TTL %'"
)


def problems(execute: Execute, report: Callable[[Step], None] = lambda _: None) -> Iterator[str]:
    """One line for each thing that is wrong, and what to do about it.

    Args:
        execute: runs a statement on the store; must be allowed to CHECK.
        report: called after each window of spans, see ``windows``.
    """
    for one in partitions(execute):
        if not number(execute(f"CHECK TABLE `{one.table}` PARTITION ID '{one.partition_id}' SETTINGS check_query_single_value_result = 1")[0][0]):
            yield f"{one.table}: what is on disk of partition {one.partition} is damaged; restore a backup, and look at the disk"
    for table, name, reason in execute(_DETACHED):
        yield f"{table}: part {name} was put aside by the engine ({reason or 'no reason given'}): its rows are not seen"
    # Traces may be kept for a shorter time than spans: what is older is not missing.
    begin = number(execute(_FIRST_TRACE)[0][0]) if number(execute(_SHORT_LIVED)[0][0]) else 0
    uncounted = 0
    every = windows.windows(execute, "otel_traces")
    for done, window in enumerate(every, start=1):
        if window.first_ns >= begin:
            uncounted += number(execute(_UNCOUNTED, window.parameters)[0][0])
        report(Step(window, done, len(every)))
    if uncounted:
        yield f"traces: {uncounted} spans of otel_traces are not counted there; `spanhouse backfill` makes it whole"
