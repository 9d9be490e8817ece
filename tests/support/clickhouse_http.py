"""The ClickHouse-compatible endpoint on a real socket, over a store of the engine in this process."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import uvicorn
from tests.support.store import engine_directory

from spanhouse.exporter.clickhouse_http.endpoint import ClickHouseHttp
from spanhouse.exporter.clickhouse_http.query_settings import QueryLimits
from spanhouse.exporter.clickhouse_http.reader import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> int | None:
        """ClickHouse's error number."""
        code = self.headers.get("x-clickhouse-exception-code")
        return None if code is None else int(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A listening endpoint."""

    port: int

    def ask(
        self,
        statement: str | bytes = b"",
        *,
        method: str = "POST",
        path: str = "/",
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, as curl would."""
        body = statement.encode() if isinstance(statement, str) else statement
        target = path + ("?" + urlencode(fields) if fields else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target, body=body or None, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.getheaders()},
                body=response.read(),
            )
        finally:
            connection.close()


@contextmanager
def listening(database: str, *, limits: QueryLimits | None = None, **options: Any) -> Iterator[Endpoint]:
    """Serve one database of this process's engine until the end of the block."""
    reader = Reader.open(engine_directory(), database, limits=limits)
    app = ClickHouseHttp(reader, **options)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the listener did not start"
        time.sleep(0.01)
    try:
        yield Endpoint(port=server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        app.close()
        reader.close()
