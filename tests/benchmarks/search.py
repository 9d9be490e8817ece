"""Cost of searches over many traces: right after they came in through `serve`, merges running as they do, and again when all is merged.

For each search: wall time of the first run, with the engine's caches dropped (the operating system keeps its own), the least wall time and
CPU time (all threads of the process) of five more, and rows and bytes that the engine read in one. "Engine" is the least wall time that its
statements took together; the rest is the client's. `serve` is stopped before, since a store has one process; merges go on where they were.
At the end `serve` is started again, and each search runs through it, within its budgets: what it refuses, and its largest RssAnon.

Usage: python -m tests.benchmarks.search [--traces N] [--pieces] [--flags 0|0x101]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import clickhouse_connect
from clickhouse_connect.driver._backend.chdb_backend import ChdbBackend
from clickhouse_connect.driver.exceptions import ClickHouseError
from tests.benchmarks.clients import over_http, send_all
from tests.benchmarks.processes import Watch, wait_until_quiet
from tests.benchmarks.traces_load import SPANS, in_pieces, requests
from tests.support.otlp import LOCAL
from tests.support.serve import Serve

from spanhouse.query import TraceClient
from spanhouse.schema.address.dsn import StoreError

BEGIN_NS = 1_793_491_200 * 10**9
_AT_ONCE = 512

_PRODUCTION = "metadata.`mlflow.source.type` = 'production'"
SEARCHES: Mapping[str, tuple[str | None, int | None]] = {
    "newest 100": (None, 100),
    "newest 100 of two clauses, 1 in 120": (f"{_PRODUCTION} AND metadata.app_version = '1.39.0'", 100),
    "newest 100 of two clauses, 1 in 1500": (f"{_PRODUCTION} AND git.commit = '123{'c0ffee' * 6}0'", 100),
    "newest 100 of one user in 50,000": ("user = 'user-0000077'", 100),
    "newest 100 of one deployment in 1000": ("metadata.deployment_id = 'deployment-0000077'", 100),
    "newest 100 of a branch with status ERROR, 1 in 400": ("git.branch = 'branch-07' AND status = 'ERROR'", 100),
    "count of two clauses": (f"{_PRODUCTION} AND metadata.app_version = '1.20.0'", None),
}


STATEMENTS: Mapping[str, str] = {
    "error rate of all versions, view traces, by Metadata": "SELECT Metadata['app_version'], avg(State = 'ERROR') FROM traces GROUP BY 1",
    "count, view traces": "SELECT count() FROM traces",
    "error rate of all versions, view traces, by AppVersion": "SELECT AppVersion, avg(State = 'ERROR') FROM traces GROUP BY 1",
}


def fill(directory: Path, traces: int, *, pieces: bool = False, flags: int = LOCAL) -> None:
    """Send traces to a `serve` process with a store in that directory, wait until they are settled, and stop it."""
    with Serve(directory) as serve, Watch(serve.process.pid) as watch:
        send = over_http(serve.http)
        bodies = requests(traces, BEGIN_NS, flags=flags)
        bodies = in_pieces(bodies) if pieces else bodies
        while chunk := list(islice(bodies, _AT_ONCE)):
            send_all(send, chunk)
        serve.drained(3600)
    print(f"while they came in: {watch.peak_megabytes:.0f} MB of RssAnon at most", flush=True)


@dataclass(frozen=True)
class Cost:
    """What a search cost: milliseconds, rows, megabytes."""

    first: float
    best: float
    engine: float
    cpu: float
    rows: int
    megabytes: float
    found: str

    def __str__(self) -> str:
        return f"{self.found} | {self.first:.0f} | {self.best:.0f} | {self.engine:.0f} | {self.cpu:.0f} | {self.rows:,} | {self.megabytes:.1f}"


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class _Engine:
    """How long the engine's statements took, all together, where the driver calls it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        run = ChdbBackend._query_locked

        def query(backend: ChdbBackend, *arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return run(backend, *arguments, **named)
            finally:
                self.seconds += time.perf_counter() - begun

        patch.object(ChdbBackend, "_query_locked", query).start()


_in_engine = _Engine()


def _read(client: Any) -> tuple[int, int]:
    events = dict(client.query("SELECT event, value FROM system.events WHERE event IN ('SelectedRows', 'SelectedBytes')").result_rows)
    return int(events.get("SelectedRows", 0)), int(events.get("SelectedBytes", 0))


def measured(client: Any, action: Callable[[], Sequence[object] | int | object]) -> Cost:
    for cache in ("MARK CACHE", "UNCOMPRESSED CACHE", "QUERY CACHE"):
        client.command(f"SYSTEM DROP {cache}")
    walls, engines, cpus = [], [], []
    found: object = None
    for _ in range(6):
        begun, used, engine = time.perf_counter(), _cpu(), _in_engine.seconds
        found = action()
        walls.append((time.perf_counter() - begun) * 1000)
        cpus.append((_cpu() - used) * 1000)
        engines.append((_in_engine.seconds - engine) * 1000)
    before = _read(client)
    action()
    rows, size = (after - earlier for after, earlier in zip(_read(client), before, strict=True))
    told = str(len(found)) if isinstance(found, Sequence) else str(found)
    return Cost(walls[0], min(walls[1:]), min(engines[1:]), min(cpus[1:]), rows, size / 1e6, told)


def report(dsn: str, client: Any, state: str) -> None:
    parts = client.command("SELECT count() FROM system.parts WHERE active AND table = 'spanhouse_trace_rows'")
    print(f"\n{state}; {parts} parts of spanhouse_trace_rows")
    print(f"| search | found | first, ms | best, ms | engine, ms | CPU, ms | rows read | MB read |\n{'| --- ' * 8}|")
    with TraceClient(dsn) as searcher:

        def search(text: str | None, limit: int | None) -> Sequence[object] | int:
            found = searcher.search_traces(filter_string=text, max_results=limit)
            return len(found) if limit is None else found

        for name, (text, limit) in SEARCHES.items():
            print(f"| {name} | {measured(client, lambda text=text, limit=limit: search(text, limit))} |", flush=True)  # type: ignore[misc]
        print(f"| keys | {measured(client, searcher.keys)} |", flush=True)
        print(f"| values of app_version | {measured(client, lambda: list(searcher.values('app_version')))} |", flush=True)
        one = searcher.search_traces(max_results=1)[0].info.trace_id
        print(f"| one trace with its spans | {measured(client, lambda: len(searcher.get_trace(one).data.spans))} |")  # type: ignore[union-attr]
    for name, sql in STATEMENTS.items():
        print(f"| {name} | {measured(client, lambda sql=sql: client.query(sql).result_rows)} |", flush=True)  # type: ignore[misc]


def through_serve(directory: Path) -> None:
    """Run each search through `serve`, and print what it refuses and its largest RssAnon."""
    refused: list[str] = []
    with Serve(directory) as serve, TraceClient(serve.dsn) as searcher:
        reader = clickhouse_connect.get_client(dsn=serve.dsn)

        def ask(what: str, action: Callable[..., object], *arguments: object) -> None:
            try:
                action(*arguments)
            except (ClickHouseError, StoreError) as error:
                refused.append(f"{what}: {str(error)[:200]}")

        wait_until_quiet(serve.process.pid)
        with Watch(serve.process.pid) as watch:
            for name, (text, limit) in SEARCHES.items():
                ask(name, lambda text, limit: len(searcher.search_traces(filter_string=text, max_results=limit)), text, limit)
            ask("keys", searcher.keys)
            ask("values", lambda: list(searcher.values("app_version")))
            for name, sql in STATEMENTS.items():
                ask(name, reader.query, sql)
        reader.close()
    print(f"\nThrough serve: {watch.peak_megabytes:.0f} MB of RssAnon at most; refused: {refused or 'nothing'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=500_000)
    parser.add_argument("--pieces", action="store_true", help="four of five traces in three inserts, the root last")
    parser.add_argument("--flags", type=lambda text: int(text, 0), default=0x101, help="of all spans")
    options = parser.parse_args()
    traces = options.traces
    with tempfile.TemporaryDirectory() as directory:
        fill(Path(directory), traces, pieces=options.pieces, flags=options.flags)
        dsn = f"chdb://{Path(directory) / 'store'}"
        writer = clickhouse_connect.get_client(dsn=dsn)
        stored = writer.command("SELECT count() FROM otel_traces")
        engine = measured(writer, lambda: writer.command("SELECT 1")).best
        print(f"{'in pieces' if options.pieces else 'whole'}, flags {options.flags:#x}; SELECT 1 takes {engine:.1f} ms")
        print(f"{stored} spans in traces of {SPANS}; through TraceClient, embedded; the last rows are plain SQL")
        report(dsn, writer, "Right after ingest")
        for table in ("otel_traces", "spanhouse_trace_rows"):
            writer.command(f"OPTIMIZE TABLE {table} FINAL")
        report(dsn, writer, "Merged")
        writer.close()
        through_serve(Path(directory))


if __name__ == "__main__":
    main()
