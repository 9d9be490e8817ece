"""The ASGI application: ClickHouse's HTTP interface, as far as reading needs it."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from spanhouse.exporter.access import browser_origin
from spanhouse.exporter.clickhouse_http import response
from spanhouse.exporter.clickhouse_http.body import read_body
from spanhouse.exporter.clickhouse_http.errors import (
    ACCESS_DENIED,
    AUTHENTICATION_FAILED,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    UNKNOWN_EXCEPTION,
    EngineError,
)
from spanhouse.exporter.clickhouse_http.exchange import Exchange
from spanhouse.exporter.clickhouse_http.query_log import QueryLog
from spanhouse.exporter.clickhouse_http.reader import DEFAULT_FORMAT, Reader
from spanhouse.exporter.clickhouse_http.request import query_id, read_fields, read_request
from spanhouse.exporter.clickhouse_http.response import Packer, Response
from spanhouse.exporter.clickhouse_http.running_query import Running
from spanhouse.exporter.store.thread_priority import engine_threads
from spanhouse.exporter.transport.http_intake import Budget, Receive, Send

_log = logging.getLogger(__name__)

Authorize = Callable[[Mapping[str, str]], str | None]
"""Whose request that is, by its headers (lower-case names); None for one that may not read."""

_KILL_AGAIN_SECONDS: Final = 0.2
_BODIES_BYTES: Final = 32 << 20
"""Of all requests together; a statement has a few KiB."""
_METHODS: Final = ("GET", "HEAD", "POST")
_OK: Final = b"Ok.\n"
_NO_HANDLE: Final = b"There is no handle for this path: use / with a query, /ping or /replicas_status\n"
_NO_METHOD: Final = b"This method is not used here: use GET, HEAD or POST\n"


class ClickHouseHttp:
    """``/`` runs queries, ``/ping`` and ``/replicas_status`` say that it is there.

    Attributes:
        api_port: port of the JSON API for what is not reading, which ``/ping`` tells clients; None if there is none.
    """

    api_port: int | None = None

    def __init__(self, reader: Reader, *, authorize: Authorize | None = None, query_log: QueryLog | None = None) -> None:
        """Make the application.

        Args:
            reader: runs the queries.
            authorize: decides on every query; None for a listener on loopback, where the Host header is checked instead.
            query_log: where queries are written down; None for nowhere.
        """
        self._reader = reader
        self._query_log = query_log
        self._authorize = authorize
        self._places = reader.limits.concurrent_queries + reader.limits.waiting_queries
        self._bodies = Budget(_BODIES_BYTES)
        self._busy = 0
        self._asking: Counter[str] = Counter()
        self._workers = engine_threads(self._places, "clickhouse-http")
        self._killer = engine_threads(1, "clickhouse-http-kill")

    def close(self) -> None:
        """Wait for queries that still run."""
        self._workers.shutdown()
        self._killer.shutdown()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        answer = await self._answer(scope, headers, receive, send)
        if answer is None:  # the client has left, or has it already
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers()})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, scope: Mapping[str, Any], headers: Mapping[str, str], receive: Receive, send: Send) -> Response | None:
        listening = (scope.get("server") or ("", 0))[0]
        if browser_origin.is_cross_origin(headers):
            return self._error(EngineError(ACCESS_DENIED, "Requests of web pages from elsewhere are not answered"))
        if self._authorize is None and not browser_origin.is_local_name(headers.get("host", ""), listening):
            return self._error(EngineError(ACCESS_DENIED, "The Host header must be an IP address or localhost"))
        if scope["method"] not in _METHODS:
            return Response(status=405, headers={"allow": ", ".join(_METHODS)}, body=_NO_METHOD)
        match scope["path"]:
            case "/ping":
                return Response(headers={"x-spanhouse-api": "off" if self.api_port is None else str(self.api_port)}, body=_OK)
            case "/replicas_status":
                return Response(body=_OK)
            case "/":
                return await self._query(scope, headers, receive, send)
        return Response(status=404, body=_NO_HANDLE)

    async def _query(self, scope: Mapping[str, Any], headers: Mapping[str, str], receive: Receive, send: Send) -> Response | None:
        asker = None if self._authorize is None else self._authorize(headers)
        if self._authorize is not None and asker is None:
            return self._error(EngineError(AUTHENTICATION_FAILED, "Authentication failed: give a token that may read, as Bearer or password"))
        try:
            self._check_places(asker)  # so that no body is read in vain
            fields = read_fields(scope["query_string"])
            with self._bodies.request() as take:
                body = await read_body(receive, fields, headers, statement_bytes=self._reader.limits.statement_bytes, take=take)
                if body is None:
                    return None
                self._check_places(asker)
                with self._place(asker), self._reader.arrive(asker) as turn:
                    running = Running(turn)
                    running.entry.asker = asker or ""
                    return await self._work(scope["method"], fields, headers, body, running, receive=receive, send=send)
        except EngineError as error:
            return self._error(error)

    def _check_places(self, asker: str | None) -> None:
        """Refuse a query for which there is no place.

        Raises:
            EngineError: all places are taken, or all that one token may have.
        """
        if self._busy >= self._places:
            raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, "Too many simultaneous queries: try again")
        if asker is not None and self._asking[asker] >= self._reader.limits.queries_per_token:
            of_token = f"{self._reader.limits.queries_per_token} of this token run or wait"
            raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries: {of_token}, try again")

    @contextmanager
    def _place(self, asker: str | None) -> Iterator[None]:
        """Count a query, with those of the same token."""
        self._busy += 1
        if asker is not None:
            self._asking[asker] += 1
        try:
            yield
        finally:
            self._busy -= 1
            if asker is not None:
                self._asking[asker] -= 1
                self._asking += Counter()  # lets go of those that ask nothing any more

    async def _work(
        self,
        method: str,
        fields: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        running: Running,
        *,
        receive: Receive,
        send: Send,
    ) -> Response | None:
        """Have a thread run the query, and end it when the client leaves or the server stops."""
        loop = asyncio.get_running_loop()
        exchange = Exchange(send, loop, with_body=method != "HEAD")
        work = loop.run_in_executor(self._workers, self._run_logged, fields, headers, body, running, exchange)
        left = asyncio.create_task(_left(receive))
        either: set[asyncio.Future[Any]] = {work, left}
        try:
            with suppress(asyncio.CancelledError):  # the server stops: the client is told what became of its query
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            while not work.done():
                await self._end(running, work)
            return work.result()
        finally:
            left.cancel()

    async def _end(self, running: Running, work: asyncio.Future[Response | None]) -> None:
        """End a query for which nobody waits; it may be about to begin, so once may not be enough."""
        running.leave()
        try:
            await asyncio.get_running_loop().run_in_executor(self._killer, self._reader.kill, running)
        except EngineError as error:
            _log.warning("a query for which nobody waits could not be ended: %s", error)
        await asyncio.wait({work}, timeout=_KILL_AGAIN_SECONDS)

    def _run_logged(
        self, fields: Mapping[str, str], headers: Mapping[str, str], body: bytes, running: Running, exchange: Exchange
    ) -> Response | None:
        begun = time.perf_counter()
        try:
            return self._run(fields, headers, body, running, exchange)
        finally:
            running.entry.seconds = time.perf_counter() - begun
            if self._query_log is not None and running.entry.query_id:
                self._query_log.write(running.entry)

    def _run(self, fields: Mapping[str, str], headers: Mapping[str, str], body: bytes, running: Running, exchange: Exchange) -> Response | None:
        """Run a query; in a thread of its own. None if its result was sent in pieces."""
        identifier = None
        try:
            identifier = query_id(fields)
            request = read_request(fields, headers, body)
            del body
            # Spaces beyond the limit may precede a statement that was not read.
            if len(request.statement) <= self._reader.limits.statement_bytes and not request.statement.strip():
                return Response(headers={"x-clickhouse-query-id": identifier}, body=_OK)
            running.entry.query_id, running.entry.statement, running.entry.parameters = identifier, request.statement, request.parameters
            describe = partial(response.of_result, query_id=identifier, timezone=self._reader.timezone)
            with self._reader.answering(
                request.statement,
                running,
                output_format=request.default_format or DEFAULT_FORMAT,
                parameters=request.parameters,
                database=request.database,
                settings=request.fields,
            ) as pieces:
                return exchange.answer(pieces, Packer(request.accepts, in_blocks=request.in_blocks), describe, running)
        except EngineError as error:
            running.entry.code = error.code
            return self._error(error, identifier)
        except Exception:  # noqa: BLE001  # a defect of ours must not end the connection without an answer
            running.entry.code = UNKNOWN_EXCEPTION
            _log.exception("a query failed unexpectedly")
            return self._error(EngineError(UNKNOWN_EXCEPTION, "The query failed unexpectedly: the server's log has the reason"), identifier)

    def _error(self, error: EngineError, identifier: str | None = None) -> Response:
        return response.of_error(error, query_id=identifier or str(uuid.uuid4()), version=self._reader.version)


async def _left(receive: Receive) -> None:
    """Return when the client has left, which is what comes after its request."""
    while (await receive())["type"] != "http.disconnect":
        pass
