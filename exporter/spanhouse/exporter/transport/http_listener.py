"""An HTTP listener around an ASGI application, inside an event loop that others use too."""

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
from spanhouse.exporter.transport.http_intake import App, TimedBodies

_log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS: Final = 30
"""Exporters and dashboards come back every few seconds."""
_BODY_SECONDS: Final = 30.0
_BACKLOG: Final = 1024

_BROKEN_OFF: Final = "ASGI callable returned without completing response."
"""What uvicorn logs of an application that breaks a response off: ours does so on purpose, when the rest can't be had."""

Tls = Callable[[], ssl.SSLContext]
"""Gives what holds for a new connection."""


class _Server(uvicorn.Server):
    """uvicorn's server with an accept loop of its own, so that connections are counted before anything is spent on them.

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

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        refused = metrics.REFUSED_CONNECTIONS.labels(self._name)
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError as error:  # out of descriptors, or a client that has left
                _log.warning("%s: a connection could not be taken: %s", self._name, error.strerror)
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
        except OSError as error:  # those of TLS and of time are such, too
            connection.close()
            _log.info("%s: no connection: %s", self._name, error)


class HttpListener:
    """Bound when made.

    Args:
        app: answers the requests.
        address: where to listen; port 0 is any free one.
        name: the option that the address comes from, without its dashes.
        tls: for TLS; None speaks without.
        max_connections: more are closed at once.
        shared: other processes listen at the same address.

    Attributes:
        address: where it listens, the port filled in.

    Raises:
        ConfigError: the address can't be had.
    """

    def __init__(self, app: App, address: Address, name: str, *, tls: Tls | None = None, max_connections: int = 1000, shared: bool = False) -> None:
        self._app = TimedBodies(app, seconds=_BODY_SECONDS)
        self._socket = bind(address, name, shared=shared)
        self.address = Address(address.host, self._socket.getsockname()[1])
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
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        self._server = _Server(config, self._socket, name, tls, max_connections)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take requests."""
        self._task = asyncio.create_task(self._server.serve(), name=f"http {self.address}")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.001)

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new requests and let those that have arrived finish for so long."""
        self._app.stop()
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
        self._server.should_exit = True
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        self._socket.close()


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != _BROKEN_OFF


def bind(address: Address, name: str, *, shared: bool = False) -> socket.socket:
    """A socket bound to an address; ``shared`` with other processes that say so, too (SO_REUSEPORT).

    Raises:
        ConfigError: the address can't be had.
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
