"""Integrity checks of a store: its parts on disk, and the rows of traces against their spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from spanhouse.schema.maintenance import windows
from spanhouse.schema.maintenance.table_sizes import partitions
from spanhouse.schema.maintenance.windows import AROUND_WINDOW, IN_WINDOW, Step, Window
from spanhouse.schema.tables.driver import Execute, number

_DETACHED: Final = "SELECT table, name, reason FROM system.detached_parts WHERE database = currentDatabase() ORDER BY table, name"
_WAITING_SECONDS: Final = 600
"""Time after which an insert that is not settled is a problem: a server settles within seconds."""
_WAITING: Final = """SELECT uniqExact(Arrival), toString(min(Received))
FROM spanhouse_trace_parts
WHERE Received < now64(3) - toIntervalSecond({seconds:UInt32}) AND Arrival NOT IN (SELECT settled.Arrival FROM spanhouse_arrivals AS settled)
SETTINGS distributed_product_mode = 'local'"""
_FIRST_TRACE: Final = "SELECT toUnixTimestamp64Nano(min(Timestamp)) FROM traces"
_EXPIRE: Final = (
    "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ({table:String}, concat({table:String}, '_local')) "
    "AND engine_full LIKE '% TTL %'"
)
_WRONG: Final = f"""SELECT spans.TraceId
FROM
(
    SELECT span.TraceId AS TraceId, uniqExact(span.SpanId) AS Spans, min(span.Timestamp) AS First
    FROM otel_traces AS span
    WHERE {AROUND_WINDOW} AND span.SpanId != ''
        AND span.TraceId IN (SELECT inside.TraceId FROM otel_traces AS inside WHERE {IN_WINDOW} AND inside.TraceId != '' AND inside.SpanId != '')
    GROUP BY span.TraceId
) AS spans
LEFT JOIN
(
    SELECT
        row.TraceId AS TraceId,
        count() AS Rows,
        max(row.SpanCount) AS Counted,
        max(row.Partial) AS Partial,
        max(row.Before + row.After) AS Ns
    FROM spanhouse_trace_rows AS row FINAL
    WHERE row.TraceId IN (SELECT inside.TraceId FROM otel_traces AS inside WHERE {IN_WINDOW} AND inside.TraceId != '')
    GROUP BY row.TraceId
) AS rows USING TraceId
WHERE (Rows != 1 OR Counted < Spans OR (Counted > Spans AND NOT Partial AND NOT {{expire:UInt8}} AND Ns < 86400000000000))
    AND toUnixTimestamp64Nano(First) >= {{begin:Int64}}
    AND TraceId NOT IN (SELECT deleted.TraceId FROM spanhouse_deleted_traces AS deleted)
    AND TraceId NOT IN (
        SELECT part.TraceId FROM spanhouse_trace_parts AS part
        WHERE part.Arrival NOT IN (SELECT settled.Arrival FROM spanhouse_arrivals AS settled))
    AND (empty({{among:Array(String)}}) OR TraceId IN {{among:Array(String)}})
LIMIT 1000
SETTINGS distributed_product_mode = 'local'"""  # noqa: S608 our own words


def problems(execute: Execute, report: Callable[[Step], None] = lambda _: None) -> Iterator[str]:
    """Yield one line for each problem, with its remedy.

    Args:
        execute: runs a statement on the store; must be allowed to CHECK.
        report: called after each window of spans, see ``windows``.
    """
    for one in partitions(execute):
        if not number(execute(f"CHECK TABLE `{one.table}` PARTITION ID '{one.partition_id}' SETTINGS check_query_single_value_result = 1")[0][0]):
            yield f"{one.table}: partition {one.partition} is damaged on disk; restore a backup, and check the disk"
    for table, name, reason in execute(_DETACHED):
        yield f"{table}: part {name} was detached by the engine ({reason or 'no reason given'}): queries do not see its rows"
    waiting, since = execute(_WAITING, {"seconds": _WAITING_SECONDS})[0]
    if number(waiting):
        yield f"traces: {number(waiting)} inserts, the first of {since}, are not settled; `spanhouse store settle` settles them, as a server does"
    if wrong := _wrong_traces(execute, report):
        shown = f"{len(wrong)} traces, {', '.join(wrong[:3])}{', ...' if len(wrong) > 3 else ''},"
        yield f"traces: {shown} differ from otel_traces; `spanhouse store settle --all` remakes them"


def _wrong_traces(execute: Execute, report: Callable[[Step], None]) -> list[str]:
    """Return the traces with no row, with several rows, or with a row whose span count is wrong; up to 1000 a window.

    Rows of traces may be kept shorter than spans, and spans shorter than rows: expired ones are not missing.
    """
    # Rows before the oldest kept row have expired.
    begin = number(execute(_FIRST_TRACE)[0][0]) if _expire(execute, "spanhouse_trace_rows") else 0
    bound = {"begin": begin, "expire": int(_expire(execute, "otel_traces"))}
    suspect: list[tuple[Window, list[str]]] = []
    every = windows.windows(execute, "otel_traces")
    for done, window in enumerate(every, start=1):
        if found := _wrong(execute, window, {**bound, "among": []}):
            suspect.append((window, found))
        report(Step(window, done, len(every)))
    # Spans that came during the check are settled by now.
    return sorted({trace_id for window, found in suspect for trace_id in _wrong(execute, window, {**bound, "among": found})})


def _wrong(execute: Execute, window: Window, bound: dict[str, object]) -> list[str]:
    return [str(row[0]) for row in execute(_WRONG, {**window.parameters, **bound})]


def _expire(execute: Execute, table: str) -> bool:
    return bool(number(execute(_EXPIRE, {"table": table})[0][0]))
