"""Opening the store: the embedded engine, which belongs to one process, or a ClickHouse server."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Self, TextIO

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from spanhouse.exporter.owned_directory import own
from spanhouse.exporter.store.backup_files import backups_of
from spanhouse.schema.address import embedded, serving
from spanhouse.schema.address.dsn import DEFAULT_DATABASE, Store, StoreError
from spanhouse.schema.address.embedded import DEFAULT_BOUNDS, Bounds
from spanhouse.schema.settle.turns import Turns
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, MigrationError

_log = logging.getLogger(__name__)

_TURN_SECONDS: Final = 30.0
"""Time for which an edit waits for the turn, twice what a killed process keeps it."""


class OpenStore:
    """A store that is open, its tables made and current. An embedded one becomes the working directory of the process.

    Attributes:
        store: its address.
        client: a connection that may write; for one thread at a time.
        writing: held by whoever writes spans or tags, and by a backup, beside which nobody may.
        settling: held by whoever in this process writes rows of traces, and by a backup.
    """

    def __init__(self, store: Store, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        """Open it.

        Args:
            store: which.
            bounds: what an embedded engine may take.

        Raises:
            StoreError: another process owns it, it can't be reached, or its tables are not this version's.
        """
        self.store = store
        self.writing = threading.Lock()
        self.settling = threading.Lock()
        self._bounds = bounds
        self._lock = _lock(store.directory) if store.directory is not None else None
        if store.directory is not None:
            # The engine keeps a cache of protobuf schemas in the process's working directory, from its start on.
            os.chdir(store.directory)
        try:
            self.client = _connect(store, bounds)
            self._bring_up_to_date()
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def another_client(self) -> Iterator[Client]:
        """A further connection that may write; for one thread at a time."""
        with closing(_connect(self.store, self._bounds)) as client:
            yield client

    @contextmanager
    def writing_rows(self, execute: Execute) -> Iterator[Execute]:
        """Give what runs the statements of a writer of traces' rows while nobody else writes any: no thread of this process, no other one.

        Args:
            execute: runs a statement on the store.

        Raises:
            StoreError: other processes do not let it have its turn.
        """
        with self.settling:
            if self.store.embedded:
                yield execute
                return
            turns = Turns(execute)
            with turns.taken(_TURN_SECONDS) as mine:
                if not mine:
                    raise StoreError(f"store {self.store}: another process has written rows of traces for {_TURN_SECONDS:.0f} s")
                yield turns.execute

    def close(self) -> None:
        """Close the connection and, for an embedded store, the engine."""
        self.client.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _bring_up_to_date(self) -> None:
        try:
            if self.store.embedded:
                migrations.apply(self._execute, resume=True, report=lambda migration: _log.info("migration %s", migration))
            elif pending := migrations.plan(self._execute):
                raise StoreError(f"store {self.store}: {len(pending)} migrations are missing; run `spanhouse migrate --store DSN` first")
        except MigrationError as error:
            raise StoreError(f"store {self.store}: {error}") from None
        except ClickHouseError as error:
            raise StoreError(f"store {self.store}: {_first_line(error)}") from None

    def _execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Sequence[Any]]:
        return self.client.query(sql, parameters=dict(parameters or {})).result_rows


def _connect(store: Store, bounds: Bounds) -> Client:
    try:
        if store.directory is not None and store.database != DEFAULT_DATABASE:
            # A database is chosen when connecting, so it has to be there before. Its name was checked to be an identifier.
            backups = backups_of(store.directory)
            admin = clickhouse_connect.get_client(**embedded.client_arguments(store.directory, DEFAULT_DATABASE, bounds=bounds, backups=backups))
            admin.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", parameters={"name": store.database})
            admin.close()
        if store.directory is not None:
            backups = backups_of(store.directory)
            return clickhouse_connect.get_client(**embedded.client_arguments(store.directory, store.database, bounds=bounds, backups=backups))
        # The driver takes an https:// address for http on another port, unless it is told.
        return clickhouse_connect.get_client(dsn=store.dsn, interface=store.scheme, autogenerate_session_id=False)
    except ClickHouseError as error:
        if store.directory is not None:
            if serving.owner(store.directory) is not None:
                raise StoreError(_owned(store.directory)) from None
            raise StoreError(f"store {store}: the engine can't open the directory ({_first_line(error)}); another program may have it open") from None
        raise StoreError(f"store {store}: {_first_line(error)}") from None


def _lock(directory: Path) -> TextIO:
    """Make the directory and own it for as long as the file stays open."""
    try:
        return own(directory)
    except BlockingIOError:
        raise StoreError(_owned(directory)) from None
    except OSError as error:
        raise StoreError(f"store {directory}: {(error.strerror or str(error)).lower()}") from None


def _owned(directory: Path) -> str:
    owner = serving.owner(directory)
    return f"store {directory} is {f'owned by {owner}' if owner else 'open in another process'}; stop it, or choose another --store"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
