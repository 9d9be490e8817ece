"""Store maintenance while the store is served: check, compact, settle, backup, prices, retention."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime

from spanhouse.exporter.owned_directory import make
from spanhouse.exporter.store.backup_files import backups_of, finish
from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.schema.maintenance import actions, backup
from spanhouse.schema.maintenance.actions import Event
from spanhouse.schema.tables.driver import Execute, MigrationError, execute_of

_log = logging.getLogger(__name__)


class Maintenance:
    """Runner of maintenance actions, for one caller at a time.

    Args:
        store: an embedded store.
        threads: threads that call the engine.
    """

    def __init__(self, store: OpenStore, threads: Executor) -> None:
        self._store = store
        self._threads = threads

    async def run(self, action: str, numbers: Mapping[str, int]) -> AsyncIterator[Event]:
        """Run an action and yield its events. The last one is the outcome; one with ``error`` says in one line why there is none.

        Args:
            action: ``check``, ``compact``, ``settle``, ``prices``, ``backup`` or ``retention``.
            numbers: for retention the days that each table keeps its rows, for prices ``since_ns``.
        """
        steps = self._steps(action, numbers)
        try:
            while (event := await self._next(steps)) is not None:
                yield event
        finally:
            steps.close()

    async def _next(self, steps: Iterator[Event]) -> Event | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, next, steps, None)
        except MigrationError as error:
            return {"error": str(error)}
        except Exception:  # noqa: BLE001 on any error the client is told, and the log says more
            _log.exception("maintenance of the store failed")
            return {"error": "the store failed; the server's log says why"}

    @contextmanager
    def _execute(self) -> Iterator[Execute]:
        with self._store.another_client() as client:
            yield execute_of(client)

    def _steps(self, action: str, numbers: Mapping[str, int]) -> Generator[Event]:
        if action == "backup":
            yield self._backup()
            return
        with self._execute() as execute:
            match action:
                case "check":
                    yield from actions.check(execute)
                case "compact":
                    yield from actions.compact(execute)
                case "settle":
                    yield from actions.remake(execute)
                case "prices":
                    yield from actions.reprice(execute, numbers["since_ns"])
                case "retention":
                    yield from actions.keep(execute, numbers)

    def _backup(self) -> Event:
        if self._store.store.directory is None:
            raise MigrationError("the store is a server: use its own BACKUP")
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        directory = backups_of(self._store.store.directory) / name
        make(directory)
        # Requests acknowledged meanwhile wait in the spool.
        with self._store.settling, self._store.writing, self._execute() as execute:
            written = backup.backup(execute, self._store.store.database, under=name)
        finish(directory, written)
        return {"directory": str(directory), "spans": written.spans}
