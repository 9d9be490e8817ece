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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spanhouse.exporter import metrics
from spanhouse.exporter.bodies import App, TimedBodies
from spanhouse.exporter.config import Address, ConfigError

_log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS: Final = 30
"""Exporters and dashboards come back every few seconds."""
_HEAD_BYTES: Final = 64 * 1024
"""Largest head of a request: its line and headers."""
_HEAD_SECONDS: Final = 10.0
"""For the handshake of TLS, and for a head."""
_BODY_SECONDS: Final = 30.0
_UNREAD_SECONDS: Final = 60.0
"""For a client that reads nothing of its response."""
_BACKLOG: Final = 1024

_BROKEN_OFF: Final = "ASGI callable returned without completing response."
"""What uvicorn logs of an application that breaks a response off: ours does so on purpose, when the rest can't be had."""

Tls = Callable[[], ssl.SSLContext]
"""Gives what holds for a new connection."""


class _Patience:
    """Ends a connection when its client takes too long for one thing."""

    __slots__ = ("_timer",)

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def start(self, transport: asyncio.Transport, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, transport.abort)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 with limits on a request's head, which the parser itself would collect without end, and on a response that is not read."""

    def __init__(self, *arguments: Any, listener: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._open = metrics.HTTP_CONNECTIONS.labels(listener)
        self._in_head = False
        self._head_bytes = 0
        self._head = _Patience()
        self._unread = _Patience()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn asks for what it is
        self._open.inc()
        self._head.start(self.transport, _HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.dec()
        self._head.stop()
        self._unread.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        super().data_received(data)
        if not self._in_head:  # as nearly always: heads come whole
            return
        self._head.start(self.transport, _HEAD_SECONDS)
        if was_in_head:  # else the data may hold the end of another request
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head.stop()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        self._unread.start(self.transport, _UNREAD_SECONDS)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread.stop()
        super().resume_writing()


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
        options: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls(), "ssl_handshake_timeout": _HEAD_SECONDS}
        protocol = partial(_Protocol, self.config, self.server_state, {}, listener=self._name)
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
            http=_Protocol,
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
