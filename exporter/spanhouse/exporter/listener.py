"""An HTTP listener around an ASGI application, inside an event loop that others use too."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spanhouse.exporter.bodies import App, TimedBodies
from spanhouse.exporter.config import Address, ConfigError

_KEEP_ALIVE_SECONDS: Final = 30
"""Exporters and dashboards come back every few seconds."""


_HEAD_BYTES: Final = 64 * 1024
"""Largest head of a request: its line and headers."""
_BODY_SECONDS: Final = 30.0


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 with a limit on a request's head, which the parser itself would collect without end."""

    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the process has several listeners and one way to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpListener:
    """Bound when made.

    Attributes:
        address: where it listens, the port filled in.

    Raises:
        ConfigError: the address can't be had.
    """

    def __init__(self, app: App, address: Address, option: str) -> None:
        self._app = TimedBodies(app, seconds=_BODY_SECONDS)
        self._socket = _bind(address, option)
        self.address = Address(address.host, self._socket.getsockname()[1])
        self._server = _Server(
            uvicorn.Config(
                self._app,
                loop="none",
                http=_Protocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take requests."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name=f"http {self.address}")
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


def _bind(address: Address, option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"--{option} {address}: {(error.strerror or str(error)).lower()}; choose another port, or 0 for any") from None
    return bound
