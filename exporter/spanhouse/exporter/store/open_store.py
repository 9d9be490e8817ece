"""The open store: the embedded engine, which belongs to one process, or a ClickHouse server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, Self, TextIO

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
from spanhouse.schema.tables.driver import Execute, MigrationError, execute_of, first_line

_log = logging.getLogger(__name__)

_TURN_SECONDS: Final = 30.0
"""Time that an edit waits for the turn: twice as long as a killed process keeps it."""


class OpenStore:
    """A store that is open, its tables made and current.

    An embedded engine keeps a cache of protobuf schemas in the working directory of the process. So `serve` works in the store's directory.

    Args:
        store: address of the store.
        client: connection that may write.
        bounds: memory and caches of an embedded engine.
        lock: owner of an embedded store's directory; None for a server.

    Attributes:
        store: address of the store.
        client: connection that may write, for one thread at a time.
        writing: lock held while spans or tags are written and during a backup.
        settling: lock held while this process writes rows of traces and during a backup.
    """

    def __init__(self, store: Store, client: Client, bounds: Bounds = DEFAULT_BOUNDS, lock: TextIO | None = None) -> None:
        self.store = store
        self.client = client
        self.writing = threading.Lock()
        self.settling = threading.Lock()
        self._bounds = bounds
        self._lock = lock

    @classmethod
    def open(cls, store: Store, bounds: Bounds = DEFAULT_BOUNDS) -> Self:
        """Own an embedded store's directory, connect, and make the tables; on a server, check that they are current.

        Args:
            store: address of the store.
            bounds: memory and caches of an embedded engine.

        Raises:
            StoreError: another process owns the store, it can't be reached, or its tables are not this version's.
        """
        with ExitStack() as stack:
            lock = stack.enter_context(closing(own_store(store.directory))) if store.directory is not None else None
            client = stack.enter_context(closing(_connect(store, bounds)))
            _bring_up_to_date(store, client)
            stack.pop_all()
            return cls(store, client, bounds, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def another_client(self) -> Iterator[Client]:
        """Open a further connection that may write, for one thread at a time."""
        with closing(_connect(self.store, self._bounds)) as client:
            yield client

    @contextmanager
    def writing_rows(self, execute: Execute) -> Iterator[Execute]:
        """Give the function that runs a writer's statements on rows of traces, while no other thread or process writes any.

        Args:
            execute: runs a statement on the store.

        Raises:
            StoreError: other processes keep the turn.
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
        if self._lock is not None:
            self._lock.close()


def _bring_up_to_date(store: Store, client: Client) -> None:
    execute = execute_of(client)
    try:
        if store.embedded:
            migrations.apply(execute, resume=True, report=lambda migration: _log.info("migration %s", migration))
        elif pending := migrations.plan(execute):
            raise StoreError(f"store {store}: {len(pending)} migrations are missing; run `spanhouse migrate --store DSN` first")
    except MigrationError as error:
        raise StoreError(f"store {store}: {error}") from None
    except ClickHouseError as error:
        raise StoreError(f"store {store}: {first_line(error)}") from None


def _connect(store: Store, bounds: Bounds) -> Client:
    try:
        if store.directory is not None and store.database != DEFAULT_DATABASE:
            # The database is chosen when connecting, so it has to exist before. Its name was checked to be an identifier.
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
            raise StoreError(f"store {store}: the engine can't open the directory ({first_line(error)}); another program may have it open") from None
        raise StoreError(f"store {store}: {first_line(error)}") from None


def own_store(directory: Path) -> TextIO:
    """Make an embedded store's directory, and own it as long as the file stays open.

    Raises:
        StoreError: another process owns it, or it can't be made.
    """
    try:
        return own(directory)
    except BlockingIOError:
        raise StoreError(_owned(directory)) from None
    except OSError as error:
        raise StoreError(f"store {directory}: {(error.strerror or str(error)).lower()}") from None


def _owned(directory: Path) -> str:
    owner = serving.owner(directory)
    return f"store {directory} is {f'owned by {owner}' if owner else 'open in another process'}; stop it, or choose another --store"
