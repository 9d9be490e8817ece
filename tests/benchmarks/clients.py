"""Clients that put load on a receiver of OTLP."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from tests.support.standard_load import standard_request

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
CLIENTS = 64
"""Threads, each of which sends its next request when the last one was answered."""

Send = Callable[[bytes], None]
"""Sends a request and waits for its answer; anything but success is an error."""


def standard_load(spans: int, size: int, *, now_ns: int, first_seed: int = 0) -> list[bytes]:
    """Requests of so many spans each, the same ones for the same arguments."""
    return [standard_request(size, first_seed + number, now_ns=now_ns) for number in range(spans // size)]


def over_grpc(address: str) -> Send:
    # A connection of its own for each; gRPC would share one.
    channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)

    def send(body: bytes) -> None:
        # An answer without partial_success; some write the empty one out.
        assert call(body, timeout=60) in {b"", b"\n\0"}

    return send


def over_http(address: str) -> Send:
    kept = threading.local()

    def send(body: bytes) -> None:
        if not hasattr(kept, "connection"):
            kept.connection = http.client.HTTPConnection(address, timeout=60)
        kept.connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
        response = kept.connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer

    return send


def send_all(send: Send, bodies: Sequence[bytes]) -> None:
    """Send all, as fast as the receiver answers."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(send, bodies))
