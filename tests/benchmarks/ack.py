"""How long clients wait for their acknowledgement, and how long an acknowledged span for being found.

Usage: python -m tests.benchmarks.ack [--seconds N]

First as many spans a second as get stored, clients waiting for their answers; then half as many requests at fixed times, each timed from
when it was due. Beside them a small request now and then is looked for with a query every 50 ms, from its acknowledgement until it is
found; the same again with no other load. Client and server share the cores, so what waits for the client to run is in the figures.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import clickhouse_connect
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.benchmarks.clients import Send, over_grpc, over_http, send_all, standard_load
from tests.benchmarks.open_loop import offer, percentile
from tests.benchmarks.processes import wait_until_quiet
from tests.support.serve import Serve
from tests.support.standard_load import standard_request

_SPANS = 512
_LOOK_SECONDS = 0.05
_PROBES_APART = 0.7
_FOUND = "SELECT count() FROM otel_traces WHERE TraceId = {trace_id:String}"


class Lags(threading.Thread):
    """Sends a small request now and then until it is told to stop.

    Attributes:
        seconds: for each, from its acknowledgement until a query found it.
    """

    def __init__(self, serve: Serve, send: Send) -> None:
        super().__init__(name="lags")
        self.seconds: list[float] = []
        self._stopping = threading.Event()
        self._client = clickhouse_connect.get_client(dsn=serve.dsn)
        self._send = send

    def run(self) -> None:
        number = 2 * 10**9
        while not self._stopping.wait(_PROBES_APART):
            body = standard_request(8, seed=number)
            trace_id = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
            number += 1
            self._send(body)
            acknowledged = time.monotonic()
            while not self._client.query(_FOUND, parameters={"trace_id": trace_id}).result_rows[0][0]:
                time.sleep(_LOOK_SECONDS)
            self.seconds.append(time.monotonic() - acknowledged)

    def stop(self) -> None:
        """Wait for the last one."""
        self._stopping.set()
        self.join()
        self._client.close()


def sustainable(serve: Serve, send: Send, spans: int) -> float:
    """Spans a second that get stored."""
    bodies = standard_load(spans, _SPANS, now_ns=time.time_ns())
    begun = time.monotonic()
    send_all(send, bodies)
    serve.drained(600)
    return len(bodies) * _SPANS / (time.monotonic() - begun)


def _row(name: str, seconds: Sequence[float], more: str = "") -> None:
    p50, p99 = (percentile(seconds, share) * 1000 for share in (0.5, 0.99))
    print(f"| {name} | {len(seconds)} | {p50:.1f} | {p99:.1f} | {max(seconds) * 1000:.1f} | {more} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of each part")
    seconds = parser.parse_args().seconds
    print(f"{os.cpu_count()} cores for clients and server, load {os.getloadavg()[0]:.1f}; ms\n")
    print("| what | requests | p50 | p99 | max | remark |\n| --- | --- | --- | --- | --- | --- |")
    for transport in ("grpc", "http"):
        _measure(transport, seconds)


def _measure(transport: str, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as directory, Serve(Path(directory)) as serve:
        send = over_grpc(serve.grpc) if transport == "grpc" else over_http(serve.http)
        rate = sustainable(serve, send, 200_000) / 2
        wait_until_quiet(serve.process.pid)
        bodies = standard_load(round(rate * seconds) + _SPANS, _SPANS, now_ns=time.time_ns(), first_seed=10**6)
        lags = Lags(serve, send)
        lags.start()
        answers = offer(lambda number: send(bodies[number]), per_second=rate / _SPANS, seconds=seconds)
        lags.stop()
        _row(f"{transport}, acknowledgement at half load", [took for took, _ in answers], f"{rate:,.0f} spans/s in requests of {_SPANS}")
        _row(f"{transport}, searchable after it, at half load", lags.seconds)
        serve.drained(600)
        wait_until_quiet(serve.process.pid)
        lags = Lags(serve, send)
        lags.start()
        time.sleep(seconds)
        lags.stop()
        _row(f"{transport}, searchable after it, lone requests", lags.seconds)


if __name__ == "__main__":
    main()
