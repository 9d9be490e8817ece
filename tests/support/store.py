"""The real engine inside the test process: a database of its own for whoever asks, with all tables made."""

from __future__ import annotations

import atexit
import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from google.protobuf.message import Message

from spanhouse.schema.settle import settle
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.migrations import Tables

_numbers = itertools.count(1)


@cache
def engine_directory() -> Path:
    """The one directory that the engine of this process may open."""
    directory = Path(tempfile.mkdtemp(prefix="spanhouse-tests-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory / "store"


def connect(database: str | None = None) -> Client:
    dsn = f"chdb://{engine_directory()}" + (f"?database={database}" if database else "")
    return clickhouse_connect.get_client(dsn=dsn)


_idle: list[str] = []
"""Databases that were given back, their tables as the baseline made them, and empty. Making one takes most of a second."""


class TestStore:
    """An empty database with all tables.

    Args:
        tables: those of another version; None for this one's.

    Attributes:
        dsn: what TraceClient takes.
        client: a client that may write.
    """

    __test__ = False

    def __init__(self, tables: Tables | None = None) -> None:
        made = tables is not None or not _idle
        self.database = f"test_{next(_numbers)}" if made else _idle.pop()
        if made:
            admin = connect()
            admin.command(f"CREATE DATABASE {self.database}")
            admin.close()
        self.client = connect(self.database)
        self.dsn = f"chdb://{engine_directory()}?database={self.database}"
        if made:
            migrations.apply(self.execute, tables=tables)
        self._tables = self._described() if tables is None else {}

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Sequence[Any]]:
        result = self.client.query(sql, parameters=dict(parameters or {}))
        return result.result_rows

    def ingest(self, *requests: Message) -> None:
        """Insert requests, then settle them."""
        self.insert(*requests)
        settle.settle_all(self.execute)

    def insert(self, *requests: Message) -> None:
        """Hand requests to the engine as the receiver does, in one insert, without its checks and rewriting."""
        body = b"".join(request.SerializeToString() for request in requests)
        settings = {**migrations.otlp_insert_settings(), "insert_deduplication_token": hashlib.sha256(body).hexdigest()}
        self.client.raw_insert("otlp_requests", insert_block=body, fmt="ProtobufSingle", settings=settings)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return list(self.client.query(sql).named_results())

    def close(self) -> None:
        """Give the database back, or drop it if its tables were changed."""
        if self._described() == self._tables:
            for table, engine in self._tables:
                if engine.endswith("MergeTree") and table != "spanhouse_migrations":
                    self.client.command(f"TRUNCATE TABLE {table}")
            _idle.append(self.database)
        else:
            self.client.command(f"DROP DATABASE {self.database}")
        self.client.close()

    def _described(self) -> dict[tuple[str, str], str]:
        """What its tables are: name and engine to their definition."""
        found = self.client.query("SELECT name, engine, create_table_query FROM system.tables WHERE database = currentDatabase()")
        ledger = self.client.query("SELECT * FROM spanhouse_migrations ORDER BY ALL").result_rows
        return {(name, engine): text for name, engine, text in found.result_rows} | {("", ""): str(ledger)}
