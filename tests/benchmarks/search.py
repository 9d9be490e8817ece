"""Time of searches over many traces, right after ingest, merges running as they do.

Usage: python -m tests.benchmarks.search [--traces N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect

from spanhouse.query import TraceClient
from spanhouse.schema import migrations

SPANS = 4
BATCH = 12_500
"""Traces in an insert: 50,000 spans."""

# Ten days of traces of 30 services; versions follow one another in time, users and deployments are spread over all of it.
_INSERT = """INSERT INTO otel_traces (
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, SpanAttributes, Duration, StatusCode, Flags)
SELECT
    toDateTime64('2026-11-01 00:00:00', 9) + toIntervalMicrosecond(intDiv(trace * 864000000000, {traces:UInt64}) + span) AS Timestamp,
    lower(hex(MD5(toString(trace)))) AS TraceId,
    lower(hex(sipHash64(trace, span))) AS SpanId,
    if(span = 0, '', lower(hex(sipHash64(trace, 0)))) AS ParentSpanId,
    if(span = 0, 'POST /chat', 'chat big-model') AS SpanName,
    'Server',
    concat('service-', toString(trace % 30)) AS ServiceName,
    map('service.name', ServiceName, 'app_version', concat('1.', toString(intDiv(trace * 40, {traces:UInt64})), '.0'), 'mlflow.source.type',
        ['production', 'staging', 'development'][1 + sipHash64(trace) % 3],
        'mlflow.source.git.commit', lower(hex(MD5(toString(intDiv(trace * 40, {traces:UInt64})))))),
    if(span = 0, map('mlflow.traceMetadata.mlflow.trace.user', concat('user-', toString(sipHash64(trace, 7) % 50000)),
        'mlflow.traceMetadata.deployment_id', toString(sipHash64(trace, 8) % 1000)), map('gen_ai.request.model', 'big-model')),
    1000000 + sipHash64(trace, span, 9) % 900000000,
    if(span = 0 AND sipHash64(trace, 5) % 20 = 0, 'Error', 'Unset'),
    256
FROM (SELECT {first:UInt64} + intDiv(number, 4) AS trace, number % 4 AS span FROM numbers({spans:UInt64}))"""

SEARCHES: Mapping[str, tuple[str | None, int | None]] = {
    "newest 100": (None, 100),
    "newest 100 of two clauses, newest version": ("metadata.`mlflow.source.type` = 'production' AND metadata.app_version = '1.39.0'", 100),
    "newest 100 of two clauses, a version in the middle": ("metadata.`mlflow.source.type` = 'production' AND metadata.app_version = '1.20.0'", 100),
    "newest 100 of one user": ("metadata.`mlflow.trace.user` = 'user-77'", 100),
    "newest 100 of one deployment in 1000": ("metadata.deployment_id = '77'", 100),
    "newest 100 with status ERROR": ("status = 'ERROR'", 100),
    "count of two clauses": ("metadata.`mlflow.source.type` = 'production' AND metadata.app_version = '1.20.0'", None),
}


def fill(client: Any, traces: int) -> None:
    for first in range(0, traces, BATCH):
        client.command(_INSERT, parameters={"traces": traces, "first": first, "spans": min(BATCH, traces - first) * SPANS})


def timed(action: Callable[[], Sequence[object] | int | object]) -> tuple[float, float, str]:
    """First and best of five, in wall ms, and what came back."""
    times = []
    found: object = None
    for _ in range(5):
        begun = time.perf_counter()
        found = action()
        times.append((time.perf_counter() - begun) * 1000)
    return times[0], min(times), str(len(found)) if isinstance(found, Sequence) else str(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=500_000)
    traces = parser.parse_args().traces
    with tempfile.TemporaryDirectory() as directory:
        dsn = f"chdb://{Path(directory) / 'store'}"
        writer = clickhouse_connect.get_client(dsn=dsn)
        migrations.apply(lambda sql, parameters=None, /: writer.query(sql, parameters=dict(parameters or {})).result_rows)
        fill(writer, traces)
        print(f"{traces} traces of {SPANS} spans; wall ms through TraceClient, embedded")
        print("| search | rows | first | best of 5 |\n| --- | --- | --- | --- |")
        with TraceClient(dsn) as client:

            def search(text: str | None, limit: int | None) -> Sequence[object] | int:
                found = client.search_traces(filter_string=text, max_results=limit)
                return len(found) if limit is None else found

            for name, (text, limit) in SEARCHES.items():
                first, best, rows = timed(lambda text=text, limit=limit: search(text, limit))  # type: ignore[misc]
                print(f"| {name} | {rows} | {first:.0f} | {best:.0f} |", flush=True)
            one = client.search_traces(max_results=1)[0].info.trace_id
            first, best, _ = timed(lambda: client.get_trace(one))
            print(f"| one trace with its spans | {SPANS} | {first:.0f} | {best:.0f} |")
        writer.close()


if __name__ == "__main__":
    main()
