"""A proxy before a ClickHouse server that fails inserts in the ways in which networks, servers and balancers do. Never shipped."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class Fault(Enum):
    """What becomes of an insert."""

    NONE = auto()
    """Passed on, and its answer passed back."""
    CUT = auto()
    """The connection is closed, and the server never hears of it."""
    ANSWER_LOST = auto()
    """The server does it; the connection is closed instead of the answer."""
    STILL_RUNS = auto()
    """The connection is closed at once; the server does it a little later."""
    BAD_GATEWAY = auto()
    """A balancer answers in the server's place."""
    BAD_GATEWAY_AFTER = auto()
    """The server does it; a balancer answers in its place, as after a time limit."""
    READ_ONLY = auto()
    """The server may not write."""
    NO_SPACE = auto()
    """The server has no room."""
    UNHEARD_OF = auto()
    """The server gives an error code that nobody knows."""


_CODES = {Fault.NO_SPACE: (243, "NOT_ENOUGH_SPACE"), Fault.UNHEARD_OF: (4711, "UNHEARD_OF")}
STILL_RUNS_SECONDS = 0.1


def _is_insert(path: str, body: bytes) -> bool:
    """The driver sends the statement in the address, or before the data."""
    statement = parse_qs(urlsplit(path).query).get("query", [""])[0].encode() or body
    return statement.startswith(b"INSERT INTO otlp_requests")


class FaultyStore:
    """The proxy, on a port of its own.

    Attributes:
        upstream: the server's port; may change.
        fault: called for each insert with its number, from 0 on.
        inserts: how many there were.
        open: while it is cleared, inserts wait.
        dsn: what `--store` takes.
    """

    def __init__(self, upstream: int, database: str, fault: Callable[[int], Fault] = lambda _: Fault.NONE) -> None:
        self.upstream = upstream
        self.fault = fault
        self.inserts = 0
        self.open = threading.Event()
        self.open.set()
        self._lock = threading.Lock()
        self._late: list[threading.Timer] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self._answer(*proxy.forward("GET", self.path, b"", dict(self.headers)))

            def do_POST(self) -> None:
                body = self._body()
                fault = proxy.next_fault() if _is_insert(self.path, body) else Fault.NONE
                if fault is Fault.CUT:
                    self.close_connection = True
                elif fault is Fault.STILL_RUNS:
                    self.close_connection = True
                    proxy.later("POST", self.path, body, dict(self.headers))
                elif fault in _CODES:
                    code, name = _CODES[fault]
                    self._answer(500, {"X-ClickHouse-Exception-Code": str(code)}, f"Code: {code}. DB::Exception: ({name})".encode())
                elif fault is Fault.BAD_GATEWAY:
                    self._answer(502, {}, b"<html>Bad Gateway</html>")
                else:
                    path = self.path + ("&readonly=1" if fault is Fault.READ_ONLY else "")
                    status, headers, answer = proxy.forward("POST", path, body, dict(self.headers))
                    if fault is Fault.ANSWER_LOST:
                        self.close_connection = True
                    elif fault is Fault.BAD_GATEWAY_AFTER:
                        self._answer(502, {}, b"<html>Bad Gateway</html>")
                    else:
                        self._answer(status, headers, answer)

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                with suppress(ConnectionError):
                    self.send_response(status)
                    for name, value in headers.items():
                        if name.lower() not in {"server", "date", "content-length", "transfer-encoding", "connection"}:
                            self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="faulty store")
        self._thread.start()
        self.dsn = f"http://127.0.0.1:{self._server.server_address[1]}/{database}"

    def next_fault(self) -> Fault:
        """What becomes of the insert that came just now."""
        self.open.wait(60)
        with self._lock:
            number, self.inserts = self.inserts, self.inserts + 1
        return self.fault(number)

    def forward(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Ask the server; as a balancer would, answer in its place if it is not there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in {"transfer-encoding", "content-length", "connection"}}
            connection.request(method, path, body, kept)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        except (OSError, http.client.HTTPException):
            return 502, {}, b"<html>Bad Gateway</html>"
        finally:
            connection.close()

    def later(self, *request: Any) -> None:
        """Ask the server after a while, for nobody."""
        timer = threading.Timer(STILL_RUNS_SECONDS, self.forward, request)
        self._late.append(timer)
        timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for timer in self._late:
            timer.join()
