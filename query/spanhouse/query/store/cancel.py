"""Cancellation of a connection's request from another thread."""

from __future__ import annotations

import socket
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def close_sockets(http: Any, cancelled: Callable[[], bool]) -> Callable[[], None]:
    """Register the sockets of a pool of connections, so that they can be closed.

    Args:
        http: urllib3's pool manager of one client.
        cancelled: tells whether the client is cancelled: urllib3 would otherwise retry a request whose connection was closed.

    Returns:
        A function that shuts down all sockets; a thread that waits for an answer gets an error at once.
    """
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    made: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()

    class Remembered:
        def connect(self) -> None:
            if cancelled():
                raise ConnectionAbortedError("cancelled")
            super().connect()  # type: ignore[misc]
            made.add(self)  # type: ignore[arg-type]

    class Http(HTTPConnectionPool):
        ConnectionCls = type("RememberedHttp", (Remembered, HTTPConnection), {})

    class Https(HTTPSConnectionPool):
        ConnectionCls = type("RememberedHttps", (Remembered, HTTPSConnection), {})

    http.pool_classes_by_scheme = {"http": Http, "https": Https}
    http.clear()

    def close() -> None:
        for connection in list(made):
            if (sock := connection.sock) is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    return close
