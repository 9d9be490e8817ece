"""A start with a long backlog: ``python -m tests.benchmarks.backlog [--spans N]``.

A server is flooded and killed (kill -9) while most of what it acknowledged still waits in its spool; the next one is timed until it is ready and
until the spool is empty, and must then hold every span once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import clickhouse_connect
from tests.benchmarks.clients import over_http, send_all, standard_load
from tests.benchmarks.processes import Watch, cpu_seconds
from tests.support.serve import Serve

_SIZE = 512


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="How long a start with a backlog takes.")
    parser.add_argument("--spans", type=int, default=800_000)
    spans = parser.parse_args().spans // _SIZE * _SIZE
    bodies = standard_load(spans, _SIZE, now_ns=time.time_ns())
    with tempfile.TemporaryDirectory() as directory:
        flooded = Serve(Path(directory))
        send_all(over_http(flooded.http), bodies)
        os.kill(flooded.process.pid, signal.SIGKILL)
        flooded.stop()
        waiting = sum(path.stat().st_size for path in flooded.spool.rglob("*") if path.suffix in {".open", ".sealed"})
        begun = time.monotonic()
        with Serve(Path(directory)) as serve, Watch(serve.process.pid) as watch:
            ready_seconds = time.monotonic() - begun
            serve.drained(600)
            drained_seconds = time.monotonic() - begun
            cpu = cpu_seconds(serve.process.pid)
            with clickhouse_connect.get_client(dsn=serve.dsn) as client:
                ((stored, different),) = client.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").result_rows
        sys.stdout.write(
            f"{waiting / 2**20:.0f} MB of {spans:,} acknowledged spans waited; ready after {ready_seconds:.1f} s, drained after "
            f"{drained_seconds:.1f} s, {cpu:.1f} s CPU, RssAnon {watch.peak_megabytes:.0f} MB at its peak; "
            f"{stored:,} stored, {different:,} different\n"
        )
        assert stored == different == spans


if __name__ == "__main__":
    main()
