"""Store addresses as verbs take them, and a connection that may change tables."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from spanhouse.cli.errors import CommandError, Exit
from spanhouse.cli.progress import waiting
from spanhouse.cli.text import one_line
from spanhouse.query import TraceClient
from spanhouse.query.store.connection import Connection, connect
from spanhouse.schema.address import embedded, serving
from spanhouse.schema.address.dsn import DEFAULT_DATABASE, Store, StoreError, default_store, parse_store
from spanhouse.schema.maintenance.actions import Event
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import Execute, execute_of

_CAUSE: Final = re.compile(r"\[Errno -?\d+\] ([^\"')]+)")
_WRAPPING: Final = re.compile(r"^.*?DB::Exception: | \(version [^()]*\)| \(for url [^()]*\)$", re.DOTALL)
"""What engine and driver put around the message itself."""
_SHOWN: Final = 300
"""Characters of an engine's message that are shown."""


def given_store(dsn: str | None) -> Store:
    """The store that ``--store`` names, else the embedded one of this user.

    Raises:
        CommandError: the DSN is none.
    """
    try:
        return parse_store(dsn) if dsn else default_store()
    except StoreError as error:
        raise CommandError(str(error)) from None


@contextmanager
def reader(dsn: str | None) -> Iterator[TraceClient]:
    """A search client for the store that ``--store`` names, else for the running server, else for the embedded store of this user.

    Whoever has it asks only; what there is to print is printed after the block.

    Raises:
        CommandError: the DSN is none.
    """
    with waiting():
        with _engine_is_silent():
            client = TraceClient(_readable(dsn))
        with client:
            yield client


@contextmanager
def read_only(dsn: str | None) -> Iterator[tuple[Client, Store]]:
    """A driver's client for a user's own statement, at the same place and in the same way as ``reader``. Nothing can be changed through it.

    Raises:
        CommandError: the DSN is none.
    """
    with _engine_is_silent(), closing(connect(_readable(dsn))) as found:
        store = found.store
    with waiting(), _connect(store, store.database) as client:
        if store.embedded:
            client.command("SET readonly = 1")
        elif not client.server_settings["readonly"].readonly:
            # 2 lets the driver set what it needs for each statement. A server that lets nobody set it is read-only itself, as `serve` is.
            client.set_client_setting("readonly", "2")
        yield client, store


@contextmanager
def tables(store: Store, *, create: bool, cluster: str | None = None) -> Iterator[Execute | None]:
    """As ``opened``; gives a function that runs a statement in the store's database."""
    with opened(store, create=create, cluster=cluster) as client:
        yield None if client is None else execute_of(client)


@contextmanager
def opened(store: Store, *, create: bool = False, cluster: str | None = None, backups: Path | None = None) -> Iterator[Client | None]:
    """Connect with the rights of the DSN's user; gives a driver's client in the store's database.

    Args:
        store: where.
        create: make the embedded store and the database where they are missing. Otherwise None is given for them instead of a client.
        cluster: make the database on all servers of this cluster.
        backups: where an embedded engine may write and read backups; None for nowhere.

    Raises:
        CommandError: the store can't be reached, or another process owns it.
    """
    if store.directory is not None and not store.directory.exists() and not create:
        yield None
        return
    connected = False
    try:
        with _connect(store, DEFAULT_DATABASE, backups) as client:
            if create:
                where = f" ON CLUSTER '{cluster}'" if cluster else ""
                client.command(f"CREATE DATABASE IF NOT EXISTS {store.database}{where}")
            found = client.query("SELECT count() FROM system.databases WHERE name = {name:String}", parameters={"name": store.database})
        if not int(str(found.result_rows[0][0])):
            yield None
            return
        with _connect(store, store.database, backups) as client:
            connected = True
            yield client
    except ClickHouseError as error:
        said = engine_message(error) if connected and store.embedded else _what_to_do(store, error)
        raise CommandError(f"store {store}: {said}", Exit.STORE) from error


