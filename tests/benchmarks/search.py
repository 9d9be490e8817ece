"""Cost of searches over many traces: right after ingest, merges running as they do, and again when everything is merged.

For each search: wall time of the first run, with the engine's caches dropped (the operating system keeps its own), the least wall time and
CPU time (all threads of the process) of five more, and rows and bytes that the engine read in one.

Usage: python -m tests.benchmarks.search [--traces N]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


STATEMENTS: Mapping[str, str] = {
    "error rate of all versions, view traces": "SELECT Metadata['app_version'], avg(State = 'ERROR') FROM traces GROUP BY 1",
    "count, view traces": "SELECT count() FROM traces",
    "the same, roots in trace_carriers": "SELECT AppVersion, avg(StatusCode = 'Error') FROM trace_carriers WHERE Rank = 0 GROUP BY 1",
}


def fill(client: Any, traces: int) -> None:
    for first in range(0, traces, BATCH):
        client.command(_INSERT, parameters={"traces": traces, "first": first, "spans": min(BATCH, traces - first) * SPANS})


@dataclass(frozen=True)
class Cost:
    """What a search cost: milliseconds, rows, megabytes."""

    first: float
    best: float
    cpu: float
    rows: int
    megabytes: float
    found: str

    def __str__(self) -> str:
        return f"{self.found} | {self.first:.0f} | {self.best:.0f} | {self.cpu:.0f} | {self.rows:,} | {self.megabytes:.1f}"


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _read(client: Any) -> tuple[int, int]:
    events = dict(client.query("SELECT event, value FROM system.events WHERE event IN ('SelectedRows', 'SelectedBytes')").result_rows)
    return int(events.get("SelectedRows", 0)), int(events.get("SelectedBytes", 0))


def measured(client: Any, action: Callable[[], Sequence[object] | int | object]) -> Cost:
    for cache in ("MARK CACHE", "UNCOMPRESSED CACHE", "QUERY CACHE"):
        client.command(f"SYSTEM DROP {cache}")
    walls, cpus = [], []
    found: object = None
    for _ in range(6):
        begun, used = time.perf_counter(), _cpu()
        found = action()
        walls.append((time.perf_counter() - begun) * 1000)
        cpus.append((_cpu() - used) * 1000)
    before = _read(client)
    action()
    rows, size = (after - earlier for after, earlier in zip(_read(client), before, strict=True))
    return Cost(walls[0], min(walls[1:]), min(cpus[1:]), rows, size / 1e6, str(len(found)) if isinstance(found, Sequence) else str(found))


def report(dsn: str, client: Any, state: str) -> None:
    parts = client.command("SELECT count() FROM system.parts WHERE active AND table = 'trace_carriers'")
    print(f"\n{state}; {parts} parts of trace_carriers")
    print("| search | found | first, ms | best, ms | CPU, ms | rows read | MB read |\n| --- | --- | --- | --- | --- | --- | --- |")
    with TraceClient(dsn) as searcher:

        def search(text: str | None, limit: int | None) -> Sequence[object] | int:
            found = searcher.search_traces(filter_string=text, max_results=limit)
            return len(found) if limit is None else found

        for name, (text, limit) in SEARCHES.items():
            print(f"| {name} | {measured(client, lambda text=text, limit=limit: search(text, limit))} |", flush=True)  # type: ignore[misc]
        one = searcher.search_traces(max_results=1)[0].info.trace_id
        print(f"| one trace with its spans | {measured(client, lambda: len(searcher.get_trace(one).data.spans))} |")  # type: ignore[union-attr]
    for name, sql in STATEMENTS.items():
        print(f"| {name} | {measured(client, lambda sql=sql: client.query(sql).result_rows)} |", flush=True)  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=500_000)
    traces = parser.parse_args().traces
    with tempfile.TemporaryDirectory() as directory:
        dsn = f"chdb://{Path(directory) / 'store'}"
        writer = clickhouse_connect.get_client(dsn=dsn)
        migrations.apply(lambda sql, parameters=None, /: writer.query(sql, parameters=dict(parameters or {})).result_rows)
        fill(writer, traces)
        print(f"{traces} traces of {SPANS} spans; through TraceClient, embedded; the last rows are plain SQL")
        report(dsn, writer, "Right after ingest")
        for table in ("otel_traces", "trace_carriers"):
            writer.command(f"OPTIMIZE TABLE {table} FINAL")
        report(dsn, writer, "Merged")
        writer.close()


if __name__ == "__main__":
    main()
