"""The receiver inside the test process: both transports on real sockets, the real engine behind them, inserts counted."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

import grpc
from tests.support.store import TestStore

from spanhouse.exporter.access.tls import Certificates
from spanhouse.exporter.access.tokens import Tokens
from spanhouse.exporter.address import Address
from spanhouse.exporter.errors import ExportError
from spanhouse.exporter.ingest.admission import Admission
from spanhouse.exporter.ingest.batcher import Batcher
from spanhouse.exporter.ingest.service import ExportService
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.readiness import Readiness
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.writer import Batch, Writer
from spanhouse.exporter.transport.cors import Cors
from spanhouse.exporter.transport.grpc_health import Health
from spanhouse.exporter.transport.grpc_server import GrpcServer
from spanhouse.exporter.transport.http_listener import HttpListener
from spanhouse.exporter.transport.memory_budget import MemoryBudget
from spanhouse.exporter.transport.operations import Operations
from spanhouse.exporter.transport.otlp_http import OtlpHttp

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Receiver:
    """Both transports over one service, in an event loop of a thread of its own.

    Attributes:
        inserts: the bodies of every insert so far.
        grpc, http: addresses.
        readiness: what health checks ask.
        budget: what requests under way take.
    """

    def __init__(
        self,
        store: TestStore,
        *,
        tokens: Tokens | None = None,
        max_request_bytes: int = 2**20,
        budget_bytes: int = 2**28,
        certificates: Certificates | None = None,
        origins: frozenset[str] = frozenset(),
        max_connections: int = 1000,
    ) -> None:
        self.inserts: list[list[bytes]] = []
        self.fault: Callable[[Sequence[bytes]], Sequence[ExportError | None]] | None = None
        self.readiness = Readiness()
        self._writer = Writer(store.client, SeenRequests())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="receiver")
        self._thread.start()
        self.budget = MemoryBudget(budget_bytes)
        self.grpc, self.http = self._run(self._start(tokens, max_request_bytes, certificates, origins, max_connections))
        self.channel = grpc.insecure_channel(self.grpc)

    def _insert(self, requests: Sequence[CheckedRequest]) -> Sequence[ExportError | None]:
        bodies = [request.body for request in requests]
        self.inserts.append(bodies)
        return self.fault(bodies) if self.fault else self._writer.insert(Batch.of(requests))

    async def _start(
        self,
        tokens: Tokens | None,
        max_request_bytes: int,
        certificates: Certificates | None,
        origins: frozenset[str],
        max_connections: int,
    ) -> tuple[str, str]:
        self._batcher = Batcher(self._insert, linger_seconds=0.1, max_spans=20_000, max_bytes=2**25)
        self._batcher.start()
        service = ExportService(Admission(self._batcher, waiting_bytes=2**28), self._batcher, max_request_bytes)
        anywhere = Address("127.0.0.1", 0)
        self._grpc = GrpcServer(
            service,
            anywhere,
            lambda: tokens,
            budget=self.budget,
            health=Health(self.readiness),
            certificates=certificates,
            max_connections=max_connections,
        )
        app = Operations(Cors(OtlpHttp(service, lambda: tokens, budget=self.budget), origins), self.readiness, lambda: tokens)
        tls = None if certificates is None else certificates.otlp
        self._http = HttpListener(app, anywhere, "http", tls=tls, max_connections=max_connections)
        for listener in (self._grpc, self._http):
            listener.open()
        await self._grpc.start()
        await self._http.start()
        return str(self._grpc.address), str(self._http.address)

    async def _stop(self) -> None:
        await self._grpc.stop(5)
        await self._http.stop(5)
        await self._batcher.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def export(self, body: bytes, method: str = EXPORT, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
        """One gRPC call; raises grpc.RpcError."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(method)
        return call(body, timeout=60, metadata=tuple(metadata))

    def post(self, body: bytes, *, path: str = "/v1/traces", method: str = "POST", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """One HTTP request; header names with _ for -."""
        connection = http.client.HTTPConnection(self.http, timeout=60)
        named = {"content-type": "application/x-protobuf"} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        answer = response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
