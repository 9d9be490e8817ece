"""ClickHouse-compatible HTTP endpoint: the ASGI application, read-only."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from spanhouse.exporter.clickhouse_http import response
from spanhouse.exporter.clickhouse_http.engine_errors import ACCESS_DENIED, AUTHENTICATION_FAILED, UNKNOWN_EXCEPTION, EngineError
from spanhouse.exporter.clickhouse_http.query_admission import QueryAdmission
from spanhouse.exporter.clickhouse_http.query_log import QueryLog
from spanhouse.exporter.clickhouse_http.reader import DEFAULT_FORMAT, Reader
from spanhouse.exporter.clickhouse_http.request import query_id, read_fields, read_request
from spanhouse.exporter.clickhouse_http.request_body import read_query_body
from spanhouse.exporter.clickhouse_http.response import Response, ResponseCompressor
from spanhouse.exporter.clickhouse_http.result_stream import ResultStream
from spanhouse.exporter.clickhouse_http.running_query import RunningQuery
from spanhouse.exporter.errors import PermissionDeniedError
from spanhouse.exporter.store.thread_priority import engine_threads
from spanhouse.exporter.transport.asgi import Receive, Scope, Send, check_browser, read_headers, respond
from spanhouse.exporter.transport.memory_budget import MemoryBudget

_log = logging.getLogger(__name__)

Authorize = Callable[[Mapping[str, str]], str | None]
"""Returns the name of a request's token, by its headers (lower-case names); None if it may not read."""

_KILL_INTERVAL_SECONDS: Final = 0.2
_BODIES_BYTES: Final = 32 << 20
"""Memory of all request bodies together; a statement has a few KiB."""
_METHODS: Final = ("GET", "HEAD", "POST")
_OK: Final = b"Ok.\n"
_NO_PATH: Final = b"No such path: use / with a query, /ping or /replicas_status\n"
_NO_METHOD: Final = b"Method not allowed: use GET, HEAD or POST\n"


