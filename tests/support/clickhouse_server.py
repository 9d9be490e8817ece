"""Stands in for a ClickHouse server: its HTTP protocol, writes allowed, over the real engine in a process of its own. Never shipped.

Run as a process: python -m tests.support.clickhouse_server DIRECTORY; prints its port.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import lz4.frame

_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*\Z", re.IGNORECASE)
_INSERT = re.compile(r"(?P<head>\s*INSERT\s+INTO\s+.+?)\s+FORMAT\s+(?P<format>\w+)\s*?(?:\n(?P<data>.*))?\Z", re.IGNORECASE | re.DOTALL)
_OF_THE_PROTOCOL = {
    "query",
    "database",
    "default_format",
    "session_id",
    "query_id",
    "client_protocol_version",
    "enable_http_compression",
    "compress",
    "wait_end_of_query",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
}
"""URL parameters that are no settings of the engine."""


class ClickHouseServer:
    """The process, started and stopped as a context.

    Attributes:
        dsn: what `--store` takes; names the database ``spanhouse``, which does not exist at first.
    """

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "tests.support.clickhouse_server", str(directory)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.dsn = f"http://127.0.0.1:{self.port}/spanhouse"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        if self.process.stdout is not None:
            self.process.stdout.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    directory: str

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "lz4":
            body = lz4.frame.decompress(body)
        if self.headers.get_content_type() == "multipart/form-data":
            # The driver sends parameters that way which are too long for an address, and the query among them.
            self._answer(b"", _fields(self.headers["content-type"], body))
        else:
            self._answer(body)

    def _answer(self, body: bytes, fields: Mapping[str, str] | None = None) -> None:
        import chdb

        url = urlsplit(self.path)
        arguments = {**dict(parse_qsl(url.query, keep_blank_values=True)), **(fields or {})}
        headers = {"Content-Type": "text/plain; charset=UTF-8"}
        if url.path == "/ping":
            self._send(200, b"Ok.\n", headers)
            return
        connection = chdb.connect(self.directory)
        try:
            for name, value in arguments.items():
                if name not in _OF_THE_PROTOCOL and not name.startswith("param_"):
                    connection.query(f"SET {name} = '{_escape(value)}'")
            if database := arguments.get("database"):
                connection.query(f"USE {database}")
            status, answer = 200, self._run(connection, arguments, body, headers)
        except Exception as error:  # noqa: BLE001 whatever the engine says is the answer
            found = re.search(r"Code: (\d+)", str(error))
            headers["X-ClickHouse-Exception-Code"] = found[1] if found else "1"
            status, answer = 500, str(error).encode()
        finally:
            connection.close()
        self._send(status, answer, headers)

    def _run(self, connection: Any, arguments: dict[str, str], body: bytes, headers: dict[str, str]) -> bytes:
        query = arguments.get("query", "")
        parameters = {name.removeprefix("param_"): value for name, value in arguments.items() if name.startswith("param_")}
        statement = query.encode() + (b"\n" if query and body else b"") + body
        insert = _INSERT.match(statement.decode("utf-8", "surrogateescape"))
        if insert:
            data = (insert["data"] or "").encode("utf-8", "surrogateescape")
            with tempfile.NamedTemporaryFile(suffix=".data") as file:
                file.write(data)
                file.flush()
                connection.query(f"{insert['head']} FROM INFILE '{file.name}' FORMAT {insert['format']}")
            headers["X-ClickHouse-Summary"] = json.dumps({"written_rows": "1"})
            return b""
        text = statement.decode()
        named = _FORMAT.search(text)
        chosen = named[1] if named else arguments.get("default_format", "TabSeparated")
        result: bytes = connection.query(text, chosen, params=parameters).bytes() or b""
        if result:
            headers["X-ClickHouse-Format"] = chosen
        return result

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)


def _fields(kind: str, body: bytes) -> dict[str, str]:
    """Read a form, as which the driver sends parameters that would make a long URL."""
    form = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body, policy=HTTP)
    fields = {}
    for part in form.iter_parts():
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = value.decode()
    return fields


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def main() -> None:
    import chdb

    _Handler.directory = sys.argv[1]
    keep_open = chdb.connect(_Handler.directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    finally:
        keep_open.close()


if __name__ == "__main__":
    main()
