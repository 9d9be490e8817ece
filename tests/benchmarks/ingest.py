"""CPU per span from the request to the settled row, on untidy loads, beside rotel with the same engine.

Usage: python -m tests.benchmarks.ingest [--spans N] [--ours-alone]

Ours is a real `serve` with everything on, its engine, merges and settling included, fed over gRPC until all is settled and merges rest. Beside it
the collector rotel: CPU of its own process, and of a process of the same engine that inserts what rotel sent into the same ``otel_traces``, joined
to as many rows an insert as ours had, with the same syncs. What both use while idle is taken off.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import clickhouse_connect
from tests.benchmarks.clients import over_grpc, send_all
from tests.benchmarks.processes import Watch, cpu_seconds, wait_until_quiet
from tests.benchmarks.rotel import rotel
from tests.support.serve import Serve
from tests.support.standard_load import standard_request
from tests.support.untidy_load import Load, untidy_load

_MARK: Final = b"chatcmpl-"
_IDLE_SECONDS: Final = 5.0
_INSERTS: Final = "SELECT count() FROM (SELECT Arrival FROM spanhouse_trace_parts GROUP BY Arrival)"
_SIZES: Final = """SELECT table, sum(bytes_on_disk), sum(rows) FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"""


@dataclass(frozen=True, slots=True)
class Ours:
    """Figures of a run: CPU µs a span without the idle cost, spans stored a second, megabytes, bytes, and spans an insert."""

    cpu: float
    stored: float
    peak: float
    span_bytes: float
    trace_bytes: float
    insert_spans: float


def ours(load: Load) -> Ours:
    """Send a load to a `serve`, and wait until all of it is settled."""
    with tempfile.TemporaryDirectory() as directory, Serve(Path(directory)) as serve:
        pid = serve.process.pid
        send = over_grpc(serve.grpc)
        send(standard_request(8, seed=10**9))
        serve.drained()
        wait_until_quiet(pid)
        idle = _idle(pid)
        before, begun = cpu_seconds(pid), time.monotonic()
        with Watch(pid) as watch:
            send_all(send, load.bodies)
            serve.drained(600)
            stored = time.monotonic() - begun
            wait_until_quiet(pid)
        used = cpu_seconds(pid) - before - idle * (time.monotonic() - begun)
        client = clickhouse_connect.get_client(dsn=serve.dsn)
        rows, distinct, traces = client.query("SELECT count(), uniqExact(TraceId), sum(SpanCount) FROM traces").result_rows[0]
        inserts = client.command(_INSERTS)
        sizes = {table: (size, count) for table, size, count in client.query(_SIZES).result_rows}
        client.close()
    assert rows == distinct
    assert traces == load.spans + 8, (traces, load.spans)
    of_spans, count = sizes.pop("otel_traces")
    rest = sum(size for table, (size, _) in sizes.items() if table != "spanhouse_trace_parts")
    return Ours(used / load.sent * 1e6, load.sent / stored, watch.peak_megabytes, of_spans / count, rest / rows, load.sent / int(str(inserts)))


def _idle(pid: int) -> float:
    """CPU seconds a second of a process that has nothing to do."""
    before = cpu_seconds(pid)
    time.sleep(_IDLE_SECONDS)
    return (cpu_seconds(pid) - before) / _IDLE_SECONDS


def of_rotel(load: Load, insert_spans: float) -> tuple[float, float]:
    """CPU µs a span of rotel, and of the engine that inserts what it sent."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with rotel(directory) as collector:
            send = over_grpc(collector.grpc)
            send(standard_request(8, seed=10**9))
            collector.wait()
            idle = _idle(collector.pid)
            before, begun = cpu_seconds(collector.pid), time.monotonic()
            send_all(send, load.bodies)
            collector.wait()
            used = cpu_seconds(collector.pid) - before - idle * (time.monotonic() - begun)
            assert collector.spans(_MARK) == load.sent + 8
        command = [sys.executable, "-m", "tests.benchmarks.insert_captured", name, str(round(insert_spans))]
        inserted, rows = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert int(rows) == load.sent + 8
    return used / load.sent * 1e6, float(inserted) / load.sent * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--ours-alone", action="store_true", help="without rotel")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}\n")
    print("| load | ours | rotel + engine | ratio | stored/s | peak RssAnon MB | B/span | B/trace | spans an insert |\n" + "| --- " * 9 + "|")
    for pieces in (False, True):
        for flags in (0x101, 0):
            load = untidy_load(options.spans, flags=flags, pieces=pieces, now_ns=time.time_ns())
            own = ours(load)
            other = (0.0, 0.0) if options.ours_alone else of_rotel(load, own.insert_spans)
            beside = "| | |" if options.ours_alone else f"| {other[0]:.1f} + {other[1]:.1f} | {own.cpu / sum(other):.2f} |"
            figures = f"{own.stored:,.0f} | {own.peak:.0f} | {own.span_bytes:.0f} | {own.trace_bytes:.0f} | {own.insert_spans:,.0f} |"
            print(f"| {'pieces' if pieces else 'whole'}, flags {flags:#x} | {own.cpu:.1f} {beside} {figures}", flush=True)


if __name__ == "__main__":
    main()
