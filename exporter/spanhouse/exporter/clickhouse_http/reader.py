"""Runs one statement read-only on the embedded engine.

Limits are set on a connection first, then ``readonly = 1``, which no statement can take back. As none that may run here changes the connection
(USE and SET do not), one serves query after query; a query with settings or a database of its own gets a new one, which costs half a millisecond.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from spanhouse.exporter.clickhouse_http import allowed, guard
from spanhouse.exporter.clickhouse_http.catalogue import Catalogue
from spanhouse.exporter.clickhouse_http.connection import Connection, Result, connect, connect_freely, escape
from spanhouse.exporter.clickhouse_http.errors import (
    BAD_ARGUMENTS,
    MEMORY_LIMIT_EXCEEDED,
    QUERY_IS_TOO_LARGE,
    READONLY,
    SYNTAX_ERROR,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    UNKNOWN_TABLE,
    EngineError,
    QueryRefusedError,
)
from spanhouse.exporter.clickhouse_http.execution import Query, way_of
from spanhouse.exporter.clickhouse_http.formats import format_named
from spanhouse.exporter.clickhouse_http.parse import Statement, hoist_settings, parse, without_format
from spanhouse.exporter.clickhouse_http.running import Running
from spanhouse.exporter.clickhouse_http.settings import Limits, is_requestable

DEFAULT_FORMAT: Final = "TabSeparated"

_TABLES: Final = f"""SELECT name FROM system.tables
WHERE database = {{database:String}} AND ({" OR ".join(f"engine LIKE '{engine}'" for engine in allowed.TABLE_ENGINES)})"""  # noqa: S608  # constants
_FUNCTIONS: Final = "SELECT lower(name), lower(alias_to), is_aggregate FROM system.functions"
_COMBINATORS: Final = "SELECT lower(name) FROM system.aggregate_function_combinators WHERE NOT is_internal"
_ABOUT: Final = "SELECT version(), timezone()"
_ABSENT: Final = "SELECT 0 AS result"
_WHOLE: Final = "wait_end_of_query"


class Reader:
    """Read-only access to the engine that this process has open, for any number of threads.

    Attributes:
        limits: what queries may use.
        version: the engine's version.
        timezone: the engine's time zone.
    """

    def __init__(self, directory: Path | str, database: str, *, limits: Limits | None = None) -> None:
        """Open it.

        Args:
            directory: the store's directory.
            database: the store's database.
            limits: what queries may use.

        Raises:
            ValueError: a limit is not above 0.
            EngineError: the engine can't be read.
        """
        self.limits = limits or Limits()
        self.limits.validate()
        self._directory = os.path.realpath(directory)  # as clickhouse-connect spells it: the engine takes one spelling only
        self._scratch = Path(self._directory) / "tmp"  # the engine's own place for what it puts on disk while a query runs
        self._slots = threading.BoundedSemaphore(self.limits.concurrent_queries)
        self._large = threading.BoundedSemaphore(1)
        self._idle: deque[Connection] = deque()
        connection = self._connect(database, {})
        ((self.version, self.timezone),) = connection.rows(_ABOUT)
        self._catalogue = _catalogue(connection, database)
        self._idle.append(connection)

    def close(self) -> None:
        """Close all connections, waiting for queries that still run."""
        self._large.acquire()
        for _ in range(self.limits.concurrent_queries):
            self._slots.acquire()
        while self._idle:
            self._idle.pop().close()

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
            parameters: values of its ``{name:Type}`` parameters, written as in TabSeparated.
            database: where tables without a database are looked for; the store's by default.
            settings: those that a client may not set are left out.

        Raises:
            QueryRefusedError: the statement is not one that may run here.
            EngineError: it failed, or no other query ended in time to make room for it.
        """
        with self.answering(statement, output_format=output_format, parameters=parameters, database=database, settings=settings) as pieces:
            return joined(list(pieces))

    @contextmanager
    def answering(
        self,
        statement: bytes,
        *,
        output_format: str = DEFAULT_FORMAT,
        parameters: Mapping[str, str] | None = None,
        database: str | None = None,
        settings: Mapping[str, str] | None = None,
        running: Running | None = None,
    ) -> Iterator[Iterator[Result]]:
        """As ``query``, the result in pieces: at least one, each worked out when it is asked for where the format allows that.

        Args:
            statement: as there.
            output_format: as there.
            parameters: as there.
            database: as there.
            settings: as there.
            running: who wants the query to end says so there, and to ``kill``.
        """
        bound = parameters or {}
        running = running or Running()
        default_format = format_named(output_format)
        current = self._catalogue.check_database(database or self._catalogue.database)
        requested = {name: value for name, value in (settings or {}).items() if is_requestable(name)}
        with ExitStack() as place:
            place.enter_context(self._turn(self._slots))
            connection = place.enter_context(self._connection())
            running.check()
            parsed, own = self._parse(connection, statement)
            running.entry.shape = parsed.shape
            text, named_format = self._approve(connection, parsed, current, bound)
            chosen = named_format or default_format
            if parsed.tree["type"] == "UseQuery":  # would hold for a session; every request here is one of its own
                yield iter([Result(body=b"", output_format=chosen)])
                return
            asked = {**requested, **own}
            query = Query(
                text=text if named_format is None else without_format(text),
                output_format=chosen,
                parameters=bound,
                way=way_of(parsed, chosen, asked, whole=(settings or {}).get(_WHOLE) in {"1", "true"}),
                database=current,
                settings=asked,
            )
            if asked or current != self._catalogue.database:
                connection = place.enter_context(closing(self._connect(current, asked)))
            with closing(self._pieces(query, connection, running, place)) as found:
                yield found

    def _pieces(self, query: Query, connection: Connection, running: Running, place: ExitStack) -> Generator[Result]:
        """The result in pieces, the first of them empty: of a query that gets by with little memory, or gives up its place and begins anew."""
        yield Result(body=b"", output_format=query.output_format)
        begun, came = time.monotonic(), False
        try:
            for piece in query.run(connection, running, self._scratch):
                came = True
                yield piece
        except EngineError as error:
            if came or error.code != MEMORY_LIMIT_EXCEEDED or not self.limits.wants_more_memory(query.settings):
                raise
        else:
            return
        place.close()
        left = max(1, self.limits.query_seconds - int(time.monotonic() - begun))
        with self._turn(self._large), closing(self._connect(query.database, query.settings, seconds=left)) as roomy:
            yield from query.run(roomy, running, self._scratch)

    def kill(self, running: Running) -> None:
        """End a query, if it has begun in the engine.

        Raises:
            EngineError: the engine failed.
        """
        with closing(connect_freely(self._directory)) as connection:
            connection.kill(running.comment)

    def _connect(self, database: str, requested: Mapping[str, str], *, seconds: int | None = None) -> Connection:
        """A connection of a query that begins, or of one that has so many seconds left, and begins anew with all the memory that there is."""
        if seconds is None:
            return connect(self._directory, database, self.limits.session_settings(requested))
        limits = replace(self.limits, query_seconds=seconds)
        return connect(self._directory, database, limits.session_settings(requested, whole_memory=True))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect(self._catalogue.database, {})
        try:
            yield connection
        except BaseException:
            connection.close()  # whatever went wrong is not handed on
            raise
        self._idle.append(connection)

    def _parse(self, connection: Connection, statement: bytes) -> tuple[Statement, dict[str, str]]:
        text, flaw = _decode(statement, self.limits.statement_bytes)
        try:
            parsed, own = hoist_settings(connection, parse(connection, text))
        except QueryRefusedError:
            raise
        except EngineError as error:
            raise flaw or error from None
        if flaw is not None:
            guard.check_kind(parsed)
            raise flaw
        for name in own:
            if not is_requestable(name):
                raise QueryRefusedError(READONLY, f"Cannot modify setting {name[:64]!r}: it is not one that a query may set here")
        return parsed, own

    def _approve(self, connection: Connection, parsed: Statement, database: str, parameters: Mapping[str, str]) -> tuple[str, str | None]:
        """The text to run, and the format that it names."""
        try:
            return parsed.text, guard.check(parsed, catalogue=self._catalogue, database=database, parameters=parameters)
        except QueryRefusedError as refused:
            if refused.code != UNKNOWN_TABLE:
                raise
        # The table may have been made since.
        self._catalogue = replace(self._catalogue, tables=_tables(connection, self._catalogue.database))
        try:
            return parsed.text, guard.check(parsed, catalogue=self._catalogue, database=database, parameters=parameters)
        except QueryRefusedError as refused:
            if refused.code == UNKNOWN_TABLE and parsed.asks_existence:
                return _ABSENT, guard.output_format(parsed)
            raise

    @contextmanager
    def _turn(self, places: threading.Semaphore) -> Iterator[None]:
        """One of the places for queries, or for those that need much memory."""
        if not places.acquire(timeout=self.limits.wait_seconds):
            run = "one that needs much memory runs" if places is self._large else f"{self.limits.concurrent_queries} run"
            text = f"Too many simultaneous queries: {run} and none ended in {self.limits.wait_seconds:g} s, try again"
            raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, text)
        try:
            yield
        finally:
            places.release()


