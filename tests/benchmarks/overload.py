"""More than the server can take: three times as much, coming when it comes.

Usage: python -m tests.benchmarks.overload [--seconds N]

Two runs over gRPC and HTTP at once: three times what gets stored, against a spool of 256 MiB, which is full after a while; and, for a third
of the time, three times what is acknowledged, against the default spool. Beside the flood the SDK's own exporters send, one batch after the
other for as long as it lasts, as they are by default: a batch is given up after 10 seconds. Clients and server share the cores.
"""

from __future__ import annotations

import argparse
import http.client
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import clickhouse_connect
import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.benchmarks.clients import EXPORT, over_grpc, send_all, standard_load
from tests.benchmarks.open_loop import offer
from tests.benchmarks.processes import Watch, cpu_seconds
from tests.support.serve import Serve

SPANS = 512
_CHANNELS = 8
_PLACE = b"-7c1b-4e64-8d55-"
_SDK_BATCH = 100


class Answer(StrEnum):
    """What a request got."""

    STORED = "acknowledged"
    LATER = "refused, with a hint when to try again"
    REFUSED = "refused without a hint"
    NONE = "no answer in time"


class Flood:
    """Sends requests to both transports in turn and says what became of each. No two are the same."""

    def __init__(self, serve: Serve, bodies: Sequence[bytes]) -> None:
        self._bodies = bodies
        self._places = [body.index(_PLACE) + len(_PLACE) for body in bodies]
        self._channels = [grpc.insecure_channel(serve.grpc, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(_CHANNELS)]
        self._calls: list[grpc.UnaryUnaryMultiCallable[bytes, bytes]] = [channel.unary_unary(EXPORT) for channel in self._channels]
        self._http = serve.http
        self._kept = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def __call__(self, number: int) -> Answer:
        """Send a request that is different for every number."""
        body, place = self._bodies[number % len(self._bodies)], self._places[number % len(self._bodies)]
        body = b"%b%012d%b" % (body[:place], number, body[place + 12 :])
        return self._over_http(body) if number % 2 else self._over_grpc(number, body)

    def close(self) -> None:
        """Close all connections."""
        for channel in self._channels:
            channel.close()
        for connection in self._connections:
            connection.close()

    def _over_grpc(self, number: int, body: bytes) -> Answer:
        try:
            self._calls[number // 2 % _CHANNELS](body, timeout=60)
        except grpc.RpcError as error:
            return _refusal(error)
        return Answer.STORED

    def _over_http(self, body: bytes) -> Answer:
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is None:
            self._kept.connection = connection = http.client.HTTPConnection(self._http, timeout=60)
            self._connections.append(connection)
        try:
            connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return Answer.NONE
        if response.status == 200:
            return Answer.STORED
        return Answer.LATER if response.status == 503 and response.headers["retry-after"] else Answer.REFUSED


def _refusal(call: Any) -> Answer:
    """What a call's error says; gRPC's types do not know that it is the call itself."""
    if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Answer.NONE
    details = dict(call.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    hinted = any(detail.Is(RetryInfo.DESCRIPTOR) for detail in Status.FromString(details).details)
    return Answer.LATER if call.code() is grpc.StatusCode.UNAVAILABLE and hinted else Answer.REFUSED


class Exporters(threading.Thread):
    """The SDK's own exporters, one over gRPC and one over HTTP, each of which sends batch after batch until it is told to stop.

    Attributes:
        sent: spans that they were given and have delivered.
        failed: spans that they gave up.
    """

    def __init__(self, serve: Serve) -> None:
        super().__init__(name="exporters")
        self.sent = self.failed = 0
        self._stopping = threading.Event()
        self._exporters: list[SpanExporter] = [
            GrpcExporter(endpoint=serve.grpc, insecure=True),
            HttpExporter(endpoint=f"http://{serve.http}/v1/traces"),
        ]

    def run(self) -> None:
        with ThreadPoolExecutor(len(self._exporters)) as pool:
            for sent, failed in pool.map(self._send, self._exporters):
                self.sent += sent
                self.failed += failed

    def stop(self) -> None:
        """Wait for the batches that are on their way."""
        self._stopping.set()
        self.join()

    def _send(self, exporter: SpanExporter) -> tuple[int, int]:
        sent = failed = 0
        while not self._stopping.is_set():
            spans = _spans()
            if exporter.export(spans) is SpanExportResult.SUCCESS:
                sent += len(spans)
            else:
                failed += len(spans)
        exporter.shutdown()
        return sent, failed


def _spans() -> Sequence[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    for _ in range(_SDK_BATCH):
        provider.get_tracer("overload").start_span("patient").end()
    return kept.get_finished_spans()


@dataclass(frozen=True)
class Outcome:
    """What a flood did.

    Attributes:
        answers: how many requests got which.
        stored_spans, flood_spans: spans of the flood that are in the store, and that were acknowledged.
        delivered, delivered_stored, given_up: spans of the SDK's exporters.
        peak_megabytes: RssAnon.
        cores: that the server used until the last of the flood was answered.
    """

    answers: Counter[Answer]
    flood_spans: int
    stored_spans: int
    delivered: int
    delivered_stored: int
    given_up: int
    peak_megabytes: float
    cores: float


def flood(serve: Serve, bodies: Sequence[bytes], *, per_second: float, seconds: float) -> Outcome:
    """Put so many requests a second on a server, of ``SPANS`` spans each, and the SDK's exporters beside them; wait until all is stored."""
    exporters = Exporters(serve)
    send = Flood(serve, bodies)
    before, begun = cpu_seconds(serve.process.pid), time.monotonic()
    with Watch(serve.process.pid) as watch:
        exporters.start()
        answers = Counter(answer for _, answer in offer(send, per_second=per_second, seconds=seconds, late=False))
        cores = (cpu_seconds(serve.process.pid) - before) / (time.monotonic() - begun)
        exporters.stop()
        send.close()
        serve.drained(900)
    client = clickhouse_connect.get_client(dsn=serve.dsn)
    flooded, patient = client.query("SELECT countIf(SpanName != 'patient'), countIf(SpanName = 'patient') FROM otel_traces").result_rows[0]
    client.close()
    return Outcome(answers, answers[Answer.STORED] * SPANS, flooded, exporters.sent, patient, exporters.failed, watch.peak_megabytes, cores)


def _capacity(bodies: Sequence[bytes]) -> tuple[float, float]:
    """Requests a second that are acknowledged, and that get stored."""
    with tempfile.TemporaryDirectory() as directory, Serve(Path(directory)) as serve:
        begun = time.monotonic()
        send_all(over_grpc(serve.grpc), bodies)
        acknowledged = time.monotonic() - begun
        serve.drained(600)
        return len(bodies) / acknowledged, len(bodies) / (time.monotonic() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    bodies = standard_load(200_000, SPANS, now_ns=time.time_ns())
    acknowledged, stored = _capacity(bodies)
    print(f"{os.cpu_count()} cores for clients and server, load {os.getloadavg()[0]:.1f}; {seconds:.0f} s of requests of {SPANS} spans")
    for name, rate, lasts, arguments in (
        ("3 times what gets stored, spool of 256 MiB", 3 * stored, seconds, ("--spool-bytes", str(256 * 2**20))),
        ("3 times what is acknowledged, default spool", 3 * acknowledged, seconds / 3, ()),
    ):
        with tempfile.TemporaryDirectory() as directory, Serve(Path(directory), *arguments) as serve:
            found = flood(serve, bodies, per_second=rate, seconds=lasts)
        print(f"\n{name}: {rate * SPANS:,.0f} spans/s offered, the server used {found.cores:.2f} cores")
        for answer in Answer:
            print(f"  {found.answers[answer]:>8,} requests {answer}")
        print(f"  {round(rate * lasts) - found.answers.total():>8,} requests not sent: as many as there are clients waited for an answer")
        print(f"  {found.flood_spans:>8,} spans acknowledged, {found.stored_spans:,} of them stored")
        print(f"  {found.delivered:>8,} spans delivered by the SDK's exporters, {found.delivered_stored:,} stored, {found.given_up} given up")
        print(f"  RssAnon {found.peak_megabytes:.0f} MB at its peak", flush=True)


if __name__ == "__main__":
    main()
