"""An HTTP listener around an ASGI application, inside an event loop that others use too."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import uvicorn

from spanhouse.exporter.config import Address, ConfigError

_KEEP_ALIVE_SECONDS: Final = 30
"""Exporters and dashboards come back every few seconds."""


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

    def __init__(self, app: Any, address: Address, option: str, *, stop_seconds: float) -> None:
        self._socket = _bind(address, option)
        self.address = Address(address.host, self._socket.getsockname()[1])
        self._server = _Server(
            uvicorn.Config(
                app,
                loop="none",
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(stop_seconds)),
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

    async def stop(self) -> None:
        """Refuse new requests and let those under way finish."""
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
