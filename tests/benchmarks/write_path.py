"""CPU per span of the whole write path beside two others, for the same requests in the same run.

Usage: python -m tests.benchmarks.write_path [--spans N]

Ours is a real `serve` process with everything on, its engine included, fed over real sockets, until all is stored and merges rest. Its
steps are clocked inside (see ``steps``), an insert's second thread and the engine's merges by their threads' names; what is left of the
process's time is transport: gRPC or HTTP, the event loop, the passing of work between threads. Beside it: decoding in Python (see
``decode_in_python``) without any transport, and the collector rotel, whose own process alone is counted (see ``rotel``). Clients share the
cores with what they measure.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import clickhouse_connect
from tests.benchmarks import steps
from tests.benchmarks.clients import CLIENTS, over_grpc, over_http, send_all, standard_load
from tests.benchmarks.processes import Watch, anonymous_megabytes, cpu_seconds, wait_until_quiet
from tests.benchmarks.rotel import rotel
from tests.support.serve import Serve
from tests.support.standard_load import standard_request

Transport = Literal["grpc", "http"]

_TRANSPORTS: tuple[Transport, ...] = ("grpc", "http")
_CONNECT = {"grpc": over_grpc, "http": over_http}
_INSERT = ("QueryPullPipeEx", "QueryPipelineEx")
_BACKGROUND = ("MergeMutate", "ThreadPool", "BgSchPool", "MemoryWorker")
_MARK = b"chatcmpl-"
"""Every span of the standard load has it once."""
_STORED = """SELECT (SELECT count() FROM otel_traces), (SELECT uniqExact(TraceId) FROM otel_traces),
(SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'otel_traces'),
(SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table != 'otel_traces')"""


def ours(transport: Transport, bodies: Sequence[bytes], spans: int) -> float:
    """Print a row of our own; CPU µs per span."""
    with tempfile.TemporaryDirectory() as directory:
        sums = Path(directory, "steps")
        steps.make(sums)
        with Serve(Path(directory), env={steps.FILE: str(sums)}, program="tests.benchmarks.steps") as serve:
            pid = serve.process.pid
            send = _CONNECT[transport](getattr(serve, transport))
            send(standard_request(8, seed=10**9))
            serve.drained()
            wait_until_quiet(pid)
            before, steps_before, begun = cpu_seconds(pid), steps.read(sums), time.monotonic()
            with Watch(pid) as watch:
                send_all(send, bodies)
                acknowledged = time.monotonic() - begun
                serve.drained(600)
                stored = time.monotonic() - begun
                wait_until_quiet(pid)
            used = cpu_seconds(pid) - before
            shares = {step: seconds - steps_before[step] for step, seconds in steps.read(sums).items()}
            shares["insert"] += sum(watch.by_thread[name] for name in _INSERT)
            shares["merges"] = sum(watch.by_thread[name] for name in _BACKGROUND)
            shares = {"transport": used - sum(shares.values()), **shares}
            rest = anonymous_megabytes(pid)
            span_bytes, trace_bytes = _on_disk(serve, spans + 8)
    figures = [f"{seconds / spans * 1e6:.1f}" for seconds in (used, *shares.values())]
    figures += [f"{spans / acknowledged:,.0f}", f"{spans / stored:,.0f}", f"{watch.peak_megabytes:.0f} / {rest:.0f}"]
    figures += [f"{span_bytes:.0f}", f"{trace_bytes:.0f}"]
    print(f"| {spans // len(bodies)}, {transport} | {' | '.join(figures)} |", flush=True)
    return used / spans * 1e6


def _on_disk(serve: Serve, spans: int) -> tuple[float, float]:
    """Bytes per span and per trace, merged as far as it came."""
    client = clickhouse_connect.get_client(dsn=serve.dsn)
    count, traces, of_spans, of_traces = client.query(_STORED).result_rows[0]
    client.close()
    assert count == spans
    return of_spans / count, of_traces / traces


def of_rotel(transport: Transport, bodies: Sequence[bytes], spans: int) -> float:
    """CPU µs per span of rotel's process."""
    with tempfile.TemporaryDirectory() as directory, rotel(Path(directory)) as collector:
        send = _CONNECT[transport](getattr(collector, transport))
        send(standard_request(8, seed=10**9))
        collector.wait()
        before = cpu_seconds(collector.pid)
        send_all(send, bodies)
        collector.wait()
        used = cpu_seconds(collector.pid) - before
        assert collector.spans(_MARK) == spans + 8
    return used / spans * 1e6


def in_python(size: int, spans: int, now_ns: int) -> float:
    """CPU µs per span of decoding in Python."""
    command = [sys.executable, "-m", "tests.benchmarks.decode_in_python", str(spans), str(size), str(now_ns)]
    used, stored = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(stored) == spans
    return float(used) / spans * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=400_000, help="spans of a row; an eighth of it for small requests")
    parser.add_argument("--ours-alone", action="store_true", help="without the two others")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}; {CLIENTS} clients")
    print("CPU µs per span, in all and by step; RssAnon at its peak and in the end; bytes on disk per span and per trace\n")
    print(f"| requests | all | transport | {' | '.join(steps.STEPS)} | merges | acked/s | stored/s | RssAnon MB | B/span | B/trace |")
    print("| --- " * 14 + "|")
    ratios: list[str] = []
    for size, wanted in ((512, options.spans), (8, options.spans // 8)):
        now_ns = time.time_ns()
        bodies = standard_load(wanted, size, now_ns=now_ns)
        spans = size * len(bodies)
        cpu = {transport: ours(transport, bodies, spans) for transport in _TRANSPORTS}
        if options.ours_alone:
            continue
        decoded = in_python(size, spans, now_ns)
        ratios.extend(_ratio(f"{size}, {transport}", cpu[transport], of_rotel(transport, bodies, spans), decoded) for transport in _TRANSPORTS)
    if ratios:
        print(
            "\n| requests | ours, all | rotel alone | ours : rotel | in Python, no transport | ours : that |\n| --- | --- | --- | --- | --- | --- |"
        )
        print("\n".join(ratios))


def _ratio(requests: str, own: float, collector: float, decoded: float) -> str:
    return f"| {requests} | {own:.1f} | {collector:.1f} | {own / collector:.2f} | {decoded:.1f} | {own / decoded:.2f} |"


if __name__ == "__main__":
    main()