def joined(pieces: Sequence[Result]) -> Result:
    """One result of its pieces, of which there is at least one."""
    return Result(
        body=b"".join(piece.body for piece in pieces),
        output_format=pieces[0].output_format,
        rows=sum(piece.rows for piece in pieces),
        read_rows=sum(piece.read_rows for piece in pieces),
        read_bytes=sum(piece.read_bytes for piece in pieces),
        elapsed_seconds=sum(piece.elapsed_seconds for piece in pieces),
    )


def _decode(statement: bytes, limit_bytes: int) -> tuple[str, EngineError | None]:
    """A statement's text, and what keeps it from running whatever it says.

    What is too long or binary is as a rule an INSERT with its data. Its head is enough to see that, and to say so.
    """
    if len(statement) > limit_bytes:
        flaw = EngineError(QUERY_IS_TOO_LARGE, f"The statement has {len(statement)} bytes, more than the {limit_bytes} that are read")
        return _head(statement[:limit_bytes]), flaw
    if b"\0" in statement:
        return _head(statement), EngineError(SYNTAX_ERROR, "Syntax error: the statement has a NUL byte")
    try:
        return statement.decode(), None
    except UnicodeDecodeError as error:
        return _head(statement), EngineError(BAD_ARGUMENTS, f"The statement is not UTF-8: byte {error.start}")


def _head(statement: bytes) -> str:
    return statement.split(b"\0", 1)[0].decode(errors="replace")


def _catalogue(connection: Connection, database: str) -> Catalogue:
    functions = connection.rows(_FUNCTIONS)
    refused = {name for name, original, _ in functions if allowed.is_refused_function(name) or allowed.is_refused_function(original)}
    return Catalogue(
        database=database,
        tables=_tables(connection, database),
        functions=frozenset(name for name, _, _ in functions) - refused,
        refused=frozenset(refused),
        aggregates=frozenset(name for name, _, is_aggregate in functions if is_aggregate),
        combinators=tuple(name for (name,) in connection.rows(_COMBINATORS)),
    )


def _tables(connection: Connection, database: str) -> frozenset[str]:
    return frozenset(name for (name,) in connection.rows(_TABLES, {"database": escape(database)}))
