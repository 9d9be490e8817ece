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

from spanhouse.schema import migrations

_numbers = itertools.count(1)


@cache
def engine_directory() -> Path:
    """The one directory that the engine of this process may open; in memory where there is such a place, since every insert is synced."""
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="spanhouse-tests-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory / "store"


def connect(database: str | None = None) -> Client:
    dsn = f"chdb://{engine_directory()}" + (f"?database={database}" if database else "")
    return clickhouse_connect.get_client(dsn=dsn)


class TestStore:
    """A database with all migrations applied.

    Attributes:
        dsn: what TraceClient takes.
        client: a client that may write.
    """

    __test__ = False

    def __init__(self) -> None:
        self.database = f"test_{next(_numbers)}"
        admin = connect()
        admin.command(f"CREATE DATABASE {self.database}")
        admin.close()
        self.client = connect(self.database)
        self.dsn = f"chdb://{engine_directory()}?database={self.database}"
        migrations.apply(self.execute)

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Sequence[Any]]:
        result = self.client.query(sql, parameters=dict(parameters or {}))
        return result.result_rows

    def ingest(self, *requests: Message) -> None:
        """Hand requests to the engine as the receiver does, in one insert, without its checks and rewriting."""
        body = b"".join(request.SerializeToString() for request in requests)
        settings = {**migrations.otlp_insert_settings(), "insert_deduplication_token": hashlib.sha256(body).hexdigest()}
        self.client.raw_insert("otlp_requests", insert_block=body, fmt="ProtobufSingle", settings=settings)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return list(self.client.query(sql).named_results())

    def close(self) -> None:
        self.client.command(f"DROP DATABASE {self.database}")
        self.client.close()
