"""Second embedded store, read by an engine in a process of its own: a process can open one engine only. Answers come over a pipe."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.store_access import engine_message, opened
from spanhouse.schema.address.dsn import Store, parse_store

_STOP_SECONDS: Final = 10.0


class SecondEngine:
    """Client of the second engine: the parent's end of the pipe.

    Args:
        store: the store that is read.
        pipe: to the process that has it open.
    """

    def __init__(self, store: Store, pipe: Connection) -> None:
        self._store = store
        self._pipe = pipe

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows."""
        rows: Sequence[Sequence[Any]] = self._ask(sql, parameters or {}, native=False)
        return rows

    def read(self, sql: str, parameters: Mapping[str, object]) -> bytes:
        """Run a SELECT and return its rows in the engine's format ``Native``."""
        block: bytes = self._ask(sql, parameters, native=True)
        return block

    def _ask(self, sql: str, parameters: Mapping[str, object], *, native: bool) -> Any:
        try:
            self._pipe.send((sql, dict(parameters), native))
            answer, failure = self._pipe.recv()
        except (EOFError, OSError):
            raise CommandError(f"store {self._store}: the process that read it ended: run it again", Exit.STORE) from None
        if failure:
            raise CommandError(failure, Exit.STORE)
        return answer


@contextmanager
def second_engine(store: Store) -> Iterator[SecondEngine]:
    """Open an embedded store beside the one of this process, to read it.

    Raises:
        CommandError: there is none, or another process owns it.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(store.dsn, theirs), name="spanhouse-second-engine", daemon=True)
    process.start()
    theirs.close()
    try:
        yield SecondEngine(store, ours)
    finally:
        ours.close()
        process.join(_STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(dsn: str, pipe: Connection) -> None:
    """Answer until the parent closes the pipe, as it also does when Ctrl-C ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = parse_store(dsn)
    try:
        with opened(store) as client, suppress(EOFError):
            while True:
                sql, parameters, native = pipe.recv()
                if client is None:
                    pipe.send((None, f"{store}: there is no store"))
                    continue
                try:
                    answer = (
                        client.raw_query(sql, parameters=parameters, fmt="Native") if native else client.query(sql, parameters=parameters).result_rows
                    )
                except ClickHouseError as error:
                    pipe.send((None, f"store {store}: {engine_message(error)}"))
                else:
                    pipe.send((answer, ""))
    except CommandError as error:
        with suppress(EOFError):
            pipe.recv()
            pipe.send((None, str(error)))
