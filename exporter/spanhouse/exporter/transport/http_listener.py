"""HTTP listener that runs an ASGI application on a shared event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import uvicorn

from spanhouse.exporter import metrics
from spanhouse.exporter.address import Address, ConfigError
from spanhouse.exporter.transport import http_protocol
from spanhouse.exporter.transport.asgi import App
from spanhouse.exporter.transport.body_deadline import BodyDeadline

_log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS: Final = 30
"""Exporters and dashboards reuse a connection every few seconds."""
_BODY_SECONDS: Final = 30.0
_BACKLOG: Final = 1024

_ABORTED_RESPONSE: Final = "ASGI callable returned without completing response."
"""uvicorn's log line for an application that aborts a response: the ClickHouse-compatible endpoint does so on purpose, when a query fails midway."""

Tls = Callable[[], ssl.SSLContext]
"""Gives the TLS context of a new connection."""


class _Server(uvicorn.Server):
    """uvicorn's server with its own accept loop, so that excess connections are closed before they cost anything.

    It handles no signals: the process has several listeners and one way to stop.
    """

    def __init__(self, config: uvicorn.Config, listening: socket.socket, name: str, tls: Tls | None, max_connections: int) -> None:
        super().__init__(config)
        self._listening = listening
        self._name = name
        self._tls = tls
        self._max_connections = max_connections
        self._arriving: set[asyncio.Task[None]] = set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 uvicorn's signature
        self._listening.listen(_BACKLOG)
        self._accepting = asyncio.create_task(self._accept(), name=f"accept {self._name}")
        self.servers = []
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in (self._accepting, *self._arriving):
            task.cancel()
        await asyncio.gather(self._accepting, *self._arriving, return_exceptions=True)
        self._listening.close()
        await super().shutdown(sockets)

    def close(self) -> None:
        """Close the socket."""
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        refused = metrics.REFUSED_CONNECTIONS.labels(self._name)
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError as error:  # out of file descriptors, or the client has left
                _log.warning("%s: a connection could not be accepted: %s", self._name, error.strerror)
                await asyncio.sleep(0.1)
                continue
            if len(self.server_state.connections) + len(self._arriving) >= self._max_connections:
                connection.close()
                refused.inc()
                _log.warning("%s: %d connections are open: others are refused", self._name, self._max_connections)
                continue
            task = loop.create_task(self._take(connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _take(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls(), "ssl_handshake_timeout": http_protocol.HEAD_SECONDS}
        protocol = partial(http_protocol.LimitedProtocol, self.config, self.server_state, {}, listener=self._name)
        try:
            await loop.connect_accepted_socket(protocol, connection, **options)
        except OSError as error:  # TLS errors and timeouts, too
            connection.close()
            _log.info("%s: a connection failed: %s", self._name, error)


class HttpListener:
    """HTTP listener: ``open`` binds it, ``start`` accepts requests.

    Args:
        app: answers the requests.
        address: where to listen; port 0 takes a free one.
        name: the option that names the address, without its dashes.
        tls: for TLS; None listens without TLS.
        max_connections: further ones are closed at once.
        shared: share the address with other processes (SO_REUSEPORT).

    Attributes:
        address: where it listens; ``open`` fills in the port.
    """

    def __init__(self, app: App, address: Address, name: str, *, tls: Tls | None = None, max_connections: int = 1000, shared: bool = False) -> None:
        self._app = BodyDeadline(app, seconds=_BODY_SECONDS)
        self._name = name
        self._tls = tls
        self._max_connections = max_connections
        self._shared = shared
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.address = address

    def open(self) -> None:
        """Bind the address.

        Raises:
            ConfigError: the address is not available.
        """
        bound = bind(self.address, self._name, shared=self._shared)
        self.address = Address(self.address.host, bound.getsockname()[1])
        logging.getLogger("uvicorn.error").addFilter(_is_not_aborted_response)
        config = uvicorn.Config(
            self._app,
            loop="none",
            http=http_protocol.LimitedProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        self._server = _Server(config, bound, self._name, self._tls, self._max_connections)

    async def start(self) -> None:
        """Accept requests.

        Raises:
            RuntimeError: the listener is not open.
        """
        if self._server is None:
            raise RuntimeError(f"--{self._name}: open the listener before it starts")
        self._task = asyncio.create_task(self._server.serve(), name=f"http {self.address}")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.001)

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new requests, and give those that have arrived this time to finish."""
        if self._server is None:
            return
        self._app.stop()
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
        self._server.should_exit = True
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        self._server.close()


def _is_not_aborted_response(record: logging.LogRecord) -> bool:
    return record.msg != _ABORTED_RESPONSE


def bind(address: Address, name: str, *, shared: bool = False) -> socket.socket:
    """Return a socket bound to an address; ``shared`` with other processes that say so, too (SO_REUSEPORT).

    Raises:
        ConfigError: the address is not available.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setblocking(False)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"--{name} {address}: {(error.strerror or str(error)).lower()}; choose another port, or 0 for any") from None
    return bound
