"""Runs statements read-only on the embedded engine.

Limits are set on a connection first, then ``readonly = 1``, which no statement can take back. No permitted statement changes the connection (USE
and SET do nothing), so connections are reused. A query with its own settings or database gets a new one, which costs half a millisecond.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from spanhouse.exporter.clickhouse_http import guard
from spanhouse.exporter.clickhouse_http.catalogue import Catalogue
from spanhouse.exporter.clickhouse_http.checked_query import CheckedQuery, result_mode
from spanhouse.exporter.clickhouse_http.engine_connection import Connection, Result, connect, connect_unrestricted, merge_results
from spanhouse.exporter.clickhouse_http.engine_errors import (
    MEMORY_LIMIT_EXCEEDED,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    UNKNOWN_TABLE,
    EngineError,
    QueryRefusedError,
)
from spanhouse.exporter.clickhouse_http.output_formats import format_named
from spanhouse.exporter.clickhouse_http.query_settings import QueryLimits, is_requestable
from spanhouse.exporter.clickhouse_http.query_slots import QuerySlots, SlotRequest
from spanhouse.exporter.clickhouse_http.running_query import RunningQuery
from spanhouse.exporter.clickhouse_http.statement_reader import read_statement
from spanhouse.exporter.clickhouse_http.syntax_tree import Statement, without_format

DEFAULT_FORMAT: Final = "TabSeparated"

_ABOUT: Final = "SELECT version(), timezone()"
_ABSENT: Final = "SELECT 0 AS result"
_GRACE_SECONDS: Final = 5.0
"""Time past its limit that a query has to end and to send its last rows, before it loses its slots."""
_WHOLE: Final = "wait_end_of_query"


class Reader:
    """Read-only access to the engine that this process has open; thread-safe.

    Attributes:
        limits: of the queries.
        version: the engine's version.
        timezone: the engine's time zone.
    """

    def __init__(self, directory: str, limits: QueryLimits, catalogue: Catalogue, *, version: str, timezone: str) -> None:
        """Make the reader; ``open`` does so for a store.

        Args:
            directory: the store's real path.
            limits: of the queries.
            catalogue: tables and functions of the store.
            version: the engine's.
            timezone: the engine's.
        """
        self.limits = limits
        self.version = version
        self.timezone = timezone
        self._directory = directory
        self._scratch = Path(directory) / "tmp"  # where the engine spills queries to disk
        self._slots = QuerySlots(limits.concurrent_queries, keep_seconds=limits.query_seconds + _GRACE_SECONDS)
        self._idle: deque[Connection] = deque()
        self._catalogue = catalogue

    @classmethod
    def open(cls, directory: Path | str, database: str, *, limits: QueryLimits | None = None) -> Self:
        """Read the store's catalogue.

        Args:
            directory: the store's directory.
            database: the store's database.
            limits: of the queries.

        Raises:
            ValueError: a limit is not above 0.
            EngineError: the engine can't be read.
        """
        limits = limits or QueryLimits()
        limits.validate()
        path = os.path.realpath(directory)  # as clickhouse-connect spells it: the engine accepts one spelling only
        with closing(connect(path, database, limits.session_settings({}))) as connection:
            ((version, timezone),) = connection.rows(_ABOUT)
            return cls(path, limits, Catalogue.read(connection, database), version=version, timezone=timezone)

    def close(self) -> None:
        """Wait for running queries, then close all connections."""
        with self.enqueue() as slots:
            slots.request_all()
            slots.wait()
            while self._idle:
                self._idle.pop().close()

    def enqueue(self, token_name: str | None = None) -> SlotRequest:
        """Queue a query for a slot, as ``QuerySlots.enqueue``."""
        return self._slots.enqueue(token_name)

    def query(
        self,
        statement: bytes,
        *,
        output_format: str = DEFAULT_FORMAT,
        parameters: Mapping[str, str] | None = None,
        database: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Result:
        """Check a statement and run it.

        Args:
            statement: one statement, UTF-8.
            output_format: for a statement without FORMAT.
            parameters: values of its ``{name:Type}`` parameters, escaped as in TabSeparated.
            database: default database of its tables; the store's by default.
            settings: requested ones; those that a client may not set are ignored.

        Raises:
            QueryRefusedError: the statement is not permitted.
            EngineError: the query failed, or no slot became free in time.
        """
        with (
            self.enqueue() as slots,
            self.stream(
                statement, RunningQuery(slots), output_format=output_format, parameters=parameters, database=database, settings=settings
            ) as pieces,
        ):
            return merge_results(list(pieces))

    @contextmanager
    def stream(
        self,
        statement: bytes,
        running: RunningQuery,
        *,
        output_format: str = DEFAULT_FORMAT,
        parameters: Mapping[str, str] | None = None,
        database: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[Iterator[Result]]:
        """Run a statement as ``query`` does, and give its result in pieces, at least one; streamed where the format allows.

        Args:
            statement: as in ``query``.
            running: handle by which the query can be cancelled; ``kill`` ends it in the engine.
            output_format: as in ``query``.
            parameters: as in ``query``.
            database: as in ``query``.
            settings: as in ``query``.
        """
        bound = parameters or {}
        default_format = format_named(output_format)
        current = self._catalogue.check_database(database or self._catalogue.database)
        requested = {name: value for name, value in (settings or {}).items() if is_requestable(name)}
        with ExitStack() as opened:
            self._wait_for_slots(running)
            connection = opened.enter_context(self._connection())
            parsed, own = read_statement(connection, statement, self.limits.statement_bytes)
            running.entry.shape = parsed.shape
            text, named_format = self._check(connection, parsed, current, bound)
            chosen = named_format or default_format
            if parsed.tree["type"] == "UseQuery":  # without effect: there are no sessions
                yield iter([Result(body=b"", output_format=chosen)])
                return
            effective = {**requested, **own}
            query = CheckedQuery(
                text=text if named_format is None else without_format(text),
                output_format=chosen,
                parameters=bound,
                mode=result_mode(parsed, chosen, effective, whole=(settings or {}).get(_WHOLE) in {"1", "true"}),
                database=current,
                settings=effective,
            )
            if effective or current != self._catalogue.database:
                connection = opened.enter_context(closing(self._connect(current, effective)))
            with closing(self._pieces(query, connection, running, opened)) as pieces:
                yield pieces

    def _pieces(self, query: CheckedQuery, connection: Connection, running: RunningQuery, opened: ExitStack) -> Generator[Result]:
        """Yield the result in pieces, the first one empty. A query over its share of the memory restarts alone with all of it."""
        yield Result(body=b"", output_format=query.output_format)
        begun, produced = time.monotonic(), False
        try:
            for piece in self._run(query, connection, running):
                produced = True
                yield piece
        except EngineError as error:
            left = self.limits.query_seconds - int(time.monotonic() - begun)
            if produced or left <= 0 or error.code != MEMORY_LIMIT_EXCEEDED or not self.limits.wants_all_memory(query.settings):
                raise
        else:
            return
        opened.close()
        running.slots.request_all()
        self._wait_for_slots(running)
        with closing(self._connect(query.database, query.settings, seconds=left)) as alone:
            yield from self._run(query, alone, running)

    def _run(self, query: CheckedQuery, connection: Connection, running: RunningQuery) -> Generator[Result]:
        try:
            yield from query.run(connection, running, self._scratch)
        except EngineError as error:
            raise self.limits.explain(error, query.settings) from None

    def kill(self, running: RunningQuery) -> None:
        """Kill a query, if it has begun in the engine.

        Raises:
            EngineError: the engine failed.
        """
        with closing(connect_unrestricted(self._directory)) as connection:
            connection.kill(running.comment)

    def _connect(self, database: str, requested: Mapping[str, str], *, seconds: int | None = None) -> Connection:
        """Open a connection for a new query; with ``seconds`` left, for one that restarts alone."""
        if seconds is None:
            return connect(self._directory, database, self.limits.session_settings(requested))
        limits = replace(self.limits, query_seconds=seconds)
        return connect(self._directory, database, limits.session_settings(requested, alone=True))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect(self._catalogue.database, {})
        try:
            yield connection
        except BaseException:
            connection.close()  # its state is unknown
            raise
        self._idle.append(connection)

    def _check(self, connection: Connection, parsed: Statement, database: str, parameters: Mapping[str, str]) -> tuple[str, str | None]:
        """Return the text to run, and the output format that it names."""
        try:
            return parsed.text, guard.check(parsed, catalogue=self._catalogue, database=database, parameters=parameters)
        except QueryRefusedError as refused:
            if refused.code != UNKNOWN_TABLE:
                raise
        # The table may be newer than the catalogue.
        self._catalogue = self._catalogue.with_tables(connection)
        try:
            return parsed.text, guard.check(parsed, catalogue=self._catalogue, database=database, parameters=parameters)
        except QueryRefusedError as refused:
            if refused.code == UNKNOWN_TABLE and parsed.asks_existence:
                return _ABSENT, guard.output_format(parsed)
            raise

    def _wait_for_slots(self, running: RunningQuery) -> None:
        """Wait for a query's slots.

        Raises:
            EngineError: they did not become free in time, or the query was cancelled.
        """
        has_slots = running.slots.wait(self.limits.wait_seconds)
        running.check_cancelled()
        if not has_slots:
            text = f"Too many simultaneous queries: no slot became free in {self.limits.wait_seconds:g} s, try again"
            raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, text)