def _connect(store: Store, database: str, backups: Path | None = None) -> Client:
    if store.directory is not None:
        with _engine_is_silent():
            return clickhouse_connect.get_client(**embedded.client_arguments(store.directory, database, backups=backups))
    # Without the interface, an https DSN would be spoken to in plain HTTP.
    return clickhouse_connect.get_client(dsn=store.dsn, interface=urlsplit(store.dsn).scheme, database=database, autogenerate_session_id=False)


@contextmanager
def server_maintenance(dsn: str | None, action: str, body: object = None) -> Iterator[Iterator[Event] | None]:
    """What the running server tells that has what ``--store`` names open, of its upkeep; None if it is open to this process.

    Raises:
        CommandError: the DSN is none.
    """
    found = given_store(_readable(given_store(dsn).dsn))
    if found.embedded:
        yield None
        return
    with closing(connect(found.dsn)) as connection:
        server = connection.api()
        yield None if server is None else server[0].maintain(server[1], action, body)


@contextmanager
def run_maintenance(dsn: str | None, action: str, steps: Callable[[Execute], Iterator[Event]], body: object = None) -> Iterator[Iterator[Event]]:
    """Run an upkeep of a store step by step: by the server that has it open, else here.

    Args:
        dsn: of ``--store``.
        action: as a server knows it.
        steps: do it here.
        body: of the request to the server.

    Raises:
        CommandError: the store has not the tables of this version, or can't be reached.
    """
    with server_maintenance(dsn, action, body) as told:
        if told is not None:
            yield told
            return
    with whole(given_store(dsn)) as client:
        yield steps(execute_of(client))


@contextmanager
def whole(store: Store, *, backups: Path | None = None) -> Iterator[Client]:
    """Open a store that has the tables of this version.

    Raises:
        CommandError: it has not, or can't be reached.
    """
    with opened(store, backups=backups) as client:
        if client is None or migrations.plan(execute_of(client)):
            make = "`spanhouse migrate`" if store.embedded else "`spanhouse migrate --store DSN`"
            raise CommandError(f"{store}: there is no store, or migrations are missing; run {make} first", Exit.STORE)
        yield client


@contextmanager
def editor(dsn: str | None) -> Iterator[Connection]:
    """Connect to what ``--store`` names as ``reader`` does, to write what is not spans.

    Raises:
        CommandError: the DSN is none.
    """
    with _engine_is_silent():
        connection = connect(_readable(dsn))
    with closing(connection):
        yield connection


def readable_store(dsn: str | None) -> Store:
    """The store that ``--store`` names, else the embedded one of this user, at the address where it can be read now.

    Raises:
        CommandError: the DSN is none.
    """
    store = given_store(dsn)
    return given_store(_readable(store.dsn))


def _readable(dsn: str | None) -> str | None:
    """Where to read what ``--store`` names: an embedded store that a running server owns can be read through that server alone."""
    if not dsn:
        return None
    store = given_store(dsn)
    owner = None if store.directory is None else serving.server_of(store.directory)
    if owner is not None and owner.clickhouse_http != "off":
        return f"{owner.clickhouse_url}/{store.database}"
    return store.dsn


@contextmanager
def _engine_is_silent() -> Iterator[None]:
    """The embedded engine prints past Python why it can't open a directory; that comes as an exception, too, and is told in one line."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 (a descriptor is wanted, not a path)
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _what_to_do(store: Store, error: ClickHouseError) -> str:
    if store.directory is not None and (owner := serving.owner(store.directory)) is not None:
        return f"owned by {owner}; stop it first"
    if cause := _CAUSE.search(str(error)):
        return f"can't be reached ({cause[1].strip().lower()}); check the address, and that the server runs"
    if store.directory is not None:
        return f"the engine can't open it ({engine_message(error)}); another program may have it open"
    return engine_message(error)


def engine_message(error: ClickHouseError) -> str:
    """What the engine says, in one line of bearable length."""
    text = one_line(_WRAPPING.sub("", str(error)))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