class ClickHouseHttp:
    """ASGI application: ``/`` runs queries, ``/ping`` and ``/replicas_status`` answer health checks.

    Attributes:
        api_port: port of the JSON API, which ``/ping`` tells clients; None if it is off.
    """

    api_port: int | None = None

    def __init__(self, reader: Reader, *, authorize: Authorize | None = None, query_log: QueryLog | None = None) -> None:
        """Make the application.

        Args:
            reader: runs the queries.
            authorize: checks every query's token; None on loopback, where the Host header is checked instead.
            query_log: log of the queries; None for none.
        """
        self._reader = reader
        self._query_log = query_log
        self._authorize = authorize
        limit = reader.limits.concurrent_queries + reader.limits.waiting_queries
        self._admission = QueryAdmission(limit, reader.limits.queries_per_token)
        self._bodies = MemoryBudget(_BODIES_BYTES)
        self._workers = engine_threads(limit, "clickhouse-http")
        self._killer = engine_threads(1, "clickhouse-http-kill")

    def close(self) -> None:
        """Wait for running queries."""
        self._workers.shutdown()
        self._killer.shutdown()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = await self._answer(scope, read_headers(scope), receive, send)
        if answer is not None:  # else it is sent already, or the client has left
            await respond(send, answer.status, answer.raw_headers(), b"" if scope["method"] == "HEAD" else answer.body or b"")

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send) -> Response | None:
        try:
            check_browser(scope, headers, any_host=self._authorize is not None)
        except PermissionDeniedError as error:
            return self._error(EngineError(ACCESS_DENIED, f"Access denied: {error.message}"))
        if scope["method"] not in _METHODS:
            return Response(status=405, headers={"allow": ", ".join(_METHODS)}, body=_NO_METHOD)
        match scope["path"]:
            case "/ping":
                return Response(headers={"x-spanhouse-api": "off" if self.api_port is None else str(self.api_port)}, body=_OK)
            case "/replicas_status":
                return Response(body=_OK)
            case "/":
                return await self._query(scope, headers, receive, send)
        return Response(status=404, body=_NO_PATH)

    async def _query(self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send) -> Response | None:
        token_name = None if self._authorize is None else self._authorize(headers)
        if self._authorize is not None and token_name is None:
            return self._error(EngineError(AUTHENTICATION_FAILED, "Authentication failed: send a token with the right read, as Bearer or password"))
        try:
            self._admission.check(token_name)  # before the body is read
            fields = read_fields(scope["query_string"])
            with self._bodies.request() as take:
                body = await read_query_body(receive, fields, headers, statement_bytes=self._reader.limits.statement_bytes, take=take)
                if body is None:
                    return None
                with self._admission.admit(token_name), self._reader.enqueue(token_name) as slots:
                    running = RunningQuery(slots)
                    running.entry.token_name = token_name or ""
                    stream = ResultStream(send, asyncio.get_running_loop(), with_body=scope["method"] != "HEAD")
                    return await self._run_in_thread(partial(self._run_logged, fields, headers, body, running, stream), running, receive)
        except EngineError as error:
            return self._error(error)

    async def _run_in_thread(self, run: Callable[[], Response | None], running: RunningQuery, receive: Receive) -> Response | None:
        """Run a query in a worker thread; cancel it when the client disconnects or the server stops."""
        work = asyncio.get_running_loop().run_in_executor(self._workers, run)
        disconnect = asyncio.create_task(_wait_for_disconnect(receive))
        either: set[asyncio.Future[Any]] = {work, disconnect}
        try:
            with suppress(asyncio.CancelledError):  # the server stops: the client still gets the query's outcome
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            while not work.done():
                await self._cancel(running, work)
            return work.result()
        finally:
            disconnect.cancel()

    async def _cancel(self, running: RunningQuery, work: asyncio.Future[Response | None]) -> None:
        """Cancel a query once; the caller repeats this, since the query may not have reached the engine yet."""
        running.cancel()
        try:
            await asyncio.get_running_loop().run_in_executor(self._killer, self._reader.kill, running)
        except EngineError as error:
            _log.warning("a query whose client has left could not be cancelled: %s", error)
        await asyncio.wait({work}, timeout=_KILL_INTERVAL_SECONDS)

    def _run_logged(
        self, fields: Mapping[str, str], headers: Mapping[str, str], body: bytes, running: RunningQuery, stream: ResultStream
    ) -> Response | None:
        begun = time.perf_counter()
        try:
            return self._run(fields, headers, body, running, stream)
        finally:
            running.entry.seconds = time.perf_counter() - begun
            if self._query_log is not None and running.entry.query_id:
                self._query_log.write(running.entry)

    def _run(
        self, fields: Mapping[str, str], headers: Mapping[str, str], body: bytes, running: RunningQuery, stream: ResultStream
    ) -> Response | None:
        """Run a query, in a worker thread; return None if its result was streamed."""
        identifier = None
        try:
            identifier = query_id(fields)
            request = read_request(fields, headers, body)
            del body
            # Past the limit, unread text may follow the blanks.
            if len(request.statement) <= self._reader.limits.statement_bytes and not request.statement.strip():
                return Response(headers={"x-clickhouse-query-id": identifier}, body=_OK)
            running.entry.query_id, running.entry.statement, running.entry.parameters = identifier, request.statement, request.parameters
            make = partial(response.of_result, query_id=identifier, timezone=self._reader.timezone)
            with self._reader.stream(
                request.statement,
                running,
                output_format=request.default_format or DEFAULT_FORMAT,
                parameters=request.parameters,
                database=request.database,
                settings=request.fields,
            ) as pieces:
                return stream.answer(pieces, ResponseCompressor(request.accepts, in_blocks=request.in_blocks), make, running)
        except EngineError as error:
            running.entry.code = error.code
            return self._error(error, identifier)
        except Exception:  # noqa: BLE001  # a defect of the server must not end the connection without an answer
            running.entry.code = UNKNOWN_EXCEPTION
            _log.exception("a query failed unexpectedly")
            return self._error(EngineError(UNKNOWN_EXCEPTION, "The query failed unexpectedly: see the server's log"), identifier)

    def _error(self, error: EngineError, identifier: str | None = None) -> Response:
        return response.of_error(error, query_id=identifier or str(uuid.uuid4()), version=self._reader.version)


async def _wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
