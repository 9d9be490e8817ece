"""Runs one statement read-only on the embedded engine.

Limits are set on a connection first, then ``readonly = 1``, which no statement can take back. As none that may run here changes the connection
(USE and SET do not), one serves query after query; a query with settings or a database of its own gets a new one, which costs half a millisecond.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from spanhouse.exporter.clickhouse_http import guard
from spanhouse.exporter.clickhouse_http.catalogue import Catalogue
from spanhouse.exporter.clickhouse_http.engine_connection import Connection, Result, connect, connect_freely
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
from spanhouse.exporter.clickhouse_http.places import Places, Turn
from spanhouse.exporter.clickhouse_http.query_settings import Limits, is_requestable
from spanhouse.exporter.clickhouse_http.running_query import Running
from spanhouse.exporter.clickhouse_http.syntax_tree import Statement, hoist_settings, parse, without_format

DEFAULT_FORMAT: Final = "TabSeparated"

_ABOUT: Final = "SELECT version(), timezone()"
_ABSENT: Final = "SELECT 0 AS result"
_GRACE_SECONDS: Final = 5.0
"""What a query may take beyond its time, to end and to send its last rows, before it loses its places to others."""
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
        self._places = Places(self.limits.concurrent_queries, keep_seconds=self.limits.query_seconds + _GRACE_SECONDS)
        self._idle: deque[Connection] = deque()
        connection = self._connect(database, {})
        ((self.version, self.timezone),) = connection.rows(_ABOUT)
        self._catalogue = Catalogue.read(connection, database)
        self._idle.append(connection)

    def close(self) -> None:
        """Close all connections, waiting for queries that still run."""
        with self.arrive() as turn:
            turn.want_all()
            turn.wait()
            while self._idle:
                self._idle.pop().close()

    def arrive(self, asker: str | None = None) -> Turn:
        """Come into the queue for a query, as ``Places`` has it."""
        return self._places.arrive(asker)

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
        with (
            self.arrive() as turn,
            self.answering(
                statement, Running(turn), output_format=output_format, parameters=parameters, database=database, settings=settings
            ) as pieces,
        ):
            return joined(list(pieces))

    @contextmanager
    def answering(
        self,
        statement: bytes,
        running: Running,
        *,
        output_format: str = DEFAULT_FORMAT,
        parameters: Mapping[str, str] | None = None,
        database: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[Iterator[Result]]:
        """As ``query``, the result in pieces: at least one, each worked out when it is asked for where the format allows that.

        Args:
            statement: as there.
            running: the query; who wants it to end says so there, and to ``kill``.
            output_format: as there.
            parameters: as there.
            database: as there.
            settings: as there.
        """
        bound = parameters or {}
        default_format = format_named(output_format)
        current = self._catalogue.check_database(database or self._catalogue.database)
        requested = {name: value for name, value in (settings or {}).items() if is_requestable(name)}
        with ExitStack() as opened:
            self._await(running)
            connection = opened.enter_context(self._connection())
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
                connection = opened.enter_context(closing(self._connect(current, asked)))
            with closing(self._pieces(query, connection, running, opened)) as found:
                yield found

    def _pieces(self, query: Query, connection: Connection, running: Running, opened: ExitStack) -> Generator[Result]:
        """The result in pieces, the first of them empty: of a query that gets by with its part of the memory, or begins anew with all of it."""
        yield Result(body=b"", output_format=query.output_format)
        begun, came = time.monotonic(), False
        try:
            for piece in self._run(query, connection, running):
                came = True
                yield piece
        except EngineError as error:
            left = self.limits.query_seconds - int(time.monotonic() - begun)
            if came or left <= 0 or error.code != MEMORY_LIMIT_EXCEEDED or not self.limits.wants_all_memory(query.settings):
                raise
        else:
            return
        opened.close()
        running.turn.want_all()
        self._await(running)
        with closing(self._connect(query.database, query.settings, seconds=left)) as alone:
            yield from self._run(query, alone, running)

    def _run(self, query: Query, connection: Connection, running: Running) -> Generator[Result]:
        try:
            yield from query.run(connection, running, self._scratch)
        except EngineError as error:
            raise self.limits.explain(error, query.settings) from None

    def kill(self, running: Running) -> None:
        """End a query, if it has begun in the engine.

        Raises:
            EngineError: the engine failed.
        """
        with closing(connect_freely(self._directory)) as connection:
            connection.kill(running.comment)

    def _connect(self, database: str, requested: Mapping[str, str], *, seconds: int | None = None) -> Connection:
        """A connection of a query that begins, or of one that has so many seconds left and all places."""
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
        self._catalogue = self._catalogue.with_tables(connection)
        try:
            return parsed.text, guard.check(parsed, catalogue=self._catalogue, database=database, parameters=parameters)
        except QueryRefusedError as refused:
            if refused.code == UNKNOWN_TABLE and parsed.asks_existence:
                return _ABSENT, guard.output_format(parsed)
            raise

    def _await(self, running: Running) -> None:
        """Wait for a query's places.

        Raises:
            EngineError: it did not get them in time, or nobody waits for it any more.
        """
        has_places = running.turn.wait(self.limits.wait_seconds)
        running.check()
        if not has_places:
            text = f"Too many simultaneous queries: those that came before did not end in {self.limits.wait_seconds:g} s, try again"
            raise EngineError(TOO_MANY_SIMULTANEOUS_QUERIES, text)


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
        flaw = EngineError(QUERY_IS_TOO_LARGE, f"The statement has more than the {limit_bytes} bytes that are read")
        return _head(statement[:limit_bytes]), flaw
    if b"\0" in statement:
        return _head(statement), EngineError(SYNTAX_ERROR, "Syntax error: the statement has a NUL byte")
    try:
        return statement.decode(), None
    except UnicodeDecodeError as error:
        return _head(statement), EngineError(BAD_ARGUMENTS, f"The statement is not UTF-8: byte {error.start}")


def _head(statement: bytes) -> str:
    return statement.split(b"\0", 1)[0].decode(errors="replace")
