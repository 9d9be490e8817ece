"""The listeners of `serve`: OTLP over gRPC and HTTP, ClickHouse-compatible HTTP, console."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, Protocol

from spanhouse.exporter.address import Address
from spanhouse.exporter.clickhouse_http.endpoint import ClickHouseHttp
from spanhouse.exporter.ingest.service import ExportService
from spanhouse.exporter.readiness import Readiness
from spanhouse.exporter.serve.config import ServeConfig
from spanhouse.exporter.serve.credentials import Credentials
from spanhouse.exporter.transport.asgi import App
from spanhouse.exporter.transport.cors import Cors
from spanhouse.exporter.transport.grpc_health import Health
from spanhouse.exporter.transport.grpc_server import GrpcServer
from spanhouse.exporter.transport.http_listener import HttpListener
from spanhouse.exporter.transport.memory_budget import MemoryBudget
from spanhouse.exporter.transport.operations import Operations
from spanhouse.exporter.transport.otlp_http import OtlpHttp

_CONNECTIONS: Final = 1000
_OPEN_FILES: Final = 10_240
"""Open files that are asked for; macOS gives no process more."""


class Listener(Protocol):
    """A listener at an address."""

    address: Address

    def open(self) -> None:
        """Bind the address."""
        ...

    async def start(self) -> None:
        """Accept requests."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new requests, and let those under way finish within the time."""
        ...


@asynccontextmanager
async def listening(
    config: ServeConfig,
    service: ExportService | None,
    clickhouse_http: ClickHouseHttp | None,
    console: App | None,
    *,
    credentials: Credentials,
    readiness: Readiness,
    share_ports: bool = False,
) -> AsyncIterator[Mapping[str, Listener]]:
    """Open all listeners and stop them together, so that a client that stalls delays the end once.

    Args:
        config: their addresses.
        service: stores OTLP requests; None if other processes receive.
        clickhouse_http: answers queries; None leaves that listener out.
        console: answers the JSON API; None leaves that listener out.
        credentials: tokens, certificates and origins.
        readiness: answer to health checks.
        share_ports: True if other processes listen for OTLP at the same addresses.

    Raises:
        ConfigError: an address can't be used.
    """
    listeners: dict[str, Listener] = {}
    certificates = credentials.certificates
    budget = MemoryBudget(config.waiting_bytes)
    connections = _connections_per_listener()
    try:
        if console is not None and (address := Address.parse(config.console, "--console")):
            tls = certificates.queries if certificates is not None and config.over_tls("console") else None
            listeners["console"] = HttpListener(console, address, "console", tls=tls, max_connections=connections)
        if clickhouse_http is not None and (address := Address.parse(config.clickhouse_http, "--clickhouse-http")):
            tls = certificates.queries if certificates is not None and config.over_tls("clickhouse-http") else None
            listeners["clickhouse-http"] = HttpListener(clickhouse_http, address, "clickhouse-http", tls=tls, max_connections=connections)
        if service is not None and (address := Address.parse(config.http, "--http")):
            otlp = Cors(OtlpHttp(service, credentials.tokens, budget=budget), credentials.origins)
            tls = None if certificates is None else certificates.otlp
            listeners["http"] = HttpListener(
                Operations(otlp, readiness, credentials.tokens), address, "http", tls=tls, max_connections=connections, shared=share_ports
            )
        if service is not None and (address := Address.parse(config.grpc, "--grpc")):
            listeners["grpc"] = GrpcServer(
                service,
                address,
                credentials.tokens,
                budget=budget,
                health=Health(readiness),
                certificates=certificates,
                max_connections=connections,
                shared=share_ports,
            )
        for listener in listeners.values():
            listener.open()
        if clickhouse_http is not None and "console" in listeners:
            clickhouse_http.api_port = listeners["console"].address.port
        for listener in listeners.values():
            await listener.start()
        yield listeners
    finally:
        await asyncio.gather(*(listener.stop(config.stop_seconds) for listener in listeners.values()))


def _connections_per_listener() -> int:
    """Return the most connections of a listener, after raising a low limit of open files. The engine and the spool get most of the files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(_CONNECTIONS, max(soft, wanted) // 8)
